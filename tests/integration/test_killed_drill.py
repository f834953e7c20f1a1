"""kill -9 after every single effect of a drill, then the drill again: it holds, and nothing of the dead one is left.

The witnesses are the names and the bytes on the disk, Python's reader of JSON, and the kernel's processes.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.killed_database import Case, Stage, stage
from tests.integration.test_way_back import digest

# In the midst of the copy, with a copy running that is looked at, and right before the history has its line.
DANGEROUS = ("in cp", "statement: SELECT pg_last_wal_replay_lsn", "task: drill set")


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("drills")) as servers:
        yield servers


@pytest.fixture(name="case", scope="module")
def _case(servers: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A shop whose gate has made a set: no drill changes it, so all kills share it."""
    with pytest.MonkeyPatch.context() as patch, servers.case(tmp_path_factory.mktemp("drilled"), patch) as case:
        case.walk("gate", 0)
        yield case


@pytest.fixture(name="effects", scope="module")
def _effects(case: Case) -> list[str]:
    """Every effect of a drill that nobody kills, in its order."""
    return case.walk("drill", 0)


def survive(case: Case, number: int) -> str:
    """Die, and drill again; gives the effect after which it died."""
    place = case.shop.place().set
    before, kept = digest(place), len(findings(case))
    seen = case.walk("drill", number)

    case.walk("drill", 0)

    assert digest(place) == before
    assert case.shop.sets() == sorted([place.name, "drills"])
    home = place.parent / "drills" / case.shop.service.name
    assert [path.name for path in home.iterdir()] == [path.name for path in home.glob("*.jsonl")]
    assert case.rests() == []
    assert {*findings(case)} == {"held"}
    assert kept + 1 <= len(findings(case)) <= kept + 2
    return seen[-1]


def findings(case: Case) -> list[str]:
    """What the lines of the history say."""
    files = Path(case.shop.database.backups, "drills", case.shop.service.name).glob("*.jsonl")
    return [json.loads(line)["finding"] for file in files for line in file.read_text().splitlines() if line]


@pytest.mark.parametrize("what", DANGEROUS)
def test_a_drill_killed_after_an_effect_is_done_anew(case: Case, effects: list[str], what: str) -> None:
    """The dangerous ones."""
    assert survive(case, effects.index(what) + 1) == what


def test_a_drill_killed_anywhere_is_done_anew(case: Case, effects: list[str]) -> None:
    """A seeded one of all, the same on every machine."""
    survive(case, random.Random(2).randint(1, len(effects)))


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_every_drill_killed_after_every_effect_is_done_anew(case: Case, effects: list[str]) -> None:
    """All of them."""
    for number in range(1, len(effects) + 1):
        survive(case, number)
