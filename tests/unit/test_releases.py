"""Which release is the previous stable one, and what the revert of the faulty one is."""

from datetime import UTC, datetime

import pytest

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause
from recovery.releases import Release, choose_stable
from recovery.reverts import Commit, History, RevertPlan, plan_revert
from recovery.versions import parse_version

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAULTY = parse_version("v1.2.0")
SHOP = Service(name="shop", namespace="acme", repository="acme/shop")


def release(tag: str, *, draft: bool = False, prerelease: bool = False) -> Release:
    """An entry of the Releases history."""
    return Release(1, tag, tag, "", draft, prerelease, NOW)


CONTAINED = {"v1.0.0": "a", "v1.1.0": "b", "v1.1.5": "c", "v1.2.0-rc.1": "d", "v1.2.0": "e", "other/v1.1.9": "f"}


def test_the_newest_final_release_in_its_own_history_is_stable() -> None:
    """Drafts, pre-releases, tags without a Release, other services and side branches are passed over."""
    releases = [
        release("v1.2.0"), release("v1.0.0"), release("v1.1.5", draft=True), release("v1.2.0-rc.1"),
        release("v1.1.0"), release("other/v1.1.9"), release("v1.1.7"), release("nightly"), release("v1.3.0"),
    ]  # fmt: skip

    stable = choose_stable(FAULTY, releases, CONTAINED)

    assert stable.version.tag == "v1.1.0"
    assert "v1.1.7" in stable.reason  # newer, but made elsewhere: said


def test_a_release_flagged_as_prerelease_or_quarantined_is_not_stable() -> None:
    """v1.1.5 is flagged, v1.1.0 quarantined: v1.0.0 it is."""
    releases = [release("v1.1.5", prerelease=True), release("v1.1.0"), release("v1.0.0")]

    assert choose_stable(FAULTY, releases, CONTAINED, {"v1.1.0"}).version.tag == "v1.0.0"


def test_the_first_release_has_nothing_to_go_back_to() -> None:
    """The refusal names the hotfix."""
    with pytest.raises(Refused, match="prepare a hotfix"):
        choose_stable(FAULTY, [release("v1.2.0")], {"v1.2.0": "e"})


def test_two_tags_on_one_commit_are_nothing_to_take_back() -> None:
    """`git revert` would take back v1.1.0 here."""
    with pytest.raises(Refused, match="same commit"):
        choose_stable(FAULTY, [release("v1.1.0")], {"v1.1.0": "e", "v1.2.0": "e"})


def history(**changes: object) -> History:
    """v1.1.0, then v1.2.0 at the head of main."""
    made: dict[str, object] = {
        "head": "e", "faulty": "e", "faulty_on_main": True, "tags": ("v1.1.0", "v1.2.0"),
        "contained": {"v1.1.0": "b", "v1.2.0": "e"}, "taken_out": {"v1.1.0": (Commit("e", "Release v1.2.0"),)},
        "kept": (), "later": (), "patches": {},
    }  # fmt: skip
    return History(**(made | changes))  # type: ignore[arg-type]


def plan(seen: History, seen_at: datetime | None = NOW) -> RevertPlan:
    """The plan for a cause."""
    cause = Cause(sentence="checkout fails", seen_at=seen_at)
    return plan_revert(SHOP, FAULTY, seen, [release("v1.1.0"), release("v1.2.0")], cause)


def test_the_plan_names_the_next_free_patch_and_speaks_in_trailers() -> None:
    """v1.2.1, dated by the incident; the message ends in trailers that name full commits."""
    made = plan(history())

    assert (made.patch_tag, made.stable_tag, made.date) == ("v1.2.1", "v1.1.0", NOW)
    assert made.message.startswith("Revert release v1.2.0\n\ncheckout fails\n")
    assert made.message.endswith("Reverts-Release: v1.2.0 e\nRestores-Release: v1.1.0 b\nIncident: shop/v1.2.0\n")


def test_a_patch_that_already_did_it_is_found_and_not_made_again() -> None:
    """v1.2.1 says that it reverts v1.2.0."""
    made = plan(history(tags=("v1.1.0", "v1.2.0", "v1.2.1"), later=("v1.2.1",), patches={"v1.2.1": "f"}))

    assert (made.done_as, made.patch_tag) == ("v1.2.1", "v1.2.1")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (history(faulty_on_main=False), "is not on main"),
        (history(later=("v1.3.0",)), "take v1.3.0 back first"),
    ],
)
def test_what_would_break_more_is_refused(seen: History, words: str) -> None:
    """A tag made elsewhere, and a release on top of the faulty one."""
    with pytest.raises(Refused, match=words):
        plan(seen)


def test_a_cause_without_a_time_is_refused() -> None:
    """Commits must carry the same time on every try."""
    with pytest.raises(Refused, match="seen_at"):
        plan(history(), None)
