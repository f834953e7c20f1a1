"""What must not change the judgement over a watched release, for whatever was measured."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import nan
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from recovery.catalog import Limits
from recovery.readings import Point
from recovery.triggers import judge
from recovery.verdicts import Answer
from tests.unit.points import LAST, STEP, WATCH, altered, judged, point, steady


@st.composite
def records(draw: st.DrawFn, least: int = 0) -> list[Point]:
    """Up to ten minutes of points with lost steps, trouble of every size and silence of both kinds."""
    steps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=40, unique=True))
    level = draw(st.sampled_from([0.0, 0.01, 0.05, 1.0]))
    made = []
    for step in steps:
        requests = draw(st.integers(least, 400))
        errors = draw(st.integers(0, round(requests * level)))
        failed = draw(st.integers(errors, requests)) if level == 1 else errors
        probes = draw(st.integers(0, 3))
        known, tried = draw(st.integers(0, 9)) > 0, draw(st.integers(0, 9)) > 0
        made.append(
            point(
                step,
                requests=requests * known,
                errors=errors * known,
                failed=failed * known,
                probes=probes * tried,
                probes_failed=draw(st.integers(0, probes)) * tried,
                requests_known=known,
                probes_known=tried,
            )
        )
    return made


@given(records(), st.randoms(use_true_random=False), st.integers(0, 8))
def test_the_order_of_the_points_is_irrelevant(points: list[Point], chance: Random, late: int) -> None:
    """Shuffled points get the same verdict, to the letter."""
    shuffled = sorted(points, key=lambda _: chance.random())
    now = max(each.at for each in points) + late * STEP

    assert judged(shuffled, now=now) == judged(points, now=now)


@given(records(), st.data())
def test_a_point_that_comes_twice_counts_once(points: list[Point], data: st.DataObject) -> None:
    """Repeated points, and earlier, less full readings of the same step, change nothing."""
    again = data.draw(st.lists(st.sampled_from(points)))
    early = [replace(each, requests=0.0, errors=0.0, failed=0.0, probes=0.0, probes_failed=0.0) for each in again]

    assert judged([*again, *points, *early]) == judged(points)


@given(records(), records(), st.timedeltas(timedelta(-9999), timedelta(9999)))
def test_shifting_all_times_keeps_the_verdict(points: list[Point], earlier: list[Point], shift: timedelta) -> None:
    """Only durations matter: the same hour on another day is judged the same, with the same words."""
    before = [replace(each, at=each.at - 41 * STEP) for each in earlier]
    now = max(each.at for each in points)

    def moved(times: Sequence[Point]) -> list[Point]:
        return [replace(each, at=each.at + shift) for each in times]

    here = judge(WATCH, points, before, Limits(), now)
    watch = replace(WATCH, since=WATCH.since + shift, until=WATCH.until + shift)
    there = judge(watch, moved(points), moved(before), Limits(), now + shift)

    assert there == replace(here, at=here.at + shift, blind_since=here.blind_since and here.blind_since + shift)


@given(records(least=100), st.data())
def test_more_successes_never_make_a_breach(points: list[Point], data: st.DataObject) -> None:
    """Where the sample is large enough, successful requests only ever speak for the release."""
    more = [
        replace(each, requests=each.requests + data.draw(st.integers(0, 1000))) if each.requests_known else each
        for each in points
    ]

    if judged(points).answer is not Answer.BREACH:
        assert judged(more).answer is not Answer.BREACH


@given(records(), st.data())
def test_nonsense_is_never_healthy_and_never_a_breach(points: list[Point], data: st.DataObject) -> None:
    """A NaN anywhere in the window blinds; anywhere in the watch it bars the certificate."""
    now = max(each.at for each in points)
    recent = [each for each in points if now - each.at < Limits().window]
    victim = data.draw(st.sampled_from(recent))
    field = data.draw(st.sampled_from(["requests", "errors", "failed", "probes", "probes_failed"]))
    points[points.index(victim)] = altered(victim, **{field: nan})

    assert judged(points).answer is Answer.BLIND

    step = data.draw(st.integers(1, LAST))
    hour = steady(1, LAST, requests=100)
    hour[step - 1] = altered(hour[step - 1], **{field: nan})
    assert judged(hour).answer in (Answer.WATCH, Answer.BLIND)
