"""What the monitor does about a verdict, and when customers are well again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.catalog import Limits
from recovery.incidents import Mode
from recovery.readings import Point, Watch
from recovery.rollouts import Stage
from recovery.verdicts import Answer, Verdict
from recovery.watching import Deed, follow, recovered

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WATCH = Watch("shop", "v1.2.0", NOW - timedelta(minutes=10), NOW + timedelta(minutes=50))
CYCLE = timedelta(seconds=30)


def blind(since: datetime | None) -> Verdict:
    """Blind since then."""
    return Verdict(Answer.BLIND, "nothing is seen", NOW, (), since)


@given(st.integers(0, 7 * 86400), st.sampled_from(Mode))
def test_blindness_never_reverts_and_never_certifies(seconds: int, mode: Mode) -> None:
    """However long it lasts, whoever decides."""
    deed = follow(WATCH, blind(NOW - timedelta(seconds=seconds)), mode, NOW).deed

    assert deed in {Deed.NOTHING, Deed.WAKE}


@given(st.integers(0, 29))
def test_blindness_wakes_before_two_minutes_are_over(phase: int) -> None:
    """Whenever in its cycle the monitor looks."""
    looks = [timedelta(seconds=phase) + n * CYCLE for n in range(4)]

    assert Deed.WAKE in {follow(WATCH, blind(NOW), Mode.ACT, NOW + look).deed for look in looks}


def test_one_spell_of_blindness_is_one_message_and_the_next_another() -> None:
    """The identity stays while the spell lasts."""
    first, later, second = (
        follow(WATCH, blind(since), Mode.ACT, now).identity
        for since, now in [(NOW, NOW + CYCLE), (NOW, NOW + 9 * CYCLE), (NOW + timedelta(hours=1), NOW)]
    )

    assert first == later != second


@given(st.sampled_from([each for each in Answer if each is not Answer.BREACH]), st.integers(-7200, 7200))
def test_only_a_breach_launches_and_only_health_certifies(answer: Answer, seconds: int) -> None:
    """At any time of the watch."""
    verdict = replace(blind(NOW), answer=answer)

    deed = follow(WATCH, verdict, Mode.ACT, NOW + timedelta(seconds=seconds)).deed

    assert deed is not Deed.LAUNCH
    assert (deed is Deed.CERTIFY) == (answer is Answer.HEALTHY)


@pytest.mark.parametrize(
    ("point", "stage"),
    [
        (Point(NOW, 10_000, 0, 9), Stage.SETTLED),
        (Point(NOW, 10_000, 0, 10), Stage.SETTLED),
        (Point(NOW, 10_000, 0, 11), Stage.MOVING),
        (Point(NOW, 0, 0, 0, 100, 5), Stage.SETTLED),
        (Point(NOW, 0, 0, 0, 100, 6), Stage.MOVING),
        (Point(NOW, 10_000, 0, 0, 100, 6), Stage.MOVING),
    ],
)
def test_customers_are_well_within_every_limit(point: Point, stage: Stage) -> None:
    """Below, at and above 0.1 % of requests and 5 % of probes."""
    limits = Limits(availability=0.999, probes=0.05)
    seen = recovered([point], limits)

    assert seen is not None
    assert seen.stage is stage


@pytest.mark.parametrize("points", [[], [Point(NOW, 0, 0, 0)], [Point(NOW, nan, 0, 0)], [Point(NOW, 5, 0, 9)]])
def test_what_was_not_seen_is_no_recovery(points: list[Point]) -> None:
    """No points, empty ones, and such as cannot be true."""
    assert recovered(points, Limits()) is None
