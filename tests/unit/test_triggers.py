"""The judgement over a watched release: at, below and above each limit, and who is to blame."""

from math import exp, factorial, nan

import pytest

from recovery.chance import CHANCE, fewest_beyond_chance
from recovery.readings import Point
from recovery.verdicts import Answer, Trigger
from tests.unit.points import WINDOW, breached, judged, point, spread, steady, two_windows


class TestLimits:
    """At, below and above each limit."""

    def test_a_breach_carries_arithmetic_that_can_be_checked_by_hand(self) -> None:
        """So many of so many, in what time, the share, the limit, and for how long."""
        verdict = judged(steady(1, 19, requests=30) + steady(20, 23, requests=30, errors=10))

        assert verdict.answer is Answer.BREACH
        assert verdict.reason == (
            "5xx: 40 of 600 requests in 5m = 6.67 %, limit 1 %, bad for 30s (needs 30s);"
            " availability: 560 of 600 requests succeeded in 5m = 93.333 %, limit 99.9 %, bad for 45s (needs 30s)"
        )

    @pytest.mark.parametrize(("errors", "expected"), [(20, False), (42, False), (43, True), (44, True)])
    def test_5xx(self, errors: int, expected: bool) -> None:
        """2,000 requests: 20 errors are the limit, 43 are more than a service at its limit shows."""
        verdict = judged(two_windows(requests=2000, errors=errors), availability=0.5)

        assert (verdict.answer is Answer.BREACH) is expected
        assert breached(verdict) == ({Trigger.ERRORS} if expected else set())
        assert ("43 are beyond chance" in verdict.reason) is (errors == 42)

    @pytest.mark.parametrize(("failed", "expected"), [(5, False), (17, False), (18, True), (19, True)])
    def test_availability(self, failed: int, expected: bool) -> None:
        """99.9 % of 5,000 requests: 5 failures are the limit, 18 are more than a service at its limit shows."""
        verdict = judged(two_windows(requests=5000, failed=failed))

        assert (verdict.answer is Answer.BREACH) is expected
        assert breached(verdict) == ({Trigger.AVAILABILITY} if expected else set())

    @pytest.mark.parametrize(("failed", "expected"), [(0, False), (3, False), (4, True), (60, True)])
    def test_the_critical_function(self, failed: int, expected: bool) -> None:
        """5 % of 60 probes: 3 failed ones are the limit, 4 are above it."""
        verdict = judged(two_windows(probes=60, probes_failed=failed))

        assert (verdict.answer is Answer.BREACH) is expected
        assert breached(verdict) == ({Trigger.CRITICAL_FUNCTION} if expected else set())

    def test_what_was_an_error_has_failed_for_the_customer(self) -> None:
        """Errors count against availability, also where they were not counted as failed."""
        verdict = judged(steady(1, 20, requests=100, errors=50, failed=0))

        assert breached(verdict) == {Trigger.ERRORS, Trigger.AVAILABILITY}

    @pytest.mark.parametrize(("total", "share"), [(100, 0.01), (612, 0.01), (2000, 0.01), (500, 0.001), (5000, 0.001)])
    def test_chance_is_the_poisson_distribution(self, total: int, share: float) -> None:
        """The number said is the smallest whose tail is below 1e-5, summed here term by term."""

        def tail(count: int) -> float:
            mean = total * share
            return sum(exp(-mean) * mean**each / factorial(each) for each in range(count, count + 60))

        fewest = fewest_beyond_chance(total, share)

        assert tail(fewest) <= CHANCE
        assert tail(fewest - 2) > CHANCE  # the bound in use may be one too careful


