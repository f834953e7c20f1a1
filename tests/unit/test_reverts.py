"""The notes of a revert."""

from datetime import UTC, datetime

from recovery.reverts import Commit, Proof, Pushed, RevertPlan
from recovery.wording import release_notes

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAULTY, STABLE, PATCH = "e" * 40, "b" * 40, "f" * 40
PLAN = RevertPlan(
    "shop", "acme/shop", "main", "v", "v1.2.0", FAULTY, "v1.1.0", STABLE, "v1.2.1", NOW,
    "Revert release v1.2.0", "checkout fails", "", (Commit(FAULTY, "Release v1.2.0"),), (), None,
)  # fmt: skip
PROOF = Proof((("git rev-parse v1.2.1", PATCH),))


def pushed(*kept: Commit, tag: str = "v1.2.1") -> Pushed:
    """What stands on the remote."""
    return Pushed(PATCH, FAULTY, "t1", tag, kept, "pushed")


def test_the_notes_say_what_went_and_what_stayed() -> None:
    """Byte for byte only where nothing was kept."""
    whole = release_notes(PLAN, pushed(), PROOF)
    kept = pushed(Commit("a" * 40, "Later"))
    partly = release_notes(PLAN, kept, PROOF)

    assert whole.startswith("Takes v1.2.0 back: this release is v1.1.0, byte for byte.")
    assert "- Release v1.2.0 (eeeeeeeeeeee)" in whole
    assert "**Kept**" not in whole
    assert "byte for byte" not in partly
    assert "**Kept**\n- Later (aaaaaaaaaaaa)" in partly
