"""What of the measured points may be judged at all, and when we must call ourselves blind.

Blindness is decided before guilt: whatever was not seen, or cannot be true, is neither health nor fault.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from recovery.catalog import Limits
from recovery.durations import show_duration
from recovery.readings import Point, Watch

SKEW_STEPS = 2  # so many steps may a point lie in the future before we distrust the clocks


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of evidence: what users asked of the service, or what we tried on it."""

    name: str
    known: Callable[[Point], bool]

    def of(self, points: Iterable[Point]) -> tuple[Point, ...]:
        """The points in which this kind was measured."""
        return tuple(point for point in points if self.known(point))


REQUESTS = Kind("requests", lambda point: point.requests_known)
PROBES = Kind("probes", lambda point: point.probes_known)
KINDS = (REQUESTS, PROBES)


@dataclass(frozen=True, slots=True)
class Blindness:
    """Why nothing can be said, since when (the last good point, or the beginning of the watch), about what."""

    reason: str
    since: datetime
    kind: Kind | None = None


def in_order(points: Iterable[Point], after: datetime, until: datetime) -> tuple[Point, ...]:
    """The points of (after, until] by time, one for each time.

    Of two points for the same time the fuller one stands, for the other was read too early; one that cannot be
    read outranks both, so that it is never covered up.
    """
    kept: dict[datetime, Point] = {}
    for point in points:
        if after < point.at <= until:
            rival = kept.get(point.at)
            kept[point.at] = point if rival is None else max(rival, point, key=_fullness)
    return tuple(kept[at] for at in sorted(kept))


def unfit(record: Sequence[Point], watch: Watch, limits: Limits, now: datetime) -> Blindness | None:
    """Answer why the record as a whole cannot be judged: clocks that disagree, or numbers that cannot be true."""
    ahead = [point for point in record if point.at - now > SKEW_STEPS * watch.step]
    if ahead:
        reason = f"points lie {show(ahead[-1].at - now)} in the future: the clocks disagree, set them right"
        return Blindness(reason, _last_good(record, watch, until=now))
    # Every window that counts today began within this span; what is older than that no longer blinds.
    horizon = limits.window + limits.persistence
    broken = [point for point in record if not point.readable and record[-1].at - point.at < horizon]
    if broken:
        reason = f"{len(broken)} of the points of the last {show(horizon)} hold numbers that cannot be true"
        return Blindness(reason, _last_good(record, watch, until=broken[0].at))
    return None


def silence(kind: Kind, points: Sequence[Point], watch: Watch, limits: Limits, now: datetime) -> Blindness | None:
    """Answer why this kind of evidence cannot be judged: too old, or a hole in its last window.

    The time before the first point is no hole: a new version has no counters before its first request.
    """
    last = points[-1].at if points else watch.since
    quiet = min(now, watch.until) - last
    if quiet > limits.blind_after:
        seen = f"the newest point is {show(quiet)} old" if points else f"no point in {show(quiet)}"
        return Blindness(f"{kind.name}: {seen}, blind after {show(limits.blind_after)}", last, kind)
    for earlier, later in pairwise(points):
        if later.at - earlier.at > limits.blind_after and last - later.at < limits.window:
            hole = f"a hole of {show(later.at - earlier.at)} in the last {show(limits.window)}"
            return Blindness(f"{kind.name}: {hole}, blind after {show(limits.blind_after)}", earlier.at, kind)
    return None


def coverage(points: Sequence[Point], watch: Watch) -> float:
    """The share of the steps of the whole watch for which there is a point."""
    steps = max(1, int((watch.until - watch.since) / watch.step))
    present = {-((watch.since - point.at) // watch.step) for point in points}
    return min(1.0, len(present) / steps)


def show(duration: timedelta) -> str:
    """A duration to the second, as the sentences say it: 45s, 2m30s, 1h."""
    seconds = round(duration.total_seconds())
    if seconds < 120 or seconds % 60 == 0:
        return show_duration(timedelta(seconds=seconds))
    return f"{seconds // 60}m{seconds % 60}s"


def _fullness(point: Point) -> tuple[bool, float, float, float, float, float]:
    counts = (point.requests, point.failed, point.errors, point.probes, point.probes_failed)
    return (not point.readable, *counts)


def _last_good(record: Sequence[Point], watch: Watch, until: datetime) -> datetime:
    good = [point.at for point in record if point.readable and point.at <= until]
    return good[-1] if good else watch.since
