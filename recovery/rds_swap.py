"""In which order the names of a damaged and a restored database are exchanged, from whatever is seen.

RDS takes no name that is in use: first the damaged one gives its name away, then the restored one takes it. Between the
two nobody reaches a database by that name, so nothing else is done there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from recovery.rds import AVAILABLE, HOPELESS, Managed, Names


class Who(StrEnum):
    """Which database a name leads to."""

    DAMAGED = "damaged"
    RESTORED = "restored"
    FOREIGN = "foreign"


class Act(StrEnum):
    """What comes next."""

    RENAME = "rename"
    WAIT = "wait"
    DONE = "done"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a name leads to, and whether that can be renamed now."""

    who: Who
    status: str = AVAILABLE


@dataclass(frozen=True, slots=True)
class SwapStep:
    """The next step of an exchange of names, and why."""

    act: Act
    reason: str
    old: str = ""
    new: str = ""


def sighted(seen: Managed | None, point: str, resource: str) -> Sighting | None:
    """What a name leads to: our tag tells the restored one, the id that no rename changes the damaged one."""
    if seen is None:
        return None
    if seen.restored_to == point:
        return Sighting(Who.RESTORED, seen.status)
    return Sighting(Who.DAMAGED if seen.resource == resource else Who.FOREIGN, seen.status)


def next_step(names: Names, seen: Mapping[str, Sighting | None]) -> SwapStep:
    """The step that leads on from what each of the three names leads to now."""
    if wrong := _misplaced(names, seen):
        return SwapStep(Act.STOP, wrong)
    for name, each in seen.items():
        if each and each.status in HOPELESS:
            return SwapStep(Act.STOP, f"{name} is {each.status}: look at it in the RDS console")
    for name, each in seen.items():
        if each and each.status != AVAILABLE:
            return SwapStep(Act.WAIT, f"{name} is {each.status}")
    final, damaged, restored = (_who(seen, name) for name in (names.final, names.damaged, names.restored))
    if final is Who.RESTORED:
        kept = f"the damaged one is {names.damaged}" if damaged else f"there is no {names.damaged} any more"
        return SwapStep(Act.DONE, f"{names.final} is the restored one, {kept}")
    if restored is None and damaged is None and final is Who.DAMAGED:
        return SwapStep(Act.STOP, f"{names.restored} is not there: nothing was restored that could take the name")
    if final is Who.DAMAGED and restored and damaged is None:
        return SwapStep(Act.RENAME, "the damaged one gives its name away", names.final, names.damaged)
    if final is None and restored and damaged:
        return SwapStep(Act.RENAME, "the restored one takes the name", names.restored, names.final)
    return SwapStep(Act.WAIT, "a rename is under way: not every name is to be seen yet")


def _misplaced(names: Names, seen: Mapping[str, Sighting | None]) -> str | None:
    """Why nothing may be renamed: a name leads to what it must never lead to."""
    never = {names.final: {Who.FOREIGN}, names.damaged: {Who.FOREIGN, Who.RESTORED}}
    never[names.restored] = {Who.FOREIGN, Who.DAMAGED}
    for name, wrong in never.items():
        if (who := _who(seen, name)) in wrong:
            return f"{name} is {who} and not ours to touch: look at it, and rename or remove it by hand"
    if _who(seen, names.final) is Who.RESTORED and _who(seen, names.restored):
        return f"{names.final} and {names.restored} are both restored: remove one of them by hand"
    return None


def _who(seen: Mapping[str, Sighting | None], name: str) -> Who | None:
    each = seen.get(name)
    return each.who if each else None
