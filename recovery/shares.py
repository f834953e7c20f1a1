"""A trigger as a share: so many failures of so many, held against its limit over rolling windows."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, fsum

from recovery.catalog import Limits
from recovery.chance import burst_size, fewest_beyond_chance
from recovery.durations import show_duration
from recovery.evidence import PROBES, REQUESTS, Kind, show
from recovery.readings import Point, Watch
from recovery.verdicts import Finding, Trigger

PROBE_FAILURES = 3  # fewer failed probes in a window are an accident
EARLIER_FAILURES = 3  # fewer failures before the release do not excuse it
CLEARLY_WORSE = 2.0  # times the share before the release: from here on the release is guilty all the same
UNBROKEN_STEPS = 2  # windows that end farther apart are not one unbroken time of trouble


@dataclass(frozen=True, slots=True)
class Tally:
    """So many failures of so many, in a time; and how many failures come at once when this service has any."""

    bad: float
    total: float
    span: timedelta
    burst: float = 1.0

    @property
    def share(self) -> float:
        """The share of failures; zero where there was nothing."""
        return self.bad / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{_count(self.bad)} of {_count(self.total)}"


@dataclass(frozen=True, slots=True)
class Signal:
    """One trigger: its greatest share of failures, what counts, and from which sample on it is judged."""

    trigger: Trigger
    kind: Kind
    limit: float
    bad: Callable[[Point], float]
    total: Callable[[Point], float]
    minimum: int
    certifying: int
    """The sample of the whole watch below which nothing is certified."""
    minimum_bad: int
    noisy: bool
    """Whether a healthy service fails a little all the time, so that chance has to be ruled out."""

    def needed(self, tally: Tally) -> int:
        """The fewest failures of so many that are more than the limit, an accident and chance."""
        above = max(self.minimum_bad, floor(self.limit * tally.total + 1e-9) + 1)
        return max(above, fewest_beyond_chance(tally.total, self.limit, tally.burst)) if self.noisy else above

    def is_bad(self, tally: Tally) -> bool:
        """Answer whether a window with this tally is bad."""
        return tally.total >= self.minimum and tally.bad >= self.needed(tally)

    def sentence(self, tally: Tally) -> str:
        """The arithmetic in the plan's own terms, for a person to check by hand."""
        span, share, limit = show(tally.span), f"{100 * tally.share:.2f} %", f"limit {_percent(self.limit)}"
        match self.trigger:
            case Trigger.AVAILABILITY:
                good = f"{_count(tally.total - tally.bad)} of {_count(tally.total)} requests succeeded in {span}"
                limit = f"limit {_percent(1 - self.limit)}"
                return f"availability: {good} = {100 * (1 - tally.share):.3f} %, {limit}"
            case Trigger.ERRORS:
                return f"5xx: {tally} requests in {span} = {share}, {limit}"
            case _:
                return f"{self.trigger}: {tally} probes failed in {span} = {share}, {limit}"

    def few(self, tally: Tally) -> str:
        """The sentence for a watch with too small a sample to certify."""
        return f"{_count(tally.total)} {self.kind.name} in {show(tally.span)}, {self.certifying} are needed"


@dataclass(frozen=True, slots=True)
class Held:
    """A signal held against its limit, and the sentence that excuses the release where there is one."""

    finding: Finding
    excuse: str | None = None

    @property
    def guilty(self) -> bool:
        """Answer whether the limit was breached and the trouble is not older than the release."""
        return self.finding.breached and self.excuse is None


def signals(limits: Limits) -> tuple[Signal, ...]:
    """The triggers that are shares, most telling first."""
    return (
        Signal(
            trigger=Trigger.CRITICAL_FUNCTION,
            kind=PROBES,
            limit=limits.probes,
            bad=lambda point: point.probes_failed,
            total=lambda point: point.probes,
            minimum=limits.minimum_probes,
            certifying=limits.minimum_probes,
            minimum_bad=PROBE_FAILURES,
            noisy=False,
        ),
        _of_requests(Trigger.ERRORS, limits.errors, lambda point: point.errors, limits),
        # Whatever was an error for the server was one for the customer, however the two were counted.
        _of_requests(
            Trigger.AVAILABILITY,
            round(1 - limits.availability, 12),
            lambda point: max(point.failed, point.errors),
            limits,
        ),
    )


