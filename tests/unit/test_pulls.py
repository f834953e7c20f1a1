"""Whether a pull request may be merged now, and if not, what has to happen."""

import re
from dataclasses import replace

import pytest

from recovery.errors import Refused
from recovery.pulls import Checks, Protection, PullRequest, Readiness, choose_method, judge_checks, worst_outcome

PULL = PullRequest("acme/shop", 7, "https://github.com/acme/shop/pull/7", "revert", "a" * 40, "main", False, True, None)
CLEAN = Checks(True, "clean")
FREE = Protection()
GUARDED = Protection(pull_request=True, required_checks=("build", "test"), reviews=1)


@pytest.mark.parametrize("state", ["clean", "unstable", "has_hooks"])
def test_what_github_would_merge_is_ready(state: str) -> None:
    """`unstable` means that a check failed which nobody asked for."""
    assert judge_checks(PULL, Checks(True, state), FREE).verdict is Readiness.READY


def test_a_check_that_nobody_asked_for_does_not_hold_a_recovery_and_is_said() -> None:
    """The branch's owners decided what may hold a change."""
    standing = judge_checks(PULL, Checks(True, "unstable", {"lint": "failure", "docs": "pending"}), FREE)

    assert standing.verdict is Readiness.READY
    assert standing.reason == f"{PULL.url} may be merged; not asked for by main: docs, lint"


def test_one_that_is_merged_is_ready_whatever_else_is_seen() -> None:
    """Nothing is left to be asked of it."""
    merged = replace(PULL, open=False, merged_as="b" * 40)

    assert judge_checks(merged, Checks(None, "unknown"), GUARDED).verdict is Readiness.READY


@pytest.mark.parametrize(
    ("pull", "checks", "protection", "way_out"),
    [
        (replace(PULL, open=False), CLEAN, FREE, "was closed without being merged: reopen it"),
        (replace(PULL, draft=True), CLEAN, FREE, "is a draft: read it, then press 'Ready for review'"),
        (PULL, Checks(False, "dirty"), FREE, "conflicts with main: resolve the conflicts there"),
        (PULL, Checks(False, "unknown"), FREE, "conflicts with main"),
        (PULL, CLEAN, Protection(merge_queue=True), "from its merge queue only: press 'Merge when ready'"),
        (PULL, Checks(True, "blocked", {"build": "failure", "test": "pending"}), GUARDED, r"build \(failure\); mend"),
        (PULL, Checks(True, "blocked", {"build": "timed_out"}), GUARDED, r"build \(timed_out\); mend it or run"),
    ],
)
def test_what_only_a_person_can_mend_is_blocked(
    pull: PullRequest, checks: Checks, protection: Protection, way_out: str
) -> None:
    """The reason has the link and what to do."""
    standing = judge_checks(pull, checks, protection)

    assert standing.verdict is Readiness.BLOCKED
    assert pull.url in standing.reason
    assert re.search(way_out, standing.reason)


@pytest.mark.parametrize(
    ("checks", "way_out"),
    [
        (Checks(None, "unknown"), "GitHub has not yet found out"),
        (Checks(True, "unknown"), "GitHub has not yet found out"),
        (Checks(True, "blocked"), r"waiting for build \(not started\), test \(not started\), which main asks for"),
        (Checks(True, "blocked", {"build": "success", "test": "in_progress"}), r"waiting for test \(in_progress\)"),
        (Checks(True, "clean", {"build": "success", "test": "queued"}), r"waiting for test \(queued\)"),
        (Checks(True, "blocked", {"build": "success", "test": "neutral"}), "has 0 of 1 approvals: review it"),
        (Checks(True, "blocked", {"build": "success", "test": "success"}, 1, ("mina",)), "mina asked for changes"),
        (Checks(True, "blocked", {"build": "success", "test": "success"}, 1), "does not say over its API why"),
    ],
)
def test_what_is_still_to_come_is_waited_for(checks: Checks, way_out: str) -> None:
    """From GitHub, from a check, from people; each with its link."""
    standing = judge_checks(PULL, checks, GUARDED)

    assert standing.verdict is Readiness.WAITING
    assert PULL.url in standing.reason
    assert re.search(way_out, standing.reason)


@pytest.mark.parametrize("outcomes", [{"build": "success", "test": "success"}, {"build": "in_progress"}, {}])
def test_a_head_that_its_base_left_behind_is_told_before_its_checks(outcomes: dict[str, str]) -> None:
    """They are asked for again of the head that is up to date."""
    standing = judge_checks(PULL, Checks(True, "blocked", outcomes, behind=True), GUARDED)

    assert standing.verdict is Readiness.BEHIND
    assert standing.reason == f"{PULL.url} does not contain the newest main: press 'Update branch' there"


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        (Checks(True, "blocked", {"build": "failure"}, behind=True), Readiness.BLOCKED),
        (Checks(False, "dirty", behind=True), Readiness.BLOCKED),
        (Checks(None, "behind", behind=True), Readiness.BEHIND),
    ],
)
def test_what_only_a_person_can_mend_outranks_being_behind(checks: Checks, verdict: Readiness) -> None:
    """A red check or a conflict does not go away with a newer main."""
    assert judge_checks(PULL, checks, GUARDED).verdict is verdict


def test_checks_that_the_token_may_not_see_are_left_to_github() -> None:
    """GitHub says that it would merge, so the required checks are there."""
    assert judge_checks(PULL, CLEAN, GUARDED).verdict is Readiness.READY


@pytest.mark.parametrize(
    ("first", "second", "worst"),
    [
        (None, "success", "success"), ("success", "failure", "failure"), ("failure", "success", "failure"),
        ("skipped", "pending", "pending"), ("pending", "success", "pending"), ("pending", "error", "error"),
        ("failure", "pending", "failure"),
    ],
)  # fmt: skip
def test_of_two_checks_of_one_name_the_worse_counts(first: str | None, second: str, worst: str) -> None:
    """Two workflows may call their job the same."""
    assert worst_outcome(first, second) == worst


@pytest.mark.parametrize(
    ("allowed", "chosen"),
    [(("rebase", "squash", "merge"), "merge"), (("rebase", "squash"), "squash"), (("rebase",), "rebase")],
)
def test_a_merge_is_preferred_to_a_squash_and_that_to_a_rebase(allowed: tuple[str, ...], chosen: str) -> None:
    """The less the proved commit is changed, the better."""
    assert choose_method(allowed) == chosen


def test_a_repository_that_allows_no_way_of_merging_is_refused() -> None:
    """The refusal says where to allow one."""
    with pytest.raises(Refused, match=r"GitHub names none, usable are merge, squash, rebase\): allow one in"):
        choose_method(())


def test_a_protection_is_told_in_a_sentence() -> None:
    """People read it in the plan."""
    strict = replace(GUARDED, signatures=True, merge_queue=True, strict=True, reviews=2)

    assert str(FREE) == "asks for nothing"
    assert str(GUARDED) == "asks for a pull request, 1 review, the checks build, test"
    assert str(strict).endswith("2 reviews, the checks build, test, to be up to date, signed commits, its merge queue")


@pytest.mark.parametrize(
    ("protection", "refuses"),
    [
        (FREE, False), (Protection(signatures=True, strict=True), False), (Protection(pull_request=True), True),
        (Protection(merge_queue=True), True), (Protection(required_checks=("build",)), True),
    ],
)  # fmt: skip
def test_a_branch_that_wants_checks_takes_no_push(protection: Protection, refuses: bool) -> None:
    """A commit that was never pushed before cannot have passed any."""
    assert protection.refuses_push is refuses
