"""Barman as the engine of the way back, on a real server; Barman's own words, files and plain SQL are the witnesses."""

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from infra.lab.barman import Barman, barman
from infra.lab.postgres import Postgres
from infra.lab.process import wait_until
from recovery.errors import Refused, Unavailable
from recovery.sides import Stage
from tasks.postgres.damaged import read_sets, read_sight
from tasks.postgres.drilling import check_set, drill_set
from tasks.postgres.programs import clean, run
from tasks.postgres.set_checks import check_set_again
from tasks.postgres.sets import expire_sets
from tasks.postgres.sides import raise_side
from tests.integration.managers import barmans, path_of_barman, with_barman
from tests.integration.sides_shop import with_sides
from tests.integration.way_back import Shop, go_back, new_shop

NUMBERS = count(1)


@dataclass(frozen=True)
class Kept:
    """A shop whose backups Barman keeps."""

    shop: Shop
    barman: Barman

    def backups(self) -> dict[str, dict[str, Any]]:
        """What Barman lists, by the names that they were taken under."""
        return barmans(self.barman)

    def base(self, name: str) -> Path:
        """Where Barman keeps the files of a backup."""
        home = self.barman.configuration.parent / "home" / self.barman.server / "base"
        return home / str(self.backups()[name]["backup_id"])


@pytest.fixture(name="received", scope="module")
def _received(archiving: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Barman]:
    with barman(archiving, tmp_path_factory.mktemp("barman")) as ours:
        yield ours


