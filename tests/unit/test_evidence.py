"""What may be judged at all: silence, nonsense and clocks, and what a certificate needs."""

from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import pytest

from recovery.verdicts import Answer, Trigger
from tests.unit.points import LAST, SINCE, altered, at, breached, judged, point, spread, steady


class TestBlindness:
    """What was not seen, or cannot be true, is neither health nor fault."""

    @pytest.mark.parametrize(("seconds", "expected"), [(59, Answer.WATCH), (60, Answer.WATCH), (61, Answer.BLIND)])
    def test_no_points_at_all(self, seconds: int, expected: Answer) -> None:
        """A watch without any point is blind since its beginning, once the first ones are overdue."""
        verdict = judged([], now=SINCE + timedelta(seconds=seconds))

        assert verdict.answer is expected
        assert verdict.blind_since == (SINCE if expected is Answer.BLIND else None)

    @pytest.mark.parametrize(("seconds", "expected"), [(60, Answer.BREACH), (61, Answer.BLIND)])
    def test_stale_points_never_read_as_guilty(self, seconds: int, expected: Answer) -> None:
        """The newest point may be a minute old; after that even total failure is silence."""
        points = steady(1, 40, requests=100, errors=100)

        verdict = judged(points, now=at(40) + timedelta(seconds=seconds))

        assert verdict.answer is expected
        if expected is Answer.BLIND:
            assert verdict.blind_since == at(40)
            assert verdict.reason.startswith("requests: the newest point is 61s old, blind after 1m")

    @pytest.mark.parametrize("number", [nan, inf, -inf, -1.0])
    @pytest.mark.parametrize("field", ["requests", "errors", "failed", "probes", "probes_failed"])
    def test_numbers_that_cannot_be_true(self, field: str, number: float) -> None:
        """One such number in the window blinds, whatever the others say, since the last good point before it."""
        points = steady(1, 40, requests=100, errors=50, probes=3)
        points[34] = altered(points[34], **{field: number})

        verdict = judged(points)

        assert verdict.answer is Answer.BLIND
        assert verdict.blind_since == at(34)

    def test_parts_greater_than_the_whole(self) -> None:
        """More failures than requests cannot be: whatever counted that is broken."""
        calm = steady(1, 39, requests=100)

        assert judged([*calm, point(40, requests=5, errors=6)]).answer is Answer.BLIND
        assert judged([*calm, point(40, requests=5, probes=1, probes_failed=2)]).answer is Answer.BLIND

    @pytest.mark.parametrize(("step", "expected"), [(18, Answer.BREACH), (19, Answer.BLIND)])
    def test_nonsense_blinds_as_long_as_a_window_that_counts_holds_it(self, step: int, expected: Answer) -> None:
        """The oldest window that has to be bad ended 30 seconds ago, and began five minutes before."""
        points = steady(1, 40, requests=100, errors=50)
        points[step - 1] = point(step, requests=nan)

        assert judged(points).answer is expected

    def test_nonsense_is_not_covered_up_by_another_reading_of_the_same_step(self) -> None:
        """Whichever of the two comes first, the step cannot be trusted."""
        points, wrong = steady(1, 40, requests=100), point(30, requests=50, errors=nan)

        assert judged([*points, wrong]).answer is Answer.BLIND
        assert judged([wrong, *points]).answer is Answer.BLIND

    @pytest.mark.parametrize(("seconds", "expected"), [(30, Answer.BREACH), (31, Answer.BLIND)])
    def test_points_from_the_future(self, seconds: int, expected: Answer) -> None:
        """Two steps ahead of our clock are accepted; more mean that no time can be trusted."""
        points = steady(1, 40, requests=100, errors=50)

        verdict = judged(points, now=at(40) - timedelta(seconds=seconds))

        assert verdict.answer is expected
        if expected is Answer.BLIND:
            assert "31s in the future" in verdict.reason
            assert verdict.blind_since == at(37)

    @pytest.mark.parametrize(("missing", "expected"), [(3, Answer.WATCH), (4, Answer.BLIND)])
    def test_a_hole_in_the_last_window(self, missing: int, expected: Answer) -> None:
        """A hole of more than a minute in the last five blinds, since the point before it."""
        verdict = judged(steady(1, 30, requests=100) + steady(31 + missing, 45, requests=100))

        assert verdict.answer is expected
        assert verdict.blind_since == (at(30) if expected is Answer.BLIND else None)

    def test_holes_and_nonsense_of_the_past_do_not_blind_today(self) -> None:
        """A breach is found although half an hour ago there was a hole and a NaN."""
        points = [*steady(1, 20, requests=100), point(30, requests=nan), *steady(40, 120, requests=100, errors=50)]

        assert judged(points).answer is Answer.BREACH

    def test_silence_before_the_first_point_is_no_hole(self) -> None:
        """A new version that takes two minutes to start is not blind for the next five."""
        assert judged(steady(9, 20, requests=100)).answer is Answer.WATCH

    def test_one_kind_of_evidence_that_falls_silent_blinds(self) -> None:
        """Probes that go well do not make up for requests that we can no longer see."""
        points = steady(1, 20, requests=100, probes=3) + [
            replace(each, requests_known=False) for each in steady(21, 40, probes=3)
        ]

        verdict = judged(points)

        assert verdict.answer is Answer.BLIND
        assert verdict.reason == "requests: the newest point is 5m old, blind after 1m"
        assert verdict.blind_since == at(20)

    def test_a_clear_breach_outranks_the_silence_of_the_other_kind(self) -> None:
        """A service that died takes its counters with it; that its checkout fails is fresh and enough."""
        points = steady(1, 20, requests=100, probes=3) + [
            replace(each, requests_known=False) for each in steady(21, 40, probes=3, probes_failed=3)
        ]

        verdict = judged(points)

        assert verdict.answer is Answer.BREACH
        assert breached(verdict) == {Trigger.CRITICAL_FUNCTION}

    def test_evidence_that_was_there_before_the_release_is_missed(self) -> None:
        """Counters that vanish with the release are silence; ones the service never had are not."""
        points = [replace(each, requests_known=False) for each in steady(1, 10, probes=3)]

        assert judged(points, before=steady(-19, 0, requests=100)).answer is Answer.BLIND
        assert judged(points).answer is Answer.WATCH


