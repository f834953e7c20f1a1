"""What a drill of a way back measured, whether it holds what was promised, and when people are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from recovery.backups import MARGIN, parse_lsn
from recovery.cnpg_catalog import Cnpg
from recovery.databases import Database
from recovery.durations import show_duration
from recovery.errors import Refused, Unavailable
from recovery.rds_catalog import Rds
from recovery.restore_points import Then, WayBack, show_age
from recovery.sets import by_history

SHOWN = 12  # drills in the artifact; a quarter of a year, once a week


class Finding(StrEnum):
    """How a drill ended; what is told once is told anew when this changes."""

    HELD = "held"
    NO_SET = "no set"
    BROKEN = "not proved"
    SLOW = "too slow"
    OLD = "too old"
    BEHIND = "archive behind"
    BLIND = "could not be looked at"


class DrillsFailed(Refused):
    """A drill has found something; people were told of it by the run itself."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the plan promises; None promises nothing, and nothing is held against it."""

    rto: timedelta | None = None  # from the set to a server that takes writes
    rpo: timedelta | None = None  # age of the newest point


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of a restore, from the set to a server that takes writes; None: an operator does it within the copy."""

    copy: float
    replay: float | None
    verify: float
    promote: float | None

    @property
    def each(self) -> dict[str, float]:
        """Every phase that was seen, in its order."""
        phases = {"copy": self.copy, "replay": self.replay, "verify": self.verify, "promote": self.promote}
        return {phase: seconds for phase, seconds in phases.items() if seconds is not None}

    @property
    def total(self) -> float:
        """All of it: the real restore, too, looks before it lets anybody in."""
        return sum(self.each.values())


class Pointed(Protocol):
    """What a drill goes back to."""

    @property
    def service(self) -> str:
        """Whose it is."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def made_at(self) -> datetime:
        """When it was made."""


@dataclass(frozen=True, slots=True)
class Live:
    """What the server in use says: its clock and how far its archive is behind, or why it does not."""

    now: datetime
    trouble: str | None = None
    archived_at: datetime | None = None
    failing: str | None = None  # the segment with which the archiver fails
    unarchived: int | None = None  # bytes of WAL that only the server has


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill, as a line of the service's history."""

    service: str
    at: datetime
    finding: Finding
    said: str
    point: str | None = None
    made_at: datetime | None = None
    phases: Phases | None = None
    archived_at: datetime | None = None
    unarchived: int | None = None

    @property
    def held(self) -> bool:
        """Whether everything was as promised."""
        return self.finding is Finding.HELD


@dataclass(frozen=True, slots=True)
class News:
    """What people are told of a drill, and the identity under which it is told once."""

    identity: str
    title: str
    text: str


def promise_of(database: Database | Rds | Cnpg) -> Promise:
    """What the catalogue promises of a database."""
    return Promise(database.rto, database.rpo)


def choose_set(service: str, proved: Sequence[Then]) -> Then:
    """The set that a restore would take: the newest that was proved. Raises Refused when there is none."""
    if not proved:
        raise Refused(f"{service} has no proved set, and so no way back: run `ripcord gate {service} VERSION`")
    return by_history(proved, lambda then: then)[-1]


def judge_room(free: int, size: int, place: str) -> None:
    """Raises Refused when a copy of a set of `size` bytes has no room: a full disk would end a gate's backup, too."""
    needed = int(size * MARGIN)
    if free < needed:
        raise Refused(
            f"{place} has {free // 1_000_000} MB free and a copy of the set needs {needed // 1_000_000} ({MARGIN} x "
            f"{size // 1_000_000} MB): make room, or keep fewer sets"
        )


def measure_lag(lsn: str, archived: str, segment_size: int) -> int | None:
    """Bytes of WAL behind the newest archived segment; None where its name tells no position, such as a history's."""
    segment = archived.partition(".")[0]
    if len(segment) != 24:
        return None
    per_log = (1 << 32) // segment_size
    number = int(segment[8:16], 16) * per_log + int(segment[16:], 16)
    return max(0, parse_lsn(lsn) - (number + 1) * segment_size)