@pytest.fixture(name="kept")
def _kept(archiving: Postgres, received: Barman, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with (
        new_shop(archiving, f"kept{next(NUMBERS)}", monkeypatch) as shop,
        with_sides(shop.with_(**with_barman(received))) as sided,
        path_of_barman(received) as path,
    ):
        monkeypatch.setenv("PATH", path)
        yield Kept(sided, received)


def test_the_gate_proves_a_backup_of_barmans(kept: Kept) -> None:
    """Barman has one of the point's name and keeps it; the set has its WAL, and no files of the database."""
    way = kept.shop.gate()

    assert way.proved, way.reason
    assert "rows as they were" in way.reason
    name = kept.shop.point().name
    assert kept.backups()[name]["status"] in ("DONE", "WAITING_FOR_WALS")
    status = kept.barman.run("keep", "--status", kept.barman.server, str(kept.backups()[name]["backup_id"]))
    assert "standalone" in status
    place = kept.shop.place()
    assert not place.data.exists()
    assert [path.name for path in place.wal.iterdir()]


def test_the_second_call_takes_nothing(kept: Kept) -> None:
    """A gate that is asked again within the hour finds its point, its set and its backup."""
    kept.shop.gate()
    before = kept.backups()

    assert kept.shop.gate().proved
    assert kept.backups() == before


def test_a_side_is_raised_from_it_and_archives_to_barman(kept: Kept) -> None:
    """It has the hundred orders and not the one after, takes writes, and its own timeline arrives at Barman."""
    kept.shop.gate()
    kept.shop.sql("INSERT INTO orders (amount) VALUES (0)")

    side = go_back(kept.shop)

    assert side.sql("SELECT count(*) FROM orders") == [(100,)]
    kept.barman.run("archive-wal", kept.barman.server)
    wals = kept.barman.configuration.parent / "home" / kept.barman.server / "wals"
    assert list(wals.rglob("00000002*"))


def test_what_stands_beside_needs_barman_no_more(kept: Kept) -> None:
    """A silent Barman hides no set: from nothing the restore is refused in its words, with a side it goes on."""
    kept.shop.gate()
    assert kept.shop.database.barman is not None
    silent = kept.shop.with_(barman=kept.shop.database.barman.model_copy(update={"programs": "/nonexistent"})).database
    [chosen] = read_sets.fn(silent)
    assert chosen.proved
    with pytest.raises(Refused, match="barman is not in /nonexistent: install it"):
        read_sight.fn(silent, chosen)
    assert read_sight.fn(kept.shop.database, chosen).needed > 20_000_000

    raise_side.fn(kept.shop.database, kept.shop.point())
    sight = read_sight.fn(silent, chosen)
    assert (sight.side.stage, sight.needed) == (Stage.PAUSED, 0)


def test_a_drill_needs_no_server(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set and Barman's files are enough: the damaged server may be gone."""
    kept.shop.gate()
    then = kept.shop.then()
    dead = kept.shop.server.dsn(kept.shop.service.name).replace(f":{kept.shop.server.port}/", ":1/")
    monkeypatch.setenv(kept.shop.database.url_variable, dead)

    check_set.fn(kept.shop.database, then)
    way, _ = drill_set.fn(kept.shop.database, then)
    assert way.proved, way.reason


def test_a_flipped_bit_in_barmans_files_is_refused(kept: Kept) -> None:
    """Barman's verify-backup finds it; gate, drill and restore say so before anything is booted."""
    kept.shop.gate()
    assert check_set_again.fn(kept.shop.database, kept.shop.point()).damage is None
    file = next(path for path in sorted(kept.base(kept.shop.point().name).rglob("base/*/1259")))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(Refused, match="damaged"):
        check_set.fn(kept.shop.database, kept.shop.then())
    with pytest.raises(Refused, match="damaged"):
        kept.shop.gate()
    assert "1259" in str(check_set_again.fn(kept.shop.database, kept.shop.point()).damage)


def test_a_backup_that_was_deleted_behind_our_back_is_taken_anew(kept: Kept) -> None:
    """The set names one that Barman does not have: the next gate makes another point, with a backup of its own."""
    kept.shop.gate()
    first = kept.shop.point().name
    backup = str(kept.backups()[first]["backup_id"])
    kept.barman.run("keep", "--release", kept.barman.server, backup)
    kept.barman.run("delete", kept.barman.server, backup)

    with pytest.raises(Refused, match="Unknown backup"):
        check_set.fn(kept.shop.database, kept.shop.then())
    assert kept.shop.gate().proved
    assert kept.shop.point().name != first
    assert kept.shop.point().name in kept.backups()


def test_a_whole_backup_that_no_set_mentions_stays(kept: Kept) -> None:
    """The directory of the sets may just not be mounted, and then it is somebody's only way back."""
    kept.shop.gate()
    old = kept.shop.point().name
    shutil.rmtree(kept.shop.place().set)

    assert kept.shop.gate().proved
    assert kept.shop.point().name != old
    assert {old, kept.shop.point().name} <= kept.backups().keys()


def test_a_set_that_was_being_removed_gives_its_backup_up_later(kept: Kept) -> None:
    """Killed between the set's going out of sight and Barman's word: the next gate says it."""
    kept.shop.gate()
    old, place = kept.shop.point().name, kept.shop.place()
    place.set.rename(place.root / f".{place.name}.gone")

    assert kept.shop.gate().proved
    assert old not in kept.backups()
    assert kept.shop.sets() == [kept.shop.point().name]


def test_barmans_cron_that_is_at_the_wal_is_waited_for(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Barman keeps no backup before it has archived its WAL, and archives none while its cron does."""
    honest, asked = run, list[str]()
    lock = kept.barman.configuration.parent / "home" / f".{kept.barman.server}-archive-wal.lock"
    with lock.open("r+") as cron, monkeypatch.context() as slow:
        fcntl.flock(cron, fcntl.LOCK_EX)

        def until_it_is_seen(argv: list[str], place: Path) -> str:
            said = honest(argv, place)
            if "check-backup" in argv:
                listed = {str(each["backup_id"]): each["status"] for each in kept.backups().values()}
                asked.append(listed[argv[-1]])
                fcntl.flock(cron, fcntl.LOCK_UN)
            return said

        slow.setattr("tasks.postgres.engines.barman.run", until_it_is_seen)
        way = kept.shop.gate()

    assert way.proved, way.reason
    assert asked == ["WAITING_FOR_WALS", "DONE"]


def test_a_backup_that_was_killed_is_taken_anew(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Barman is killed while it copies; the next gate has its point proved, and nothing half done is left at Barman."""
    honest, before = run, set(kept.backups())

    def killed(argv: list[str], place: Path) -> str:
        if "backup" not in argv:
            return honest(argv, place)
        listed = set(_bases(kept))
        with subprocess.Popen(
            argv, cwd=place, env=clean(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as one:
            wait_until(lambda: set(_bases(kept)) > listed, what="the backup's directory", seconds=60, every=0.01)
            one.kill()
        raise Unavailable("killed")

    with monkeypatch.context() as dying:
        dying.setattr("tasks.postgres.engines.barman.run", killed)
        with pytest.raises(Unavailable, match="killed"):
            kept.shop.gate()

    assert kept.shop.gate().proved
    left = {name: each["status"] for name, each in kept.backups().items() if name not in before}
    assert left.keys() == {kept.shop.point().name}
    assert {*left.values()} <= {"DONE", "WAITING_FOR_WALS"}


def _bases(kept: Kept) -> list[str]:
    base = kept.barman.configuration.parent / "home" / kept.barman.server / "base"
    return [path.name for path in base.iterdir()] if base.is_dir() else []


def test_a_set_that_expires_gives_its_backup_up(kept: Kept) -> None:
    """Neither kept nor there any more, as far as Barman's own redundancy lets it go."""
    kept.shop.gate("v1.2.0")
    old = kept.shop.point("v1.2.0").name
    kept.shop.gate("v1.3.0")
    shop = kept.shop.with_(keep=1, locked=kept.shop.database.fresh * 0)

    expire_sets.fn(shop.service.name, shop.database)
    assert old not in kept.backups()
    assert kept.shop.point("v1.3.0").name in kept.backups()


def test_a_backup_that_barmans_minimum_redundancy_needs_stays(kept: Kept) -> None:
    """The set goes and the gate goes on; Barman's own retention may have the backup, once there are others."""
    kept.shop.gate("v1.2.0")
    old = kept.shop.point("v1.2.0").name
    kept.shop.gate("v1.3.0")
    shop = kept.shop.with_(keep=1, locked=kept.shop.database.fresh * 0)

    with demanding(kept) as backup:
        expire_sets.fn(shop.service.name, shop.database)
        assert shop.sets() == [kept.shop.point("v1.3.0").name]
        assert kept.shop.gate("v1.4.0").proved
        assert old in kept.backups()
        assert "nokeep" in kept.barman.run("keep", "--status", kept.barman.server, backup(old))


@contextmanager
def demanding(kept: Kept) -> Iterator[Callable[[str], str]]:
    """Barman is to have as many backups as it has now, for the time of the block; gives their ids by their names."""

    def backup(name: str) -> str:
        return str(kept.backups()[name]["backup_id"])

    kept.barman.run("archive-wal", kept.barman.server)
    for name in kept.backups():
        kept.barman.run("check-backup", kept.barman.server, backup(name))
    whole = [each for each in kept.backups().values() if each["status"] == "DONE"]
    before = kept.barman.configuration.read_text()
    more = f"minimum_redundancy = {len(whole)}\narchiver = on"
    kept.barman.configuration.write_text(before.replace("archiver = on", more))
    try:
        yield backup
    finally:
        kept.barman.configuration.write_text(before)


def test_a_backup_that_others_build_on_stays(kept: Kept) -> None:
    """Barman would delete a team's incremental backups together with the full one that they begin from."""
    kept.shop.gate("v1.2.0")
    old = kept.shop.point("v1.2.0").name
    kept.shop.gate("v1.3.0")
    team = str(kept.backups()[kept.shop.point("v1.3.0").name]["backup_id"])
    noted = kept.base(old).parents[1] / "meta" / f"{kept.base(old).name}-backup.info"
    noted.write_text(noted.read_text().replace("children_backup_ids=None", f"children_backup_ids={team}"))
    shop = kept.shop.with_(keep=1, locked=kept.shop.database.fresh * 0)

    expire_sets.fn(shop.service.name, shop.database)
    assert shop.sets() == [kept.shop.point("v1.3.0").name]
    assert {old, kept.shop.point("v1.3.0").name} <= kept.backups().keys()


def test_barmans_own_check_stands_before_everything(kept: Kept) -> None:
    """A server that Barman does not know, or a Barman that is not there: a sentence, and nothing is taken."""
    before = kept.backups()
    barman_of = kept.shop.database.barman
    assert barman_of is not None
    unknown = kept.shop.with_(barman=barman_of.model_copy(update={"server": "nobody"}))
    absent = kept.shop.with_(barman=barman_of.model_copy(update={"programs": "/nonexistent"}))

    with pytest.raises(Refused, match="barman failed"):
        unknown.gate()
    with pytest.raises(Refused, match="barman is not in /nonexistent: install it"):
        absent.gate()
    assert kept.backups() == before
    assert kept.shop.sets() == []
