"""Can the version before run on the schema that a migration leaves? The vocabulary, and the sum over statements.

What is promised: the statements that the version before sends to its own tables still run, and mean what they
meant. What is taken for granted of it: it names its columns, and it does not change primary keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

BEFORE = "the version before"


class Verdict(StrEnum):
    """What one statement does to the version before."""

    COMPATIBLE = "compatible"
    UNKNOWN = "unknown"  # not told by the text: a person must say
    INCOMPATIBLE = "incompatible"


@dataclass(frozen=True, slots=True)
class Effect:
    """One statement or operation, shortened, and what it does."""

    statement: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Whether the version before can run on a migration; None where nobody but a person can tell."""

    compatible: bool | None
    reason: str


@dataclass(slots=True)
class Scope:
    """What has been read of a file so far: objects of its own making are nothing that the version before knows.

    A name made with IF NOT EXISTS is none of them, it may have been there, nor is one that was dropped before.
    """

    before: str = BEFORE
    own: set[str] = field(default_factory=set)
    enums: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)

    def made(self, name: str) -> None:
        """Remember a relation that this file made."""
        if name not in self.dropped:
            self.own.add(name)

    def gone(self, name: str) -> None:
        """Remember that a name was dropped or given away."""
        self.own.discard(name)
        self.dropped.add(name)


def judge_migration(path: str, effects: Sequence[Effect]) -> Compatibility:
    """Sum up a file: what is incompatible outranks what is unknown, and both outrank any number of the compatible."""
    bad = [each for each in effects if each.verdict is Verdict.INCOMPATIBLE]
    unclear = [each for each in effects if each.verdict is Verdict.UNKNOWN]
    if bad or unclear:
        return Compatibility(False if bad else None, f"{path} {_joined([each.reason for each in bad or unclear])}")
    if not effects:
        return Compatibility(True, f"{path} has no statement")
    return Compatibility(True, f"{path} {_joined([each.reason for each in effects])}")


def compatible(statement: str, reason: str) -> Effect:
    """A statement that the version before does not notice."""
    return Effect(statement, Verdict.COMPATIBLE, reason)


def unknown(statement: str, reason: str) -> Effect:
    """A statement of which the text does not tell enough."""
    return Effect(statement, Verdict.UNKNOWN, reason)


def incompatible(statement: str, reason: str) -> Effect:
    """A statement that takes something from the version before."""
    return Effect(statement, Verdict.INCOMPATIBLE, reason)


def _joined(reasons: Sequence[str]) -> str:
    once = list(dict.fromkeys(reasons))
    more = f" and {len(once) - 3} more" if len(once) > 3 else ""
    return f"{'; '.join(once[:3])}{more}"
