"""The proof of a revert: facts that anybody can run again; that they do print it is for the tests on real histories."""

from dataclasses import replace
from datetime import UTC, datetime

from recovery.proofs import MOST_LISTED, Reading, difference, proof_of
from recovery.reverts import Commit, Pushed, RevertPlan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAULTY, STABLE, PATCH = "e" * 40, "b" * 40, "f" * 40
PLAN = RevertPlan(
    "shop", "acme/shop", "main", "v", "v1.2.0", FAULTY, "v1.1.0", STABLE, "v1.2.1", NOW,
    "Revert release v1.2.0", "checkout fails", "", (Commit(FAULTY, "Release v1.2.0"),), (), None,
    faulty_object="d" * 40,
)  # fmt: skip
WHOLE = Reading(stable="t1", wanted="t1", again="t0", changed="back", kept="", by_hand="")
PARTLY = replace(WHOLE, stable="t3", wanted="t3", kept="later")


def pushed(*kept: Commit, tag: str = "v1.2.1") -> Pushed:
    """What stands on the remote."""
    return Pushed(PATCH, FAULTY, "t1", tag, kept, "pushed")


def test_the_proof_of_a_whole_revert_is_the_tree_of_the_stable_release() -> None:
    """Its id, and what the tags stand for: the faulty one unmoved, the patch on main and on top of it."""
    lines = dict(proof_of(PLAN, pushed(), WHOLE).lines)

    assert lines["git rev-parse v1.2.0"] == "d" * 40
    assert lines["git rev-parse 'v1.2.0^{commit}'"] == lines["git merge-base v1.2.0 v1.2.1"] == FAULTY
    assert lines["git merge-base origin/main v1.2.1"] == PATCH
    assert lines[f"git rev-list --first-parent {FAULTY}..v1.2.1"] == PATCH
    assert lines["git rev-parse 'v1.2.1^@'"] == FAULTY
    assert lines["git rev-parse 'v1.2.1^{tree}'"] == lines["git rev-parse 'v1.1.0^{tree}'"] == "t1"
    assert len(lines) == 9


def test_where_later_work_was_kept_the_release_goes_on_again() -> None:
    """What was changed and what was kept are shown with their ids, and the round trip ends at main before."""
    lines = dict(proof_of(PLAN, pushed(Commit("a" * 40, "Later")), PARTLY).lines)

    differ = "git --literal-pathspecs diff-tree -r --ignore-submodules=none"
    assert lines[f"{differ} {FAULTY} v1.2.1"] == "back"
    assert lines[f"{differ} t3 v1.2.1"] == "later"
    assert lines[f"{differ} t0 {FAULTY}"] == ""
    [trip] = [command for command in lines if "merge-tree" in command]
    assert lines[trip] == "t0"


def test_where_people_decided_a_conflict_there_may_be_no_way_back_by_merging() -> None:
    """Nothing is claimed of it then; what was changed and what was kept is shown all the same."""
    lines = dict(proof_of(PLAN, pushed(Commit("a" * 40, "Later")), replace(PARTLY, again=None)).lines)

    assert not [command for command in lines if "merge-tree" in command]
    assert {"back", "later"} < {*lines.values()}


def test_in_a_shared_repository_the_wanted_tree_is_made_first() -> None:
    """Paths are quoted for the shell."""
    lines = dict(proof_of(replace(PLAN, paths=("svc a/",)), pushed(), replace(PARTLY, wanted="t4")).lines)

    [made] = [command for command, printed in lines.items() if printed == "t4"]
    assert "git ls-tree -r -z v1.1.0 -- 'svc a' |" in made


def test_a_long_difference_is_shown_by_its_id() -> None:
    """As `git hash-object` names it: notes and artifacts stay short whatever a release touches."""
    listed = "\n".join(["x"] * MOST_LISTED)

    assert difference("a", "b", listed)[1] == listed
    command, printed = difference("a", "b", f"{listed}\nx")
    assert command.endswith(" | git hash-object --stdin")
    assert len(printed) == 40


def test_the_proof_names_the_tag_that_was_pushed_and_not_the_planned_one() -> None:
    """v1.2.1 was taken meanwhile."""
    shown = str(proof_of(PLAN, pushed(tag="v1.2.2"), WHOLE))

    assert f"$ git rev-parse 'v1.2.2^{{commit}}'\n{PATCH}" in shown
    assert "v1.2.1" not in shown
