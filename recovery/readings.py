"""What was measured of a release: a series of points, each saying what one interval held.

A point that is missing is not a point of zeros: silence stays visible to the judgement.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite


@dataclass(frozen=True, slots=True)
class Point:
    """What happened to one version of a service in the interval (at - step, at].

    `requests` all requests answered or lost, `errors` those answered with 5xx, `failed` those that did not
    succeed for the customer (5xx, timeouts, lost; at least `errors`), `probes` synthetic tries of the
    critical function and `probes_failed` the failed ones. Counts are floats: Prometheus extrapolates.

    `requests_known` is False when the service's own counters were not read in this interval, `probes_known`
    when ours were not: their counts are then zero and say nothing.
    """

    at: datetime
    requests: float
    errors: float
    failed: float
    probes: float = 0.0
    probes_failed: float = 0.0
    requests_known: bool = True
    probes_known: bool = True

    @property
    def readable(self) -> bool:
        """Answer whether every count is a number, none negative, and no part greater than its whole."""
        counts = (self.requests, self.errors, self.failed, self.probes, self.probes_failed)
        if not all(isfinite(count) and count >= 0 for count in counts):
            return False
        return max(self.errors, self.failed) <= self.requests and self.probes_failed <= self.probes


@dataclass(frozen=True, slots=True)
class Watch:
    """One release under watch: which version of which service, since when, until when."""

    service: str
    version: str
    since: datetime
    until: datetime
    step: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One try of a critical function: whether it worked, how long it took, and what was seen."""

    name: str
    ok: bool
    seconds: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What could be read for one judgement; `trouble` says why nothing could, None when it could."""

    points: tuple[Point, ...]
    before: tuple[Point, ...]
    trouble: str | None = None
