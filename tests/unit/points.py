"""Points of a watched release as the tests of the judgement write them down."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recovery.catalog import Limits
from recovery.readings import Point, Watch
from recovery.triggers import judge
from recovery.verdicts import Trigger, Verdict

SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEP = timedelta(seconds=15)
WATCH = Watch("shop", "v1.2.0", SINCE, SINCE + timedelta(hours=1), STEP)
WINDOW, LAST = 20, 240  # steps of a window, and of the watch


def at(step: float) -> datetime:
    return SINCE + step * STEP


def point(step: int, **counts: Any) -> Point:
    """What step number `step` of the watch held, counted from 1; zero and less lie before the release."""
    return Point(at(step), **{"requests": 0.0, "errors": 0.0, "failed": counts.get("errors", 0.0)} | counts)


def steady(first: int, last: int, **counts: Any) -> list[Point]:
    """The same counts in each of the steps."""
    return [point(step, **counts) for step in range(first, last + 1)]


def spread(first: int, last: int, **totals: int) -> list[Point]:
    """So many in all, spread over the steps as evenly as whole numbers go."""
    steps = last - first + 1

    def share(total: int, index: int) -> int:
        return total * (index + 1) // steps - total * index // steps

    return [point(first + i, **{name: share(total, i) for name, total in totals.items()}) for i in range(steps)]


def two_windows(**totals: int) -> list[Point]:
    """Ten minutes in which every window of five holds exactly these totals."""
    window = spread(1, WINDOW, **totals)
    return window + [replace(each, at=each.at + WINDOW * STEP) for each in window]


def judged(
    points: Sequence[Point], before: Sequence[Point] = (), now: datetime | None = None, **limits: object
) -> Verdict:
    """The verdict at `now`, by default the time of the newest point."""
    return judge(WATCH, points, before, Limits.model_validate(limits), now or max(each.at for each in points))


def altered(original: Point, **counts: Any) -> Point:
    """The point with some of its counts changed."""
    return replace(original, **counts)


def breached(verdict: Verdict) -> set[Trigger]:
    """The triggers whose limit was breached, whoever is to blame."""
    return {finding.trigger for finding in verdict.findings if finding.breached}