class TestSamples:
    """Small samples, accidents, and trouble that does not last."""

    @pytest.mark.parametrize(("requests", "expected"), [(19, Answer.WATCH), (20, Answer.BREACH)])
    def test_too_few_requests_are_not_judged(self, requests: int, expected: Answer) -> None:
        """Below 20 requests in the window most of them may fail, and the smallness is told."""
        verdict = judged(two_windows(requests=requests, errors=15))

        assert verdict.answer is expected
        assert ("too few to judge: 20 are needed" in verdict.reason) is (expected is Answer.WATCH)

    @pytest.mark.parametrize(("probes", "expected"), [(5, Answer.WATCH), (6, Answer.BREACH)])
    def test_too_few_probes_are_not_judged(self, probes: int, expected: Answer) -> None:
        """Below 6 probes in the window all of them may fail."""
        assert judged(two_windows(probes=probes, probes_failed=probes)).answer is expected

    @pytest.mark.parametrize(("errors", "expected"), [(9, Answer.WATCH), (10, Answer.BREACH)])
    def test_a_few_failures_are_an_accident(self, errors: int, expected: Answer) -> None:
        """Of 100 requests 9 failures are beyond chance, but fewer than 10."""
        assert fewest_beyond_chance(100, 0.01) == 9

        assert judged(two_windows(requests=100, errors=errors)).answer is expected

    @pytest.mark.parametrize(("failed", "expected"), [(2, Answer.WATCH), (3, Answer.BREACH)])
    def test_two_failed_probes_are_an_accident(self, failed: int, expected: Answer) -> None:
        """Of 6 probes 2 failed ones are a third, but fewer than 3."""
        assert judged(two_windows(probes=6, probes_failed=failed)).answer is expected

    @pytest.mark.parametrize(("steps", "expected"), [(1, Answer.WATCH), (2, Answer.WATCH), (3, Answer.BREACH)])
    def test_trouble_must_last(self, steps: int, expected: Answer) -> None:
        """The windows that end now, 15 and 30 seconds ago have to be bad; two of them do not span 30 seconds."""
        verdict = judged(steady(1, 30, requests=100) + steady(31, 30 + steps, requests=100, errors=90))

        assert verdict.answer is expected
        assert f"bad for {15 * (steps - 1)}s (needs 30s)" in verdict.reason

    def test_trouble_that_is_over_is_no_longer_a_reason_to_act(self) -> None:
        """Windows stay bad for minutes after the last failure; that it is over counts more."""
        trouble = steady(1, 20, requests=100, errors=20)

        assert judged(trouble).answer is Answer.BREACH
        over = judged(trouble + steady(21, 22, requests=100))
        assert over.answer is Answer.WATCH
        assert "5xx: 360 of 2000 requests in 5m = 18.00 %, limit 1 %" in over.reason
        assert "but over: 0 of 200 in the last 30s" in over.reason

    def test_one_burst_is_not_lasting_trouble(self) -> None:
        """A step in which everything failed, and minutes later a single failure."""
        points = [*steady(1, 30, requests=100), point(31, requests=100, errors=100)]
        points += [point(step, requests=100, errors=int(step == 40)) for step in range(32, 60)]

        verdicts = [judged(points[:last]) for last in range(31, 60)]

        assert {verdict.answer for verdict in verdicts} == {Answer.WATCH}

    def test_a_service_that_fails_in_bursts_needs_more_of_them(self) -> None:
        """Three bursts of ten in five minutes are three accidents, thirty failures spread out are not."""
        bursts = [point(step, requests=250, errors=10 * (step in (24, 32, 40))) for step in range(1, 42)]
        evenly = [point(step, requests=250, errors=1 + (step % 2)) for step in range(1, 42)]

        assert judged(bursts).answer is Answer.WATCH
        assert judged(evenly).answer is Answer.BREACH

    def test_a_burst_does_not_hide_the_trouble_that_follows(self) -> None:
        """After a burst, trouble of half its strength is found before the window has forgotten the burst."""
        points = [*steady(1, 30, requests=100), point(31, requests=100, errors=100), *steady(32, 36, requests=100)]
        points += steady(37, 57, requests=100, errors=50)

        assert any(judged(points[:last]).answer is Answer.BREACH for last in range(37, 31 + WINDOW))

    def test_trouble_that_drives_everybody_away_still_lasts(self) -> None:
        """When nobody asks any more after the failures, that is not their end."""
        points = steady(1, 20, requests=100) + steady(21, 22, requests=100, errors=90)

        assert judged(points + steady(23, 24)).answer is Answer.BREACH

    def test_a_hole_breaks_the_duration_of_trouble(self) -> None:
        """Bad windows on both sides of a hole do not show that it was bad in between; one lost step is bridged."""
        points = steady(1, 20, requests=100) + steady(21, 21, requests=100, errors=90)

        assert judged([*points, point(24, requests=100, errors=90)]).answer is Answer.WATCH
        assert judged([*points, point(23, requests=100, errors=90)]).answer is Answer.BREACH

    def test_windows_begin_with_the_watch(self) -> None:
        """What the old version did before the release is not counted against the new one."""
        before = steady(-19, 0, requests=1000, errors=1000)

        verdict = judged([*before, *steady(1, 8, requests=100)])

        assert verdict.answer is Answer.WATCH
        assert "5xx: 0 of 800 requests in 2m = 0.00 %" in verdict.reason


