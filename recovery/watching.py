"""What the monitor does about a verdict."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recovery.incidents import Cause, Mode, Source
from recovery.readings import Watch
from recovery.verdicts import Answer, Verdict

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
        return Judged(watch, verdict, Deed.LAUNCH if mode is Mode.ACT else Deed.WAKE)
    if verdict.answer is Answer.HEALTHY:
        return Judged(watch, verdict, Deed.CERTIFY)
    if verdict.answer is Answer.BLIND:
        since = verdict.blind_since or watch.since
        # The cycle before the two minutes are over must be the one that wakes.
        return Judged(watch, verdict, Deed.WAKE if now - since >= WAKE_AFTER - timedelta(seconds=45) else Deed.NOTHING)
    return Judged(watch, verdict, Deed.WAKE if now >= watch.until else Deed.NOTHING)