def hold(signal: Signal, points: Sequence[Point], earlier: Sequence[Point], watch: Watch, limits: Limits) -> Held:
    """Hold a signal against its limit at the newest of the points, of which there must be one.

    Breached when every window of the last `persistence` was bad and the trouble still goes on: one burst makes
    windows bad for as long as they are, which is not persistence.
    """
    newest = points[-1].at
    window = tally(signal, points, max(watch.since, newest - limits.window), newest)
    said = signal.sentence(window)
    if not window.total:
        return Held(Finding(signal.trigger, False, f"{signal.trigger}: no {signal.kind.name} in {show(window.span)}"))
    if window.total < signal.minimum:
        return Held(Finding(signal.trigger, False, f"{said}, too few to judge: {signal.minimum} are needed"))
    if not signal.is_bad(window):
        few = f", {signal.needed(window)} are beyond chance" if window.share > signal.limit else ""
        return Held(Finding(signal.trigger, False, said + few))
    lasted = _lasted(signal, points, watch, limits)
    said = f"{said}, bad for {show(lasted)} (needs {show_duration(limits.persistence)})"
    last = tally(signal, points, newest - max(limits.persistence, watch.step), newest)
    if last.total and last.share <= signal.limit:
        return Held(Finding(signal.trigger, False, f"{said}, but over: {last} in the last {show(last.span)}"))
    breached = lasted >= limits.persistence
    return Held(
        Finding(signal.trigger, breached, said, lasting=not breached), _excuse(signal, window, earlier, watch, limits)
    )


def tally(signal: Signal, points: Sequence[Point], after: datetime, until: datetime) -> Tally:
    """Count what the points of (after, until] hold; they must be in order."""
    first = bisect_right(points, after, key=_at)
    window = points[first : bisect_right(points, until, key=_at)]
    failures = [signal.bad(point) for point in window if signal.total(point)]
    return Tally(fsum(failures), fsum(map(signal.total, window)), until - after, burst_size(failures))


def _of_requests(trigger: Trigger, limit: float, bad: Callable[[Point], float], limits: Limits) -> Signal:
    return Signal(
        trigger=trigger,
        kind=REQUESTS,
        limit=limit,
        bad=bad,
        total=lambda point: point.requests,
        minimum=limits.minimum_requests,
        certifying=limits.certifying_requests,
        minimum_bad=limits.minimum_failures,
        noisy=True,
    )


def _lasted(signal: Signal, points: Sequence[Point], watch: Watch, limits: Limits) -> timedelta:
    """For how long every window up to the newest has been bad, without a hole in between."""
    began = newest = points[-1].at
    for point in reversed(points):
        window = tally(signal, points, point.at - limits.window, point.at)
        if began - point.at > UNBROKEN_STEPS * watch.step or not signal.is_bad(window):
            break
        began = point.at
    return newest - began


def _excuse(signal: Signal, window: Tally, earlier: Sequence[Point], watch: Watch, limits: Limits) -> str | None:
    """The sentence that excuses the release: the same limit was broken before it, and now is not clearly worse."""
    before = tally(signal, earlier, watch.since - limits.window, watch.since)
    broken = before.total >= signal.minimum and before.bad >= EARLIER_FAILURES and before.share > signal.limit
    if not broken or window.share >= CLEARLY_WORSE * before.share:
        return None
    return f"{signal.sentence(before)} before it, now {window} = {100 * window.share:.2f} %"


def _at(point: Point) -> datetime:
    return point.at


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


def _count(number: float) -> str:
    return f"{number:.0f}" if number == round(number) else f"{number:.1f}"
