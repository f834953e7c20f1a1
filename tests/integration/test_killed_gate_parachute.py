"""kill -9 after every single effect of a gate that arms a parachute and a journal, then the gate again: one of each.

The witnesses are plain SQL on the parachute's port and on the primary, pg_waldump, the kernel's processes and the disk.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.killed_database import Case, Manager, Stage, stage
from tests.integration.sides_shop import ask, postmasters, sides_of, sides_on

BEGUN, RECORDED = "statement: INSERT", "renamed to then.json"  # between them a name may be used that nothing records
# How often a server is asked until it stands differs from walk to walk: only the first effects are the same.
SPARE = 8
# Both are armed and nothing is registered yet; the point is made, and nobody knows whether it stopped there.
DANGEROUS = ("task: arm journal", RECORDED)


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    settings = {"wal_level": "logical", "max_slot_wal_keep_size": "1GB"}
    with stage(tmp_path_factory.mktemp("parachutes"), settings) as servers:
        yield servers


@pytest.fixture(name="effects", scope="module")
def _effects(servers: Stage, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every effect of a gate that nobody kills, in its order."""
    with parachuted(servers, tmp_path_factory.mktemp("whole")) as case:
        seen = case.walk("gate", 0)
        assert_standing(case, burnt=False)
        return seen


@contextmanager
def parachuted(servers: Stage, place: Path) -> Iterator[Case]:
    """A case whose catalogue wants a parachute, with a place for it that nobody else uses."""
    with (
        pytest.MonkeyPatch.context() as patch,
        sides_on(servers.server, parachute=True, journal=has_decoding(servers)) as restore,
        servers.case(place, patch, Manager({"restore": restore}, {})) as case,
    ):
        yield case
        mine = "pg_replication_slots WHERE database = current_database()"
        case.shop.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM {mine}")


def has_decoding(servers: Stage) -> bool:
    """Whether this PostgreSQL comes with contrib, which a journal needs."""
    with psycopg.connect(servers.server.dsn()) as plain:
        found = plain.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").fetchone()
    return found is not None


def assert_standing(case: Case, *, burnt: bool) -> None:
    """One point and its set, and beside them one parachute: paused exactly there, and cut off from the primary."""
    assert case.shop.database.restore is not None
    case.assert_one_point(burnt=burnt, journal=case.shop.database.restore.journal)
    case.verify(case.shop.place().data)
    sides = sides_of(case.shop)
    assert [path.name for path in sides.iterdir() if not path.name.startswith(".port-")] == [case.shop.point().name]
    assert len(postmasters(sides)) == 1
    shown = "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn()::text, count(*) FROM orders"
    assert ask(case.shop, shown) == [("paused", case.shop.then().lsn, 100)]
    assert case.shop.sql("SELECT count(*) FROM pg_stat_replication") == [(0,)]


def survive(servers: Stage, number: int, place: Path) -> str:
    """Die, walk again, and once more for good measure; gives the effect after which it died."""
    with parachuted(servers, place) as case:
        seen = case.walk("gate", number)
        for _ in range(2):
            case.walk("gate", 0)
            assert_standing(case, burnt=BEGUN in seen and RECORDED not in seen)
        return seen[-1]


def test_the_parachute_is_armed_and_checked_on_the_way(effects: list[str]) -> None:
    """Else the kills below would prove nothing of it."""
    assert {"task: arm parachute", "task: check parachute"} <= {*effects}


@pytest.mark.parametrize("what", DANGEROUS)
def test_a_gate_killed_after_an_effect_goes_on(servers: Stage, effects: list[str], tmp_path: Path, what: str) -> None:
    """The dangerous ones."""
    assert survive(servers, effects.index(what) + 1, tmp_path) == what


def test_a_gate_killed_anywhere_goes_on(servers: Stage, effects: list[str], tmp_path: Path) -> None:
    """A seeded one of all, the same on every machine."""
    survive(servers, random.Random(3).randint(1, len(effects) - SPARE), tmp_path)


@pytest.mark.torture
@pytest.mark.timeout(7200)
def test_every_gate_killed_after_every_effect_goes_on(
    servers: Stage, effects: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of them, each on a database of its own."""
    for number in range(1, len(effects) + 1 - SPARE):
        survive(servers, number, tmp_path_factory.mktemp(f"kill{number}"))
