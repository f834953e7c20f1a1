"""Which release is the previous stable one, and what the revert of the faulty one is."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause
from recovery.pulls import Protection
from recovery.releases import Release, choose_stable
from recovery.reverts import Commit, History, Literal, Preview, RevertPlan, plan_revert
from recovery.versions import parse_version
from recovery.ways import Decision, Way, choose_way
from recovery.wording import revert_message

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


SEEN = Preview("e", "t", (), ("shop.py",), (), False, Literal.SAME, (), (), ())


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
    message = revert_message(made, SEEN)
    assert message.startswith("Revert release v1.2.0\n\ncheckout fails\n")
    assert message.endswith(
        "Reverts-Release: v1.2.0 e\nRestores-Release: v1.1.0 b\nRestored-Tree: t\nIncident: shop/v1.2.0\n"
    )


def test_a_patch_that_already_did_it_is_found_and_not_made_again() -> None:
    """v1.2.1 says that it reverts v1.2.0."""
    made = plan(history(tags=("v1.1.0", "v1.2.0", "v1.2.1"), later=("v1.2.1",), patches={"v1.2.1": "f"}))

    assert (made.done_as, made.patch_tag) == ("v1.2.1", "v1.2.1")


def test_a_pre_release_on_top_is_no_newer_release_and_is_named() -> None:
    """Known by its number, or by its Release's flag; a final one is refused whatever else is there."""
    later = ("v1.3.0-rc.1", "v1.4.0", "other/v2.0.0")
    releases = [release("v1.1.0"), release("v1.4.0", prerelease=True)]
    cause = Cause(sentence="checkout fails", seen_at=NOW)

    made = plan_revert(SHOP, FAULTY, history(later=later), releases, cause)

    assert made.patch_tag == "v1.2.1"
    assert made.reason.endswith("; v1.3.0-rc.1, v1.4.0 was built on v1.2.0 and has it still")
    with pytest.raises(Refused, match=r"v1\.4\.0 was released on top"):
        plan_revert(SHOP, FAULTY, history(later=later), [release("v1.1.0")], cause)


def test_a_draft_takes_no_number() -> None:
    """It comes and goes between two looks: the second would plan another patch release. A published one keeps its."""
    cause = Cause(sentence="checkout fails", seen_at=NOW)
    for given, patch in (({"draft": True}, "v1.2.1"), ({}, "v1.2.2")):
        releases = [release("v1.1.0"), release("v1.2.1", **given)]
        assert plan_revert(SHOP, FAULTY, history(), releases, cause).patch_tag == patch


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


def test_where_a_hotfix_has_mended_it_nothing_is_left_to_take_out() -> None:
    """Whoever asks again, as a recovery does that died when its hotfix was prepared, fails at nothing."""
    made = plan(history(later=("v1.2.1", "v1.3.0"), mends={"v1.2.1": "f"}))

    decision = choose_way(SHOP, made, SEEN, "a migration", Protection(), signing=False)

    assert decision.way is Way.MENDED
    assert decision.reason == "v1.2.0 was mended by the hotfix v1.2.1: if that one is faulty too, respond to v1.2.1"


def test_a_cause_without_a_time_is_refused() -> None:
    """Commits must carry the same time on every try."""
    with pytest.raises(Refused, match="seen_at"):
        plan(history(), None)


def test_a_tag_that_was_moved_since_it_was_deployed_is_refused() -> None:
    """What the pipeline deployed is what customers have; the tag says something else now."""
    cause = Cause(sentence="checkout fails", seen_at=NOW)

    with pytest.raises(Refused, match=r"v1\.2\.0 was moved: the pipeline deployed d0"):
        plan_revert(SHOP, FAULTY, history(), [release("v1.1.0")], cause, deployed="d0")


def test_a_newer_release_made_elsewhere_is_a_doubt_until_a_person_confirms_or_main_has_it() -> None:
    """v1.1.1 was a hotfix on a side branch: going back to v1.1.0 would ship without it."""
    releases = [release("v1.1.0"), release("v1.1.1")]

    doubted = choose_stable(FAULTY, releases, CONTAINED)
    merged = choose_stable(FAULTY, releases, CONTAINED, on_main={"v1.1.1"})
    confirmed = choose_stable(FAULTY, releases, CONTAINED, confirmed="v1.1.0")

    assert doubted.doubt is not None
    assert "confirm with '--to v1.1.0'" in doubted.doubt
    assert (merged.version.tag, merged.doubt) == ("v1.1.0", None)
    assert (confirmed.doubt, confirmed.reason.startswith("chosen by a person")) == (None, True)


def test_a_version_that_is_no_candidate_cannot_be_confirmed() -> None:
    """The refusal lists what can be chosen."""
    with pytest.raises(Refused, match=r"'v1\.0\.9' is no stable release .*: v1\.1\.0, v1\.0\.0"):
        choose_stable(FAULTY, [release("v1.1.0"), release("v1.0.0")], CONTAINED, confirmed="v1.0.9")


