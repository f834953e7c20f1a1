"""A named point to which the database can be taken back, what it was like then, and whether the way there holds."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from recovery.durations import show_duration
from recovery.outlooks import Outlook

LONGEST = 63  # bytes of a restore point's name; PostgreSQL refuses a longer one


class Aging(Protocol):
    """A database whose points grow old."""

    @property
    def fresh(self) -> timedelta:
        """Age up to which a point is taken again."""


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """One row of the register `ripcord.restore_points`. Without an LSN it was meant to be made and was not finished."""

    name: str
    attempt: int
    lsn: str | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What a database is like at one moment, as far as it can be compared."""

    counts: Mapping[str, int]  # rows per table that outlives a crash
    sequences: Mapping[str, int]  # last value, negated where it counts downwards
    roles: tuple[str, ...]
    extensions: Mapping[str, str]  # name and version
    collations: Mapping[str, str]  # version that the host provides, of the collations in use
    schema: str  # digest of tables, columns, constraints, indexes and views


@dataclass(frozen=True, slots=True)
class Then:
    """What the database was like at the point: looked at right before it and right after it."""

    service: str
    version: str
    name: str
    lsn: str
    timeline: int
    system_id: str
    made_at: datetime
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Seen:
    """What a copy was like that was restored to the point, and how long that took."""

    lsn: str
    timeline: int
    system_id: str
    state: State
    smoke: tuple[str, ...] = ()  # what was answered wrongly, in sentences
    opened: bool = True  # whether it took writes once it was promoted
    seconds: float = 0.0
    damage: str | None = None  # what pg_amcheck found in its tables and indexes
    checked: str = ""  # what was looked for, or why it was not


@dataclass(frozen=True, slots=True)
class WayBack:
    """Whether a deployment has a proved way back, and the sentence that says so."""

    proved: bool
    reason: str
    point: str | None = None
    seconds: float | None = None  # from the set to a copy that takes writes: the forecast for the real one
    outlook: Outlook | None = None  # whether the version before runs on the new schema; it refuses no deployment

    @property
    def sentence(self) -> str:
        """The reason, and what a recovery would be."""
        return f"{self.reason}. {self.outlook.reason}" if self.outlook else self.reason


@dataclass(frozen=True, slots=True)
class Choice:
    """Which point the gate is about: one that is there already, or one that is to be made."""

    point: RestorePoint
    reason: str
    there: bool = field(default=False)


def point_name(service: str, version: str, attempt: int = 1) -> str:
    """The name of a point: readable, made of letters, digits, dots and dashes, the same on every try."""
    digest = hashlib.sha256(f"{service}\0{version}\0{attempt}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{service}-{version}").strip(".-")
    ending = f"-{attempt}-{digest}"
    return readable[: LONGEST - len(ending)] + ending


def is_point_of(service: str, name: str) -> bool:
    """Answer whether a name is that of one of the service's points; one that was shortened or respelt is not known."""
    parts = re.fullmatch(rf"{re.escape(service)}-(.+)-(\d{{1,9}})-[0-9a-f]{{8}}", name)
    return parts is not None and point_name(service, parts[1], int(parts[2])) == name


def choose_point(
    service: str, version: str, database: Aging, found: RestorePoint | None, recorded: Then | None, now: datetime,
    known: Collection[str] = (),
) -> Choice:  # fmt: skip
    """Decide whether the point in the register serves, or which one is to be made.

    `recorded` is what stands in the set of that point. A name is never used twice: recovery would stop at the
    first of two points of one name. Nor is one of those `known` from sets that the register has lost, as where the
    database was made anew: another point's set would be written over.
    """
    attempt = found.attempt + 1 if found else 1
    while point_name(service, version, attempt) in known:
        attempt += 1
    again = RestorePoint(point_name(service, version, attempt), attempt)
    if found is None:
        return Choice(again, "there is no point for it yet")
    if found.lsn is None or found.made_at is None:
        return Choice(again, f"{found.name} was begun and not finished")
    if recorded is None or recorded.name != found.name or recorded.lsn != found.lsn:
        return Choice(again, f"{found.name} is registered and its set does not record it")
    age = now - found.made_at
    if age < timedelta():
        return Choice(again, f"{found.name} was made in the future: the server's clock was put back, no age is known")
    if age > database.fresh:
        limit = show_duration(database.fresh)
        return Choice(again, f"{found.name} is {show_age(age)} old, and a point stands for {limit} at most")
    return Choice(found, f"{found.name} was made {show_age(age)} ago", there=True)