class TestCertificate:
    """Healthy only when the watch is over and enough of it was seen."""

    def test_only_at_the_end(self) -> None:
        """One step before the end the same points are still under watch."""
        points = steady(1, LAST, requests=100)

        assert judged(points[:-1]).answer is Answer.WATCH
        assert judged(points).answer is Answer.HEALTHY
        assert judged(points, now=at(LAST) + timedelta(days=1)).answer is Answer.HEALTHY

    def test_points_after_the_end_are_ignored(self) -> None:
        """What happens after the hour is no longer this watch's."""
        points = steady(1, LAST, requests=100) + steady(LAST + 1, LAST + 40, requests=100, errors=100)

        assert judged(points).answer is Answer.HEALTHY

    @pytest.mark.parametrize(("requests", "expected"), [(0, Answer.WATCH), (99, Answer.WATCH), (100, Answer.HEALTHY)])
    def test_requests_are_enough_of_a_sample(self, requests: int, expected: Answer) -> None:
        """A service that hardly anybody used is never called healthy."""
        verdict = judged(spread(1, LAST, requests=requests))

        assert verdict.answer is expected
        if expected is Answer.WATCH:
            assert verdict.reason.startswith("not enough evidence to certify: ")
            assert f"{requests} requests in 1h, 100 are needed" in verdict.reason

    @pytest.mark.parametrize(("probes", "expected"), [(5, Answer.WATCH), (6, Answer.HEALTHY)])
    def test_so_are_probes(self, probes: int, expected: Answer) -> None:
        """A service without traffic can be certified by its probes."""
        assert judged(spread(1, LAST, probes=probes)).answer is expected

    @pytest.mark.parametrize(("lost", "expected"), [(24, Answer.HEALTHY), (25, Answer.WATCH)])
    def test_nine_tenths_of_the_steps_must_have_been_seen(self, lost: int, expected: Answer) -> None:
        """216 of 240 steps are 90 %."""
        verdict = judged(steady(1, 100, requests=100) + steady(101 + lost, LAST, requests=100))

        assert verdict.answer is expected

    def test_slow_trouble_is_not_certified(self) -> None:
        """2 % of few requests are beyond no window's chance, but the whole hour was above the limit."""
        verdict = judged(spread(1, LAST, requests=2400, errors=48), availability=0.5)

        assert verdict.answer is Answer.WATCH
        assert "over the whole watch 5xx: 48 of 2400 requests in 1h = 2.00 %, limit 1 %" in verdict.reason

    def test_one_error_does_not_cost_the_certificate(self) -> None:
        """1 of 400 is below 99.9 % of an hour, and an accident."""
        assert judged(spread(1, LAST, requests=400, errors=1)).answer is Answer.HEALTHY

    def test_a_breach_that_nobody_looked_at_in_time_wakes_a_person(self) -> None:
        """Points from the end of a watch that is long over say nothing about now."""
        points = steady(1, LAST, requests=100, errors=50)

        assert judged(points, now=at(LAST) + timedelta(seconds=60)).answer is Answer.BREACH
        late = judged(points, now=at(LAST) + timedelta(seconds=61))
        assert late.answer is Answer.BLIND
        assert "in breach when the watch ended 61s ago, too old to act on" in late.reason
        assert late.blind_since == at(LAST)