def test_releases_taken_back_before_are_not_gone_back_to() -> None:
    """Known by their notes, by the commits that revert them, and by the catalogue."""
    noted = Release(1, "v1.1.0", "", "> Taken back by v1.1.1. Do not deploy.", False, False, NOW)

    assert choose_stable(FAULTY, [noted, release("v1.0.0")], CONTAINED).version.tag == "v1.0.0"
    cause = Cause(sentence="checkout fails", seen_at=NOW)
    for service, seen in (
        (SHOP, history(contained=CONTAINED, reverted=("v1.1.0",))),
        (SHOP.model_copy(update={"quarantine": ("v1.1.0",)}), history(contained=CONTAINED)),
    ):
        made = plan_revert(service, FAULTY, seen, [release("v1.1.0"), release("v1.0.0")], cause)
        assert made.stable_tag == "v1.0.0"


def test_each_way_is_chosen_for_its_reason() -> None:
    """Push where nothing stands against it, a pull request where main or the catalogue wants one, else a hotfix."""
    made, asks = plan(history()), SHOP.model_copy(update={"via": "pull-request"})
    conflict = replace(SEEN, tree=None, conflicts=("shop.py",))

    def way(service: Service, seen: Preview, obstacle: str | None, protection: Protection) -> Way:
        return choose_way(service, made, seen, obstacle, protection, signing=False).way

    assert way(SHOP, SEEN, None, Protection()) is Way.PUSH
    assert way(asks, SEEN, None, Protection()) is Way.PULL_REQUEST
    assert way(SHOP, SEEN, None, Protection(pull_request=True)) is Way.PULL_REQUEST
    assert way(SHOP, SEEN, "a migration lies between", Protection()) is Way.HOTFIX
    assert way(SHOP, conflict, None, Protection()) is Way.HOTFIX
    assert way(SHOP, replace(SEEN, broken=("something is lost",)), None, Protection()) is Way.HOTFIX


def test_a_revert_that_is_on_main_already_is_tagged() -> None:
    """Whatever it gave and whatever main asks for by now; where it is not feasible, or in doubt, people come first."""
    made = plan(history(landed="c" * 40))
    conflict = replace(SEEN, tree=None, conflicts=("shop.py",))

    for seen, protection in ((SEEN, Protection()), (conflict, Protection(pull_request=True, merge_queue=True))):
        decision = choose_way(SHOP, made, seen, None, protection, signing=False)
        assert decision.way is Way.TAG
        assert decision.reason == f"v1.2.0 was taken out of main by {'c' * 12} already: only the tag v1.2.1 is missing"
    assert choose_way(SHOP, made, SEEN, "a migration", Protection(), signing=False).way is Way.HOTFIX
    assert choose_way(SHOP, replace(made, doubt="?"), SEEN, None, Protection(), signing=False).way is Way.CONFIRM


def test_what_main_asks_for_and_we_cannot_give_is_refused() -> None:
    """A merge queue; a signature without a key; with a key the signature is no obstacle."""
    made = plan(history())

    with pytest.raises(Refused, match="merged through a queue"):
        choose_way(SHOP, made, SEEN, None, Protection(merge_queue=True), signing=True)
    with pytest.raises(Refused, match="RIPCORD_SIGNING_KEY"):
        choose_way(SHOP, made, SEEN, None, Protection(signatures=True), signing=False)
    assert choose_way(SHOP, made, SEEN, None, Protection(signatures=True), signing=True).way is Way.PUSH


def test_two_releases_that_do_not_differ_are_nothing_to_take_back() -> None:
    """An empty release, or one that touched nothing of this service in a shared repository."""
    with pytest.raises(Refused, match=r"v1\.2\.0 and v1\.1\.0 do not differ: there is nothing to take back"):
        choose_way(SHOP, plan(history()), replace(SEEN, touched=()), None, Protection(), signing=False)


def test_a_doubt_is_confirmed_by_a_person_before_anything_is_pushed() -> None:
    """By whatever way it would go; nobody is asked about what is done, or is a hotfix anyway."""
    doubt = "v1.1.1 is newer: confirm with '--to v1.1.0'"
    made = replace(plan(history()), doubt=doubt)

    for protection in (Protection(), Protection(pull_request=True)):
        assert choose_way(SHOP, made, SEEN, None, protection, signing=False) == Decision(Way.CONFIRM, doubt)
    assert choose_way(SHOP, made, SEEN, "a migration", Protection(), signing=False).way is Way.HOTFIX
    assert choose_way(SHOP, replace(made, done_as="v1.2.1"), SEEN, None, Protection(), signing=False).way is Way.DONE
