"""Mending a database by going forward: what a rehearsal has shown, whether the fix may run, and who must say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from recovery.backups import MARGIN, Room, Server
from recovery.catalog import Service
from recovery.cnpg_catalog import Cnpg
from recovery.databases import Database
from recovery.durations import parse_duration, show_duration
from recovery.errors import Refused
from recovery.fix_scripts import Script, Step
from recovery.gates import database_of
from recovery.rds_catalog import Rds

LOCK_TIMEOUT = parse_duration("2s")  # who waits for a lock lets all others queue up behind it
LONGEST = parse_duration("5m")  # time that the whole fix may take
ATTEMPTS = 5  # at the locks, before a person must look who holds them
REGISTER = "ripcord.fixes"

# Source: PostgreSQL documentation, 13.3.1 Table-Level Locks. Weakest first; each with what it conflicts with.
_MODES = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_CONFLICTS: Mapping[str, frozenset[str]] = {
    "AccessShareLock": frozenset(_MODES[7:]),
    "RowShareLock": frozenset(_MODES[6:]),
    "RowExclusiveLock": frozenset(_MODES[4:]),
    "ShareUpdateExclusiveLock": frozenset(_MODES[3:]),
    "ShareLock": frozenset(_MODES[2:]) - {"ShareLock"},
    "ShareRowExclusiveLock": frozenset(_MODES[2:]),
    "ExclusiveLock": frozenset(_MODES[1:]),
    "AccessExclusiveLock": frozenset(_MODES),
}


@dataclass(frozen=True, slots=True)
class Ground:
    """The database on which a fix is to run, as the role of the conninfo finds it."""

    role: str
    settings: tuple[tuple[str, str], ...]  # what a script's meaning hangs on: search_path, TimeZone and the like
    frozen: str | None = None  # why nothing may be written, where that is so
    applied_at: datetime | None = None  # when this very script was applied


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that the fix holds on a table that was there before, until it commits."""

    table: str
    mode: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Rows of a table that the fix touches."""

    table: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the fix did to a clone of the present database."""

    before: str  # digest of the schema that it found
    after: str  # digest of the schema that it leaves: the postcondition
    copied: float  # seconds until the clone was open
    seconds: float  # from the first statement to the end of the commit
    held: tuple[Held, ...] = ()
    changes: tuple[Change, ...] = ()
    rewritten: tuple[str, ...] = ()  # tables whose every row was written anew
    gone: tuple[tuple[str, int], ...] = ()  # tables that are no more, or emptied, and their rows before
    removed: tuple[str, ...] = ()  # of the schema, in PostgreSQL's own definitions
    added: tuple[str, ...] = ()
    unsound: tuple[str, ...] = ()  # indexes and constraints that do not hold for all rows
    smoke: tuple[str, ...] = ()  # what was answered wrongly afterwards, in sentences


@dataclass(frozen=True, slots=True)
class Holder:
    """A session whose lock is in the way."""

    table: str
    mode: str
    pid: int | None  # None: a prepared transaction
    application: str
    since: datetime | None
    seconds: float  # age of its transaction


@dataclass(frozen=True, slots=True)
class FixPlan:
    """A fix that was rehearsed and may run."""

    service: str
    version: str
    script: Script
    rehearsal: Rehearsal
    reason: str
    losses: tuple[str, ...] = field(default=())  # what a person must approve

    @property
    def name(self) -> str:
        """Short and the same on every try."""
        return self.script.digest[:12]


def fixed_database(service: Service) -> Database | Rds | Cnpg:
    """The database that is mended, whoever runs it. Raises Refused when the catalogue names none."""
    return service.cnpg or service.rds or database_of(service)


def clone_name(service: str) -> str:
    """Where a service's clone lies beside its sets: there is one at a time."""
    return f"fix-{service}"


def judge_ground(database: Database, ground: Ground, server: Server, room: Room) -> str:
    """Answer whether a fix can be rehearsed and run here. Raises Refused naming everything that stands against it."""
    wrong = [ground.frozen] if ground.frozen else []
    if server.version != server.programs:
        wrong.append(
            f"the server is PostgreSQL {server.version} and the programs are of {server.programs}, which cannot run a "
            "clone of it: name those of the server in RIPCORD_POSTGRES_BIN"
        )
    if server.tablespaces:
        wrong.append(f"a clone would share the tablespaces {', '.join(server.tablespaces)}: move them to pg_default")
    for live in (server.data_directory, *server.tablespaces):
        if _meet(database.backups, live):
            wrong.append(f"`backups` {database.backups} and the server's own {live} lie in one another: part them")
    needed = int(server.size * MARGIN) + 2 * server.segment_size
    if room.free < needed:
        wrong.append(
            f"{database.backups} has {room.free // 1_000_000} MB free and the clone needs {needed // 1_000_000}: make "
            "room there"
        )
    if wrong:
        raise Refused("; ".join(wrong))
    return f"{server.size // 1_000_000} MB are cloned for the rehearsal, and the fix runs as {ground.role}"