def judge_drill(then: Pointed, way: WayBack, phases: Phases, promise: Promise, live: Live) -> Drill:
    """Answer how the drill of a set ended: what is broken outranks what is slow, that what is old, and so on."""
    found = [
        *_broken(way),
        *_slow(phases, promise),
        *_old(then, promise, live.now),
        *_behind(live),
    ]
    finding = found[0][0] if found else Finding.HELD
    said = "; ".join(sentence for _, sentence in found) or _held(then, phases, live)
    return Drill(
        then.service, live.now, finding, said, then.name, then.made_at, phases, live.archived_at, live.unarchived
    )


def failed_drill(service: str, error: Refused | Unavailable, live: Live, then: Pointed | None = None) -> Drill:
    """The line of a drill that did not come to its end. One that could not look never reads as one that held."""
    refused = Finding.BROKEN if then else Finding.NO_SET
    finding = Finding.BLIND if isinstance(error, Unavailable) else refused
    name, made_at = (then.name, then.made_at) if then else (None, None)
    return Drill(service, live.now, finding, str(error), name, made_at, None, live.archived_at, live.unarchived)


def hold_all(drills: Sequence[Drill]) -> str:
    """The sentence of a run in which all held. Raises DrillsFailed with what each of the others found."""
    wrong = [f"{drill.service}: {drill.finding}, {drill.said}" for drill in drills if not drill.held]
    if wrong:
        raise DrillsFailed(f"{len(wrong)} of {len(drills)} drills failed: {'; '.join(wrong)}")
    return "; ".join(f"{drill.service}: {drill.said}" for drill in drills) or "no service has a database to be drilled"


def news_of(drill: Drill, history: Sequence[Drill]) -> News | None:
    """What people are told: that it fails, once per spell and finding, and once that it holds again."""
    before = [each for each in history if each.at < drill.at]
    spell = _spell(before)
    if drill.held:
        if not spell:
            return None
        title = f"{drill.service}: the way back of the database holds again"
        return News(f"drill/{drill.service}/{spell[0].at.isoformat()}/{Finding.HELD}", title, drill.said)
    since = (spell or [drill])[0].at
    title = f"{drill.service}: the drill of the way back failed, a person must look"
    text = f"{drill.finding}: {drill.said}"
    return News(f"drill/{drill.service}/{since.isoformat()}/{drill.finding}", title, text)


def _spell(history: Sequence[Drill]) -> list[Drill]:
    """The drills since the last that held, the oldest first."""
    ordered = sorted(history, key=lambda each: each.at)
    held = [number for number, each in enumerate(ordered) if each.held]
    return ordered[held[-1] + 1 :] if held else ordered


def _broken(way: WayBack) -> list[tuple[Finding, str]]:
    return [] if way.proved else [(Finding.BROKEN, way.reason)]


def _slow(phases: Phases, promise: Promise) -> list[tuple[Finding, str]]:
    if promise.rto is None or phases.total <= promise.rto.total_seconds():
        return []
    slowest, seconds = max(phases.each.items(), key=lambda phase: phase[1])
    return [
        (
            Finding.SLOW,
            f"a restore took {phases.total:.1f} s and `rto` promises {show_duration(promise.rto)}, most of it the "
            f"{slowest} with {seconds:.1f} s: faster disks, or a parachute",
        )
    ]


def _old(then: Pointed, promise: Promise, now: datetime) -> list[tuple[Finding, str]]:
    age = now - then.made_at
    if promise.rpo is None or age <= promise.rpo:
        return []
    return [
        (
            Finding.OLD,
            f"the newest proved point {then.name} is {show_age(age)} old and `rpo` promises "
            f"{show_duration(promise.rpo)}: run the gate more often",
        )
    ]


def _behind(live: Live) -> list[tuple[Finding, str]]:
    if live.trouble:
        return [(Finding.BLIND, f"how far the archive is behind is not known: {live.trouble}")]
    if live.failing:
        return [(Finding.BEHIND, f"the archiver fails with {live.failing}: mend archive_command, the log says why")]
    return []


def _held(then: Pointed, phases: Phases, live: Live) -> str:
    age = f"the point is {show_age(live.now - then.made_at)} old"
    return f"{then.name} was restored in {phases.total:.1f} s and is what it was; {age}"
