"""Whether a database on RDS may be taken back to its point, what that loses, and what is done in which order.

Pure: what RDS and PostgreSQL said arrives as an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from recovery.catalog import Service
from recovery.errors import Refused, Unavailable
from recovery.rds import Managed, Names, TimedPoint, names_of
from recovery.rds_catalog import Rds
from recovery.rds_gates import P, judge_reach, rds_of
from recovery.rds_swap import Act, Sighting, SwapStep, Who, next_step, sighted
from recovery.restore_points import State, WayBack, show_age, unlike
from recovery.restores import Loss

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Three:
    """What each of the three names of a restore leads to; None: nothing."""

    final: Managed | None
    damaged: Managed | None
    restored: Managed | None


@dataclass(frozen=True, slots=True)
class RdsPlan:
    """What is done to take one database on RDS back, before anything is touched."""

    service: str
    version: str
    cause: str
    point: TimedPoint
    names: Names
    age: str
    damaged: str
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]
    steps: tuple[str, ...]
    ask: bool
    begun: bool  # the damaged one gave its name away: from then on there is only forward
    served: bool  # the clients' name leads to the restored one already

    @property
    def name(self) -> str:
        """The point's name."""
        return self.point.name

    @property
    def reason(self) -> str:
        """The plan in a sentence."""
        if self.served:
            return f"skipped: {self.names.final} is the one restored to {self.name} already"
        return f"{self.names.final} goes back to {self.point.at:%Y-%m-%d %H:%M:%S} UTC, {self.age} ago: {self.cause}"


def needed(seen: T | None, name: str) -> T:
    """What must be there by now. Raises Unavailable when it is not shown: lists lag a little."""
    if seen is None:
        raise Unavailable(f"{name} is not to be seen: run this again, it goes on")
    return seen


def choose_timed(service: str, version: str, points: Sequence[P]) -> P:
    """The newest point of a release. Raises Refused without one, or when a later release has a point of its own."""
    ours = sorted((each for each in points if each.service == service), key=lambda each: each.at)
    found = next((each for each in reversed(ours) if each.version == version), None)
    if found is None:
        known = ", ".join(dict.fromkeys(each.version for each in reversed(ours))) or "none"
        raise Refused(
            f"no point of {service} {version} is kept, there are those of {known}: name one of them, or restore a "
            "snapshot by hand"
        )
    newer = ours[-1]
    if newer.version != version:
        raise Refused(
            f"{newer.version} of {service} has a point of its own, of {newer.at:%Y-%m-%d %H:%M:%S}, after that of "
            f"{version}: restore {newer.version}, or move the file of its point away if its writes shall go, too"
        )
    return found


def sightings(names: Names, three: Three, point: TimedPoint) -> dict[str, Sighting | None]:
    """What each name leads to."""
    seen = {names.final: three.final, names.damaged: three.damaged, names.restored: three.restored}
    return {name: sighted(each, point.name, point.resource) for name, each in seen.items()}


def damaged_of(three: Three, point: TimedPoint) -> Managed | None:
    """The damaged one, under whichever of the names it goes now."""
    return next((each for each in (three.damaged, three.final) if each and each.restored_to != point.name), None)


def restored_of(three: Three, point: TimedPoint) -> Managed | None:
    """The restored one, under whichever of the names it goes now."""
    return next((each for each in (three.restored, three.final) if each and each.restored_to == point.name), None)


def plan_rds(
    service: Service,
    cause: str,
    point: TimedPoint,
    three: Three,
    counts: Mapping[str, int | None],
    now: datetime,
) -> RdsPlan:
    """Decide how the database goes back. Raises Refused naming everything that stands against it."""
    rds, names = rds_of(service), names_of(point.identifier, point.version, point.attempt)
    swap = next_step(names, sightings(names, three, point))
    wrong = _against(rds, point, three, swap)
    if wrong:
        raise Refused("; ".join(wrong))
    damaged = damaged_of(three, point)
    return RdsPlan(
        service=service.name,
        version=point.version,
        cause=cause,
        point=point,
        names=names,
        age=show_age(now - point.at),
        damaged=f"{damaged.identifier} is {damaged.status}" if damaged else "it is not to be seen",
        losses=losses_of(point.after, counts, rds.uncounted),
        notes=_notes(damaged, counts, begun=three.restored is not None or swap.act is Act.DONE),
        steps=_steps(names, point, three),
        ask=rds.approval == "person" and three.restored is None and swap.act is not Act.DONE,
        begun=three.final is None or three.final is not damaged,
        served=swap.act is Act.DONE,
    )


