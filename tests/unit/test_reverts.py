"""The proof and the notes of a revert: facts that anybody can run again."""

from datetime import UTC, datetime

from recovery.reverts import Commit, Pushed, RevertPlan
from recovery.wording import proof_of, release_notes

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAULTY, STABLE, PATCH = "e" * 40, "b" * 40, "f" * 40
PLAN = RevertPlan(
    "shop", "acme/shop", "main", "v", "v1.2.0", FAULTY, "v1.1.0", STABLE, "v1.2.1", NOW,
    "Revert release v1.2.0", "checkout fails", "", (Commit(FAULTY, "Release v1.2.0"),), (), None,
)  # fmt: skip
TREES = {"v1.1.0^{tree}": "t1", "v1.2.1^{tree}": "t1"}
WHOLE: dict[str, tuple[str, ...]] = {"back": ("shop.py",), "kept": ()}
PARTLY = {"back": ("shop.py",), "kept": ("later.py",)}


def pushed(*kept: Commit, tag: str = "v1.2.1") -> Pushed:
    """What stands on the remote."""
    return Pushed(PATCH, FAULTY, "t1", tag, kept, "pushed")


def test_the_proof_of_a_whole_revert_ends_in_an_empty_diff() -> None:
    """The patch release's tree is the stable one's, and git has nothing to show between them."""
    lines = dict(proof_of(PLAN, pushed(), TREES, WHOLE).lines)

    assert lines["git rev-parse v1.2.0^{commit}"] == FAULTY
    assert lines["git rev-parse v1.2.1^{tree}"] == lines["git rev-parse v1.1.0^{tree}"] == "t1"
    assert lines["git diff --no-renames --ignore-submodules=none --name-only v1.1.0 v1.2.1 --"] == ""


def test_the_proof_claims_no_equality_where_later_work_was_kept() -> None:
    """Only what holds is written down."""
    lines = dict(proof_of(PLAN, pushed(Commit("a" * 40, "Later")), TREES, PARTLY).lines)

    assert "git rev-parse v1.1.0^{tree}" not in lines
    assert lines["git diff --no-renames --ignore-submodules=none --name-only v1.1.0 v1.2.1 --"] == "later.py"
    assert lines[f"git diff --no-renames --ignore-submodules=none --name-only {FAULTY} v1.2.1 --"] == "shop.py"


def test_the_proof_names_the_tag_that_was_pushed_and_not_the_planned_one() -> None:
    """v1.2.1 was taken meanwhile."""
    shown = str(proof_of(PLAN, pushed(tag="v1.2.2"), TREES, WHOLE))

    assert f"$ git rev-parse v1.2.2^{{commit}}\n{PATCH}" in shown
    assert "v1.2.1" not in shown


def test_the_notes_say_what_went_and_what_stayed() -> None:
    """Byte for byte only where nothing was kept."""
    whole = release_notes(PLAN, pushed(), proof_of(PLAN, pushed(), TREES, WHOLE))
    kept = pushed(Commit("a" * 40, "Later"))
    partly = release_notes(PLAN, kept, proof_of(PLAN, kept, TREES, PARTLY))

    assert whole.startswith("Takes v1.2.0 back: this release is v1.1.0, byte for byte.")
    assert "- Release v1.2.0 (eeeeeeeeeeee)" in whole
    assert "**Kept**" not in whole
    assert "byte for byte" not in partly
    assert "**Kept**\n- Later (aaaaaaaaaaaa)" in partly
