"""kill -9 after every single effect of a restore, then the same again: customers wait, and lose nothing but time.

Of the process that restores, of the damaged server, of PgBouncer and of the restored server.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from tests.integration.managers import Keeper, by_barman, by_bucket, by_pgbackrest, by_postgresql
from tests.integration.restoring import CORRUPT, Street, new_street

ROOT = Path(__file__).parents[2]
# What a restore does to the world, in its order: a test below sees that none is left out.
EFFECTS = [
    "note", "raise_side", "PAUSE killed{n}", "note", "fenced", "note", "promote_side",
    "databases_file", "RELOAD", "RESUME killed{n}", "kept", "open_archive", "backup", "named",
]  # fmt: skip
HELD, SERVED = 3, 10  # from the first of these effects up to the last one customers are held back
TAKEN_ANEW = "backup"  # by a life that finds it whole, but without its name


class Walker:
    """A process that walks the restore and dies where it is told to."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def walk(self, last: int = 0, victim: str = "") -> tuple[int, list[str]]:
        """Walk until an effect kills the process, or its victim; returns the exit status and the effects."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{last} {victim}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer["status"], answer["effects"]


@contextmanager
def walker(street: Street, directory: Path) -> Iterator[Walker]:
    """Start it; it is one process for all walks of a test."""
    service = street.shop.service.model_dump(mode="json")
    given = {"service": service, "version": "v1.2.0", "cause": CORRUPT.sentence, "backed_up": backed_up(street)}
    plan = directory / "plan.json"
    plan.write_text(json.dumps(given))
    argv = [sys.executable, "-m", "tests.integration.restoring_walk", str(plan)]
    env = os.environ | {"RIPCORD_PATIENCE": "0.01", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    with subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Walker(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(name="archiving")
def _archiving(tmp_path: Path) -> Iterator[Postgres]:
    """A server of the test's own: of two restored beside one, both would archive a timeline 2."""
    with postgres(tmp_path / "server", archiving=True) as server:
        yield server


def backed_up(street: Street) -> bool:
    """Whether the restored server is backed up at once: Barman must be led there by a person first."""
    return street.shop.database.barman is None


def expected(street: Street) -> list[str]:
    """The effects on this shop."""
    number = street.shop.service.name.removeprefix("killed")
    return [each.format(n=number) for each in EFFECTS if backed_up(street) or each not in {"backup", "named"}]


def assert_restored(street: Street) -> None:
    """One restored server serves and has a backup, the damaged one is kept for superusers, nothing is held back."""
    assert street.led_to_side()
    assert street.allowed() == (True, 0)
    assert street.ask("SELECT sum(amount) FROM orders") == [(5050,)]
    assert street.restored("SELECT pg_is_in_recovery()") == [(False,)]
    assert len(list(Path(street.restore.sides).glob("*/data"))) == 1
    assert street.shop.sql("SHOW default_transaction_read_only") == [("on",)]
    assert street.restored("SELECT last_archived_wal LIKE '00000002%' FROM pg_stat_archiver") == [(True,)]
    if backed_up(street):
        data = Path(street.shop.database.backups, f"{street.shop.point().name}-restored", "data")
        verify: list[str | Path] = [street.shop.server.binaries / "pg_verifybackup", "--no-parse-wal", "--quiet", data]
        subprocess.run(verify, check=True)
    assert not list(Path(street.shop.database.backups).glob(".*"))


@pytest.mark.parametrize(
    "keeper", [by_postgresql, by_barman, by_pgbackrest, pytest.param(by_bucket, marks=pytest.mark.torture)]
)
def test_a_restore_killed_after_every_effect_in_turn_goes_on(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeper: Keeper
) -> None:
    """Each life gets one effect further and dies. The customers live through all of it, and see no error."""
    with (
        keeper(archiving, tmp_path) as (words, path),
        new_street(archiving, "killed0", tmp_path, monkeypatch, words=words) as street,
    ):
        monkeypatch.setenv("PATH", path)
        die_at_each(street, tmp_path)