def show_age(age: timedelta) -> str:
    """An age in whole seconds, minutes or hours, as one says it."""
    seconds = max(0, int(age.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def judge_proof(then: Then, seen: Seen, uncounted: tuple[str, ...] = ()) -> WayBack:
    """Answer whether the restored copy is what the database was at the point, naming everything that is not."""
    wrong = [
        *_same("it stopped at", seen.lsn, then.lsn, "the name may have been used before"),
        *_same("its timeline is", str(seen.timeline), str(then.timeline), "the set is of another history"),
        *_same("its system identifier is", seen.system_id, then.system_id, "the set is of another cluster"),
        *unlike(then.before, then.after, seen.state, uncounted),
        *seen.smoke,
        *([seen.damage] if seen.damage else []),
        *([] if seen.opened else ["it did not take writes after its promotion"]),
    ]
    if wrong:
        return WayBack(False, f"the copy restored to {then.name} is not what was: {'; '.join(wrong)}", then.name)
    rows = sum(seen.state.counts.values())
    said = (
        f"a copy was restored to {then.name} ({then.lsn}, timeline {then.timeline}) in {seen.seconds:.1f} s, with "
        f"{len(seen.state.counts)} tables and {rows} rows as they were"
    )
    if seen.checked:
        said = f"{said}; {seen.checked}"
    return WayBack(True, said, then.name, seen.seconds)


def unlike(before: State, after: State, state: State, uncounted: tuple[str, ...] = ()) -> list[str]:
    """Everything in which a database is not what it was right before or right after its point, in sentences."""
    return [*_counts(before, after, state, uncounted), *_sequences(before, state), *_parts(before, after, state)]


def _same(what: str, seen: str, expected: str, hint: str) -> list[str]:
    return [] if seen == expected else [f"{what} {seen} and not {expected}, {hint}"]


def _counts(before: State, after: State, state: State, uncounted: tuple[str, ...]) -> list[str]:
    """Rows must be as many as before or after the point, or between: what was written meanwhile is either."""
    wrong = []
    for table in sorted({*before.counts, *after.counts, *state.counts} - {*uncounted}):
        around = [side.counts[table] for side in (before, after) if table in side.counts]
        seen = state.counts.get(table)
        if seen is None:
            if len(around) == 2:
                wrong.append(f"table {table} is missing, it had {around[0]} rows")
        elif not around:
            wrong.append(f"table {table} is there and was not")
        elif not min(around) <= seen <= max(around):
            wanted = f"{around[0]}" if len({*around}) == 1 else f"{min(around)} to {max(around)}"
            wrong.append(
                f"table {table} has {seen} rows and not {wanted}; if it never stands still, name it in `uncounted`"
            )
    return wrong


def _sequences(before: State, state: State) -> list[str]:
    """A sequence may be ahead, recovery skips up to 32 values; behind, it would give out a number twice."""
    return [
        f"sequence {name} is at {state.sequences.get(name)} and was at {value}"
        for name, value in sorted(before.sequences.items())
        if state.sequences.get(name, value - 1) < value
    ]


def _parts(before: State, after: State, state: State) -> list[str]:
    wrong = []
    for what in ("roles", "extensions", "collations", "schema"):
        seen, sides = getattr(state, what), (getattr(before, what), getattr(after, what))
        if seen not in sides:
            wrong.append(f"{what} are {_listed(seen)} and not {_listed(sides[0])}")
    return wrong


def _listed(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items())) or "none"
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
