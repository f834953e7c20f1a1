"""What the post-mortem tells, and in which order."""

from datetime import UTC, datetime, timedelta

import pytest

from recovery.hotfixes import HotfixPlan
from recovery.incidents import Cause, Source
from recovery.proposals import FixKind, FixProposal
from recovery.readings import Point
from recovery.releases import Release
from recovery.reverts import Commit, Proof, Pushed, RevertPlan
from recovery.rollouts import Mark, Revision, Rollout, Standing
from recovery.timelines import Harm, Story, harm_of, mended, since_first, taken_back, tell_story

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAN = RevertPlan(
    "shop", "acme/shop", "main", "v", "v1.2.0", "e" * 40, "v1.1.0", "b" * 40, "v1.2.1", NOW,
    "Revert release v1.2.0", "", "", (), (), None,
)  # fmt: skip


def after(minutes: float) -> datetime:
    """So long after the faulty version was deployed."""
    return NOW + timedelta(minutes=minutes)


def told(*, kept: tuple[Commit, ...] = (), marked: str = "h2", seen_at: datetime | None = None) -> Story:
    """The story of v1.2.0: deployed 0, failing 1, seen 2, undone 3, published 5, patch deployed 6."""
    undone = Mark(Standing.FAULTY, marked, "undone", after(3))
    revisions = (
        Revision(2, "shop-h2", "h2", "v1.2.0", after(0), undone),
        Revision(3, "shop-h1", "h1", "v1.1.0", after(3)),
        Revision(4, "shop-h4", "h4", "v1.2.1", after(6)),
    )
    rollout = Rollout("shop", "acme", "shop", "u", "v1.2.1", 4, 4, 3, 3, 3, 3, revisions=revisions)
    release = Release(9, "v1.2.1", "v1.2.1", "", False, False, after(5))
    cause = Cause(sentence="checkout fails", source=Source.MONITOR, seen_at=seen_at or after(2))
    pushed = Pushed("f" * 40, "e" * 40, "t", "v1.2.1", kept, "pushed")
    return tell_story(cause, rollout, taken_back(PLAN), pushed, Proof(()), [release], Harm(100, 31, after(1), after(3)))


def test_every_event_stands_in_the_order_it_happened_with_its_source() -> None:
    """The cluster, Prometheus, the caller and GitHub each tell their own."""
    assert [(event.what, event.source) for event in told().events] == [
        ("v1.2.0 deployed", "ReplicaSets of deployment acme/shop"),
        ("first failed request", "Prometheus"),
        ("detected by monitor", "monitor"),
        ("undone: the cluster asks for v1.1.0 again", "ReplicaSets of deployment acme/shop"),
        ("v1.2.1 published", "GitHub Releases"),
        ("v1.2.1 deployed by the pipeline", "ReplicaSets of deployment acme/shop"),
    ]


def test_an_alarm_that_was_late_is_told_late() -> None:
    """The order is that of the clocks, never that of our steps."""
    assert told(seen_at=after(60)).events[-1].what == "detected by monitor"


def test_a_mark_of_another_template_tells_no_undo() -> None:
    """kubectl carried it on to this revision."""
    assert not [event for event in told(marked="h1").events if event.what.startswith("undone")]


@pytest.mark.parametrize(
    ("kept", "headline"),
    [((), "shop is restored to v1.2.1 (= v1.1.0)"), ((Commit("a", "Later"),), "shop is restored to v1.2.1")],
)
def test_the_headline_claims_equality_only_where_it_holds(kept: tuple[Commit, ...], headline: str) -> None:
    """Later work that was kept makes the patch something else than the stable release."""
    assert told(kept=kept).headline == headline


def test_harm_is_summed_whatever_the_order_of_the_points() -> None:
    """First and last are the first and last interval with a failure."""
    points = [
        Point(after(3), 10, 0, 0),
        Point(after(1), 20, 4, 5),
        Point(after(2), 10, 1, 1),
        Point(after(0), 60, 0, 0),
    ]

    assert harm_of(points) == Harm(100, 6, after(1), after(2))
    assert str(harm_of(points)) == "6 of 100 requests failed (6.0%)"


def test_no_measurement_is_said_and_not_divided_by() -> None:
    """Without a point nobody claims that nothing failed."""
    assert str(harm_of([])) == "no requests were measured"


def test_times_are_counted_from_the_first_event() -> None:
    """The first stands at zero, the last at six minutes."""
    spans = [span for _, span in since_first(told().events)]

    assert (spans[0], spans[-1]) == (timedelta(0), timedelta(minutes=6))


def test_a_hotfix_claims_no_equality() -> None:
    """Its headline says what it is, and the remedy what it took out again."""
    plan = HotfixPlan(
        "shop", "acme/shop", "main", "v", "v1.2.0", "e" * 40, None, None, "v1.2.1", "hotfix/v1.2.1", after(0),
        "checkout fails", "migrations", (), (), None,
    )  # fmt: skip
    proposal = FixProposal(FixKind.PULL_REQUEST, "Revert coupons", "it fits", takes_out=(Commit("c", "Coupons"),))
    pushed = Pushed("f" * 40, "e" * 40, "t", "v1.2.1", (), "pushed")
    rollout = Rollout("shop", "acme", "shop", "u", "v1.2.1", 4, 4, 3, 3, 3, 3)
    cause = Cause(sentence="checkout fails", seen_at=after(2))

    story = tell_story(cause, rollout, mended(plan, proposal), pushed, Proof(()), [], Harm(0, 0, None, None))

    assert story.headline == "shop is restored by v1.2.1, a hotfix of v1.2.0"
    assert story.remedy.taken_out == proposal.takes_out
    assert mended(plan, None).title == "Mend v1.2.0"
