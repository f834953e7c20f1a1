"""kill -9 after every single effect of the gate, then the gate again: one usable set, one point, one yes; no rest.

The witnesses are pg_verifybackup, pg_waldump, plain SQL, plain HTTP, /proc and the names on the disk.
"""

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows.answering
import flows.foretelling
import flows.prepare_release
from tests.integration.killed_database import Case, Stage, stage

# From the first to before the last, a name may have been used that nothing records: the next try takes another one.
BURNT = ("statement: INSERT", "renamed to then.json")
# In a copy, between the point and its record, with a copy running that is looked at; and one at random.
DANGEROUS = ("in pg_basebackup", "statement: UPDATE", "in cp", "statement: SELECT pg_last_wal_replay_lsn")
# What the flow calls and the walk leaves out: it shows or tells, it does not act.
ASIDE = {"show", "notify", "read_taken_back"}  # the last is asked after a refusal alone


@pytest.fixture(name="stage", scope="module")
def _stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("stage")
    with stage(place) as servers:
        yield servers


@pytest.fixture(name="effects", scope="module")
def _effects(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every effect of a gate that nobody kills, in its order."""
    with pytest.MonkeyPatch.context() as patch, stage.case(tmp_path_factory.mktemp("whole"), patch) as case:
        seen = case.walk("gate", 0)
        assert_one_of_each(case, burnt=False)
        return seen


@pytest.fixture(name="case")
def _case(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    with stage.case(tmp_path, monkeypatch) as case:
        yield case


def assert_one_of_each(case: Case, *, burnt: bool) -> None:
    """One point, and its set is whole."""
    case.assert_one_point(burnt=burnt)
    inside = {path.name for path in case.shop.place().set.iterdir()}
    assert inside - {"settings.json"} == {"data", "proof.json", "then.json", "wal"}
    case.verify(case.shop.place().data)


def survive(case: Case, effects: list[str], number: int) -> None:
    """Die, walk again, and once more for good measure."""
    first, last = (effects.index(what) + 1 for what in BURNT)
    burnt = first <= number < last
    assert case.walk("gate", number) == effects[:number]

    case.walk("gate", 0)

    assert_one_of_each(case, burnt=burnt)
    point = case.shop.point()
    case.walk("gate", 0)
    assert case.shop.point() == point
    assert_one_of_each(case, burnt=burnt)


def test_every_step_of_the_flow_is_killed(effects: list[str]) -> None:
    """Each task that the gate's flow imports is one of the effects, so that none is left out unnoticed."""
    trees = [
        ast.parse(Path(str(each.__file__)).read_text())
        for each in (flows.prepare_release, flows.answering, flows.foretelling)
    ]
    imported = [
        getattr(__import__(str(node.module), fromlist=[alias.name]), alias.name)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tasks.")
        for alias in node.names
        if alias.name not in ASIDE
    ]
    steps = {each.name for each in imported if hasattr(each, "task_run_name")}

    assert {f"task: {step}" for step in steps} == {each for each in effects if each.startswith("task: ")}
    assert {*DANGEROUS, *BURNT} <= {*effects}


@pytest.mark.parametrize("what", DANGEROUS)
def test_a_gate_killed_after_an_effect_goes_on(case: Case, effects: list[str], what: str) -> None:
    """The dangerous ones."""
    survive(case, effects, effects.index(what) + 1)


def test_a_gate_killed_anywhere_goes_on(case: Case, effects: list[str]) -> None:
    """A seeded one of all, the same on every machine."""
    survive(case, effects, random.Random(11).randint(1, len(effects)))


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_every_gate_killed_after_every_effect_goes_on(
    stage: Stage, effects: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of them, each on a database of its own."""
    for number in range(1, len(effects) + 1):
        with pytest.MonkeyPatch.context() as patch, stage.case(tmp_path_factory.mktemp(f"kill{number}"), patch) as case:
            survive(case, effects, number)