def _against(rds: Rds, point: TimedPoint, three: Three, swap: SwapStep) -> list[str]:
    if rds.name != point.identifier:
        return [f"{point.name} is of {point.identifier} and the catalogue names {rds.name}: name that one again"]
    begun = three.restored is not None or swap.act is Act.DONE
    if begun or three.damaged is not None:
        return [swap.reason] if swap.act is Act.STOP else []
    if three.final is None:
        return [f"RDS has no {rds.name} in {rds.region}: restore from its retained backups or a snapshot by hand"]
    if three.final.resource != point.resource:
        return [f"{rds.name} is {three.final.resource} now, and {point.name} is of {point.resource}: restore by hand"]
    wrong = [f"{rds.name} keeps no backups any more: restore a snapshot by hand"] if three.final.retention == 0 else []
    if three.final.source:
        wrong.append(f"{rds.name} is a replica of {three.final.source}: name that")
    unreached = judge_reach(three.final, point)
    return [*wrong, f"{unreached}: wait some minutes"] if unreached else wrong


def judge_restored(point: TimedPoint, state: State, marks: frozenset[str], wrong: Sequence[str], rds: Rds) -> WayBack:
    """Answer whether a restored database is what was at the point: the commit before it there, the one after not."""
    said = []
    if "before" not in marks:
        said.append(f"the commit before {point.name} is not in it: it is of an earlier time, or of another database")
    if "after" in marks:
        said.append(f"the commit after {point.name} is in it: it is of a later time")
    said += [*unlike(point.before, point.after, state, rds.uncounted), *wrong]
    if said:
        return WayBack(False, f"what was restored to {point.name} is not what was: {'; '.join(said)}", point.name)
    rows = sum(state.counts.values())
    reason = f"it has the commit before {point.name} and not the one after, {len(state.counts)} tables and {rows} rows"
    return WayBack(True, reason, point.name)


def judge_place(sighting: Sighting | None, name: str) -> bool:
    """Whether our restored one is there already. Raises Refused when the name is somebody else's."""
    if sighting is None:
        return False
    if sighting.who is not Who.RESTORED:
        raise Refused(f"{name} is there and not ours: it lacks our tag, remove or rename it by hand")
    return True


def losses_of(then: State, counts: Mapping[str, int | None], uncounted: tuple[str, ...]) -> tuple[Loss, ...]:
    """Every table that is not what it was, those unread first; nothing where none could be counted."""
    tables = sorted({*then.counts, *counts} - {*uncounted}) if counts else []
    every = [Loss(table, then.counts.get(table), counts.get(table)) for table in tables]
    moved = [loss for loss in every if loss.then != loss.now]
    return tuple(sorted(moved, key=lambda loss: (loss.now is not None, -abs((loss.now or 0) - (loss.then or 0)))))


def _notes(damaged: Managed | None, counts: Mapping[str, int | None], *, begun: bool) -> tuple[str, ...]:
    notes = ["a restore to it was begun before, and is gone on with"] if begun else []
    notes += ["an exchange of two names takes RDS minutes, in which nobody reaches the database"]
    if damaged and damaged.replicas:
        notes.append(f"{', '.join(damaged.replicas)} go on following the damaged one: make new replicas afterwards")
    if damaged and any(key.startswith("aws:") for key in damaged.tags):
        notes.append("tags of AWS's own are not carried over: a CloudFormation stack goes on meaning the damaged one")
    if damaged and damaged.settings.get("MasterUserSecret"):
        notes.append("the master password gets a new secret in Secrets Manager: who reads the old one must be told")
    if not counts:
        notes.append("what is lost is unknown: the damaged database is closed, or does not let itself be counted")
    return tuple(notes)


def _steps(names: Names, point: TimedPoint, three: Three) -> tuple[str, ...]:
    verb = "find" if three.restored else "restore"
    return (
        f"{verb} {names.restored}, as of {point.at:%Y-%m-%d %H:%M:%S} UTC, with every setting of {names.final}",
        "compare its settings and its rows with what was; ask the smoke queries",
        f"close {names.final} to everybody and end who is in it",
        f"rename {names.final} to {names.damaged}, then {names.restored} to {names.final}",
        f"wait until {names.final} answers with the restored data; keep {names.damaged}, closed and protected",
    )
