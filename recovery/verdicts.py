"""The four answers to "is this release hurting its users?", each with its reason."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Answer(StrEnum):
    """`healthy` the watch is over without a breach; `watch` look again; `breach` act; `blind` wake a person."""

    HEALTHY = "healthy"
    WATCH = "watch"
    BREACH = "breach"
    BLIND = "blind"


class Trigger(StrEnum):
    """What the plan calls a reason to roll back."""

    AVAILABILITY = "availability"
    ERRORS = "errors"
    CRITICAL_FUNCTION = "critical function"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class Finding:
    """One trigger held against its limit: the arithmetic in a sentence, and whether it was breached.

    `lasting` says that the limit is exceeded, but not for long enough yet.
    """

    trigger: Trigger
    breached: bool
    arithmetic: str
    lasting: bool = False

    @property
    def label(self) -> str:
        """The finding in a word or two."""
        return "breach" if self.breached else "over the limit" if self.lasting else "no breach"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, the sentence that justifies it, and the findings behind the sentence.

    `blind_since` is the time of the last point seen (or the beginning of the watch) when the answer is blind.
    """

    answer: Answer
    reason: str
    at: datetime
    findings: tuple[Finding, ...] = field(default=())
    blind_since: datetime | None = None