def die_at_each(street: Street, directory: Path) -> None:
    """Walk it from death to death, while customers write; at its end nothing of theirs is lost."""
    with walker(street, directory) as process:
        way = street.shop.gate()
        assert way.proved, way.reason
        seen: list[str] = []
        with street.customers() as customers:
            wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
            street.shop.sql("UPDATE orders SET amount = 0")
            for _ in range(3 * len(EFFECTS)):
                status, effects = process.walk(2 if seen[-1:] == [TAKEN_ANEW] else 1)
                seen += effects[-1:]
                if status == 0:
                    break
                assert status == -9
            served = len(customers.acknowledged)
            wait_until(lambda: len(customers.acknowledged) > served + 20, what="customers", seconds=20)

        assert seen == expected(street)
        assert customers.errors == []
        assert_restored(street)
        assert process.walk() == (0, [])
        there = {str(row[0]) for row in street.ask("SELECT who FROM ledger")}
        kept = {str(row[0]) for row in street.shop.sql("SELECT who FROM ledger")}
        assert {which for _, _, which in customers.acknowledged} <= there | kept
        assert not there & kept


def survive(archiving: Postgres, effect: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die after one effect, walk to the end, and once more for good measure."""
    name = f"killed{effect}"
    with new_street(archiving, name, tmp_path, monkeypatch) as street, walker(street, tmp_path) as process:
        street.shop.gate()
        street.shop.sql("UPDATE orders SET amount = 0")
        with street.customers() as customers:
            wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
            status, effects = process.walk(effect)
            assert (status, effects) == (-9, expected(street)[:effect])
            assert (street.shown()["paused"] == 1) is (HELD <= effect < SERVED)
            assert process.walk()[0] == 0
            served = len(customers.acknowledged)
            wait_until(lambda: len(customers.acknowledged) > served + 20, what="customers", seconds=20)

        assert customers.errors == []
        assert_restored(street)
        assert process.walk() == (0, [])


@pytest.mark.torture
@pytest.mark.parametrize("effect", range(1, len(EFFECTS) + 1))
def test_a_restore_killed_after_any_effect_goes_on(
    archiving: Postgres, effect: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, each on a shop of its own."""
    survive(archiving, effect, tmp_path, monkeypatch)


def outlive(archiving: Postgres, victim: str, effect: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server dies after one effect, and comes back as by its supervisor; the restore is walked again to its end."""
    name = f"outlived{effect}"
    with new_street(archiving, name, tmp_path, monkeypatch) as street, walker(street, tmp_path) as process:
        street.shop.gate()
        street.shop.sql("UPDATE orders SET amount = 0")
        with street.customers() as customers:
            wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
            pid = tmp_path / "pid"
            pid.write_text(f"{street.pooler.process.pid}\n")
            lives = {
                "damaged server": archiving.data / "postmaster.pid",
                "PgBouncer": pid,
                "restored server": Path(street.restore.sides) / "*" / "data" / "postmaster.pid",
            }
            status, effects = process.walk(effect, str(lives[victim]))
            assert len(effects) >= effect
            assert status in (0, 1)
            if victim != "restored server":
                {"damaged server": archiving, "PgBouncer": street.pooler}[victim].restart()
            again = [process.walk()[0] for _ in range(2)]

        assert again[-1] == 0, again
        assert_restored(street)
        assert process.walk() == (0, [])
        there = {str(row[0]) for row in street.ask("SELECT who FROM ledger")}
        kept = {str(row[0]) for row in street.shop.sql("SELECT who FROM ledger")}
        assert {which for _, _, which in customers.acknowledged} <= there | kept
        assert not there & kept


SERVERS = ("damaged server", "PgBouncer", "restored server")
DEATHS = [
    (victim, number)
    for victim in SERVERS
    for number in range(1, len(EFFECTS) + 1)
    if victim != "restored server" or number > EFFECTS.index("raise_side")
]
# Nobody is held back any more; what was written meanwhile must not be lost; it was led to what does not run.
WORST = (("PgBouncer", HELD), ("damaged server", 5), ("restored server", 9))


@pytest.mark.parametrize(("victim", "effect"), WORST)
def test_a_restore_outlives_the_death_of_a_server(
    archiving: Postgres, victim: str, effect: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer while it pauses, the damaged server as it is closed, the restored one when clients are led there."""
    outlive(archiving, victim, effect, tmp_path, monkeypatch)


@pytest.mark.torture
@pytest.mark.parametrize(("victim", "effect"), DEATHS)
def test_a_restore_outlives_any_death_of_a_server(
    archiving: Postgres, victim: str, effect: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them after each effect."""
    outlive(archiving, victim, effect, tmp_path, monkeypatch)
