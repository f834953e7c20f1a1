"""What the monitor does about a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recovery.catalog import Limits
from recovery.incidents import Cause, Mode, Source
from recovery.readings import Point, Watch
from recovery.rollouts import Progress, Stage
from recovery.verdicts import Answer, Verdict

STALE = timedelta(minutes=2)  # a monitor cycle that begins this late looks at what newer ones will look at, too
WAKE_AFTER = timedelta(minutes=2)  # of blindness; nothing shorter wakes a person


class Deed(StrEnum):
    """The monitor's answer to one verdict."""

    NOTHING = "nothing"
    LAUNCH = "launch respond"
    CERTIFY = "certify"
    WAKE = "wake a person"


@dataclass(frozen=True, slots=True)
class Judged:
    """A watch, its verdict, and what follows from it."""

    watch: Watch
    verdict: Verdict
    deed: Deed

    @property
    def cause(self) -> Cause:
        """The verdict as the cause of a recovery."""
        return Cause(sentence=self.verdict.reason[:2000], source=Source.MONITOR, seen_at=self.verdict.at)

    @property
    def identity(self) -> str:
        """Names the message about this state: one per watch and kind of answer, one per spell of blindness."""
        since = self.verdict.blind_since
        spell = f"/{since:%Y%m%dT%H%M}" if since else ""
        return f"{self.verdict.answer}/{self.watch.service}/{self.watch.version}{spell}"


def follow(watch: Watch, verdict: Verdict, mode: Mode, now: datetime) -> Judged:
    """Decide what follows from a verdict.

    Blindness wakes a person before two minutes are over, certifies nothing and reverts nothing; so does a
    breach when the mode says that people decide, and a watch that ended without enough evidence.
    """
    if verdict.answer is Answer.BREACH:
        return Judged(watch, verdict, Deed.WAKE if mode is Mode.NOTIFY else Deed.LAUNCH)
    if verdict.answer is Answer.HEALTHY:
        return Judged(watch, verdict, Deed.CERTIFY)
    if verdict.answer is Answer.BLIND:
        since = verdict.blind_since or watch.since
        # The cycle before the two minutes are over must be the one that wakes.
        return Judged(watch, verdict, Deed.WAKE if now - since >= WAKE_AFTER - timedelta(seconds=45) else Deed.NOTHING)
    return Judged(watch, verdict, Deed.WAKE if now >= watch.until else Deed.NOTHING)


def recovered(points: Sequence[Point], limits: Limits) -> Progress | None:
    """Answer whether customers succeed again: the newest points, taken together, are within every limit.

    None where nothing was seen.
    """
    seen = [point for point in points if point.readable]
    requests, failed = sum(point.requests for point in seen), sum(point.failed for point in seen)
    probes, probes_failed = sum(point.probes for point in seen), sum(point.probes_failed for point in seen)
    said = f"{failed:.0f} of the last {requests:.0f} requests and {probes_failed:.0f} of {probes:.0f} probes failed"
    if not seen or not (requests or probes):
        return None
    bad = failed > requests * (1 - limits.availability) or probes_failed > probes * limits.probes
    return Progress(Stage.MOVING if bad else Stage.SETTLED, said)
