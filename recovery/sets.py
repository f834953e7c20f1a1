"""The sets of a service in the order of their history, which of them may go, and whether there is room for the next."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from recovery.backups import MARGIN, Server, parse_lsn
from recovery.databases import Database
from recovery.restore_points import Then

S = TypeVar("S")
COPIES = 2  # the next gate's set, and the copy that proves it


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A complete set on disk."""

    then: Then
    proved: bool = True


@dataclass(frozen=True, slots=True)
class Spare:
    """What is free on the disks, in bytes."""

    backups: int
    sides: int | None = None  # None: the catalogue names no place of restored servers


def by_history(sets: Iterable[S], then_of: Callable[[S], Then]) -> list[S]:
    """From the oldest to the newest: within a cluster by timeline and position, since a clock may have jumped.

    Positions of two clusters cannot be compared; the cluster that made the last of all points comes last.
    """
    met = list(sets)
    last: dict[str, datetime] = {}
    for then in map(then_of, met):
        last[then.system_id] = max(then.made_at, last.get(then.system_id, then.made_at))

    def place(each: S) -> tuple[datetime, str, int, int]:
        then = then_of(each)
        return last[then.system_id], then.system_id, then.timeline, parse_lsn(then.lsn)

    return sorted(met, key=place)


def plan_expiry(sets: Sequence[StoredSet], keep: int, locked: timedelta, now: datetime) -> tuple[str, ...]:
    """The sets that may go: no longer locked, and not among the newest `keep` that were proved."""
    proved = by_history((each for each in sets if each.proved), lambda each: each.then)
    kept = {each.then.name for each in proved[-keep:]}
    return tuple(each.then.name for each in sets if each.then.name not in kept and now - each.then.made_at > locked)


def warn_of_disks(server: Server, database: Database, spare: Spare) -> str | None:
    """What fills up, said a deployment before a gate would refuse it; None where there is room."""
    said = []
    wanted = int(server.size * MARGIN) * (COPIES + 1)
    if not database.barman and spare.backups < wanted:
        said.append(
            f"{database.backups} has {_megabytes(spare.backups)} free, and two more gates need {_megabytes(wanted)}: "
            "make room, or keep fewer sets"
        )
    one = int(server.size * MARGIN)
    if database.restore and not database.restore.parachute and spare.sides is not None and spare.sides < one:
        said.append(
            f"{database.restore.sides} has {_megabytes(spare.sides)} free, and a server that is restored there needs "
            f"{_megabytes(one)}: make room"
        )
    if server.unbounded:
        said.append(
            f"no reader takes the WAL that replication slots keep without a limit ({', '.join(server.unbounded)}), "
            "which fills the server's disk: drop them, or set max_slot_wal_keep_size"
        )
    return "; ".join(said) or None


def _megabytes(size: int) -> str:
    return f"{size // 1_000_000} MB"
