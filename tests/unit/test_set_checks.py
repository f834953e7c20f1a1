"""What is said of a set that was damaged after its proof, and what else there is to go back to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.errors import Refused
from recovery.restore_points import State, Then
from recovery.set_checks import Checked, judge_checked, other_way

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATE = State({}, {}, (), {}, {}, "s")
THEN = Then("shop", "v1.2.0", "shop-v1.2.0", "0/5000", 1, "c1", NOW, STATE, STATE)


def older(hours: float, **words: object) -> Then:
    """A point that was made so many hours before."""
    at = {"lsn": f"0/{0x5000 - int(hours * 100):X}", "made_at": NOW - timedelta(hours=hours)}
    known = {"version": "v1.1.0", "name": f"older-{hours:g}", **at, **words}
    return replace(THEN, **known)  # type: ignore[arg-type]


def test_a_set_that_passes_is_told() -> None:
    """In the words of who has looked."""
    assert judge_checked("shop-v1.2.0", Checked("every file is as proved"), "mend it") == "every file is as proved"


def test_a_set_that_does_not_pass_is_refused_with_the_way_out() -> None:
    """What is wrong first, then that nothing was touched, then what a person does."""
    checked = Checked("", 'checksum mismatch for file "base/5/16384"')
    with pytest.raises(Refused, match=r"^the set shop-v1\.2\.0 .*base/5/16384.* nothing was restored .*: mend it$"):
        judge_checked("shop-v1.2.0", checked, "mend it")


def test_the_newest_older_one_is_the_way_out() -> None:
    """An earlier try of the same release counts, too; it is said what is to be moved away first."""
    said = other_way(THEN, [older(5), THEN, older(2, version="v1.2.0", name="shop-v1.2.0-1"), older(9)], "/b")

    assert "shop-v1.2.0-1, made 2026-01-01 10:00:00" in said
    assert "move /b/shop-v1.2.0 away and restore v1.2.0" in said


@pytest.mark.parametrize(
    "other",
    [
        older(1, service="other"), older(1, system_id="c2"), older(1, timeline=2), older(0), older(-1),
    ],
)  # fmt: skip
def test_without_an_older_one_of_the_same_history_people_are_named(other: Then) -> None:
    """Of another service, cluster or timeline it would be refused; a newer one does not lead back far enough."""
    said = other_way(THEN, [THEN, other], "/b")

    assert other.name not in said
    assert "no older set of this server is there" in said
    assert "ripcord fix-forward" in said