def why_frozen(read_only: bool, limit: int, standby: bool) -> str | None:
    """Why nothing may be written to a database; None where it may."""
    if standby:
        return "the server is a standby, and a fix is written on its primary: name that in the conninfo"
    if not read_only and limit != 0:
        return None
    what = "default_transaction_read_only is on" if read_only else "its connection limit is 0"
    return f"the database is frozen ({what}), a restore has taken it out of use: ask who did, and fix the one in use"


def judge_managed_ground(ground: Ground) -> str:
    """The same where others run the server and restore the clone. Raises Refused."""
    if ground.frozen:
        raise Refused(ground.frozen)
    return f"a clone is restored for the rehearsal, and the fix runs as {ground.role}"


def plan_fix(service: str, version: str, script: Script, rehearsal: Rehearsal) -> FixPlan:
    """Decide whether a rehearsed fix may run, and what of it a person must approve. Raises Refused."""
    wrong = list(rehearsal.smoke)
    if rehearsal.seconds > LONGEST.total_seconds():
        wrong.append(
            f"it took {rehearsal.seconds:.0f} s and {show_duration(LONGEST)} are allowed: make it several fixes"
        )
    if wrong:
        raise Refused(
            f"the fix ran on a clone, and afterwards {'; '.join(wrong)}; nothing was changed: mend the script"
        )
    changed = sum(each.inserted + each.updated + each.deleted for each in rehearsal.changes)
    reason = (
        f"{len(script.steps)} statements ran on a clone in {rehearsal.seconds:.2f} s, {changed} rows changed, "
        f"{len(rehearsal.added)} definitions added and {len(rehearsal.removed)} removed"
    )
    return FixPlan(service, version, script, rehearsal, reason, (*script.losses, *measured_losses(rehearsal)))


def measured_losses(rehearsal: Rehearsal) -> tuple[str, ...]:
    """What data the fix took on the clone, counted."""
    found = [f"the {rows} rows of {table} are gone" for table, rows in rehearsal.gone]
    for change in rehearsal.changes:
        if change.deleted:
            found.append(f"{change.deleted} rows of {change.table} are deleted")
        if change.updated:
            found.append(f"{change.updated} rows of {change.table} are overwritten")
    return tuple(found)


def judge_changes(rehearsed: Sequence[Change], seen: Sequence[Change]) -> str | None:
    """Why a fix must not be committed: it takes rows where it took none on the clone. None where all is as it was."""
    known = {change.table: change for change in rehearsed}
    for change in seen:
        then = known.get(change.table, Change(change.table))
        for what, now, before in (
            ("deletes", change.deleted, then.deleted),
            ("overwrites", change.updated, then.updated),
        ):
            if now and not before:
                return f"it {what} {now} rows of {change.table}, and on the clone it did so with none"
    return None


def in_the_way(wanted: Sequence[Held], holders: Sequence[Holder], older: timedelta) -> tuple[Holder, ...]:
    """Those of the holders for whose locks the fix would wait, and whose transaction is that old.

    A transaction that is younger than the lock's time may be over before that time is: it is part of the traffic.
    """
    return tuple(
        holder
        for holder in holders
        if holder.seconds >= older.total_seconds()
        and any(each.table == holder.table and holder.mode in _CONFLICTS.get(each.mode, ()) for each in wanted)
    )


def strongest(modes: Sequence[str]) -> str:
    """The strongest of some lock modes."""
    return max(modes, key=lambda mode: _MODES.index(mode) if mode in _MODES else -1)


def who_waits(mode: str) -> str | None:
    """Whom a lock keeps waiting; None where neither readers nor writers notice."""
    if "AccessShareLock" in _CONFLICTS.get(mode, ()):
        return "readers and writers"
    return "writers" if "RowExclusiveLock" in _CONFLICTS.get(mode, ()) else None


def show_applied(applied_at: datetime) -> str:
    """What a repeat says."""
    return f"skipped: the fix was applied at {applied_at:%Y-%m-%d %H:%M:%S} UTC"


def show_holders(holders: Sequence[Holder]) -> str:
    """Who is in the way, as a clause."""
    return "; ".join(dict.fromkeys(_show_holder(each) for each in holders)) or "who held it has let go since"


def show_failure(step: Step | None, said: str, position: int | None = None) -> str:
    """PostgreSQL's own words, and the statement and line that they are about."""
    if step is None:
        return said
    return f"statement {step.number} on line {step.line_at(position)} ({step.shown}): {said}"


def _show_holder(holder: Holder) -> str:
    if holder.pid is None:
        return f"{holder.table} is held by the prepared transaction {holder.application}"
    since = f" since {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder.since else ""
    return f"{holder.table} is held ({holder.mode}) by process {holder.pid}, {holder.application or 'unnamed'},{since}"


def _meet(one: str, other: str) -> bool:
    left, right = PurePosixPath(one), PurePosixPath(other)
    return left.is_relative_to(right) or right.is_relative_to(left)