class TestGuilt:
    """Trouble that began before the release is told, not reverted."""

    @pytest.mark.parametrize(
        ("earlier", "expected"),
        [
            (20, Answer.BREACH),  # at the limit: nothing was wrong before
            (99, Answer.BREACH),
            (100, Answer.BREACH),  # now is twice as bad
            (101, Answer.WATCH),
            (300, Answer.WATCH),
        ],
    )
    def test_the_same_trouble_before_is_an_excuse(self, earlier: int, expected: Answer) -> None:
        """10 % now against so many of 2,000 before: an excuse unless now is at least twice as bad."""
        before = spread(1 - WINDOW, 0, requests=2000, errors=earlier)

        verdict = judged(steady(1, 20, requests=100, errors=10), before, availability=0.5)

        assert verdict.answer is expected
        assert breached(verdict) == {Trigger.ERRORS}
        if expected is Answer.WATCH:
            assert verdict.reason == (
                f"the trouble began before the release: 5xx: {earlier} of 2000 requests in 5m = {earlier / 20:.2f} %,"
                " limit 1 % before it, now 200 of 2000 = 10.00 %"
            )

    @pytest.mark.parametrize(("earlier", "expected"), [(200, Answer.BREACH), (201, Answer.WATCH)])
    def test_a_past_at_the_limit_is_none(self, earlier: int, expected: Answer) -> None:
        """1 % before is what the team accepts, however close 1.5 % is to it."""
        before = spread(1 - WINDOW, 0, requests=20_000, errors=earlier)

        assert judged(steady(1, 20, requests=1000, errors=15), before, availability=0.5).answer is expected

    def test_another_trouble_is_none(self) -> None:
        """A checkout that breaks with the release is its fault, whatever 5xx there were before."""
        before = spread(1 - WINDOW, 0, requests=2000, errors=200)

        verdict = judged(steady(1, 20, requests=100, errors=10, probes=3, probes_failed=3), before)

        assert verdict.answer is Answer.BREACH
        assert verdict.reason.startswith("critical function: 60 of 60 probes failed")
        assert "5xx" not in verdict.reason

    @pytest.mark.parametrize(
        "before",
        [
            pytest.param(spread(1 - WINDOW, 0, requests=19, errors=19), id="too small a sample"),
            pytest.param(spread(1 - WINDOW, 0, requests=100, errors=2), id="an accident"),
            pytest.param(spread(1 - 2 * WINDOW, -WINDOW, requests=2000, errors=400), id="too long ago"),
            pytest.param([point(0, requests=nan, errors=nan)], id="unreadable"),
        ],
    )
    def test_a_poor_record_of_the_past_is_none(self, before: list[Point]) -> None:
        """What was before is unknown, and what is now is clear."""
        points = steady(1, 20, requests=100, errors=3)

        assert judged(points, before, availability=0.5).answer is Answer.BREACH
