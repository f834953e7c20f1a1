"""A restored server beside the damaged one: what stage it is in, and where it may lie."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from recovery.backups import Server
from recovery.catalog import Service
from recovery.databases import Database, Restore
from recovery.errors import Refused

LONGEST_DIRECTORY = 80  # bytes: the path of a socket in a directory below it may have 107


class Stage(StrEnum):
    """How far a side has come."""

    ABSENT = "absent"
    PARTIAL = "partial"  # its copy was begun and is not whole
    STOPPED = "stopped"  # whole, and not running
    REPLAYING = "replaying"  # running, and not paused yet
    PAUSED = "paused"  # running, read-only, for as long as it takes
    PROMOTED = "promoted"  # it takes writes, or did until it was stopped


TO_BE_LAID = (Stage.ABSENT, Stage.PARTIAL)
"""Where the files of the backup are still to be laid down: they need their room, and whoever keeps them."""


@dataclass(frozen=True, slots=True)
class Side:
    """The restored server of one point, as its files and itself tell of it."""

    name: str  # of the point
    stage: Stage
    host: str  # where clients reach it
    port: int
    running: bool = False
    socket: str | None = None  # the closed directory of its socket, by which every role is let in, while it runs
    lsn: str | None = None  # up to where it has replayed, while in recovery
    timeline: int | None = None
    system_id: str | None = None
    parachute: bool = False  # it was made before the point and followed the primary to it
    clients: int = 0  # connections that are not ripcord's
    archiving: bool = False
    seconds: float | None = None  # from its start until it had paused, when it was last raised
    foreign: str | None = None  # who else holds its port, in a sentence


@dataclass(frozen=True, slots=True)
class Label:
    """What a side's own file says of it, since it was whole."""

    service: str
    version: str
    name: str  # of the point
    parachute: bool
    seconds: float | None = None  # from its start until it had paused, when it was last raised


def restore_of(database: Database) -> Restore:
    """How a database is taken back. Raises Refused when the catalogue does not say."""
    if database.restore is None:
        raise Refused("the catalogue does not say where a restored server lives: add `restore` to `database`")
    return database.restore


def has_parachute(service: Service) -> bool:
    """Whether a standby at the point is kept ready while a release of the service is watched."""
    database = service.database
    return database is not None and database.restore is not None and database.restore.parachute


def judge_place(database: Database) -> None:
    """Raises Refused when a side would lie where its sets or the archive lie, or too deep for its socket."""
    sides = restore_of(database).sides
    for key, place in (("backups", database.backups), ("archive", database.archive)):
        if place and _meet(sides, place):
            raise Refused(f"`sides` {sides} and `{key}` {place} lie in one another: name a place of its own")
    if len(sides.encode()) > LONGEST_DIRECTORY:
        raise Refused(f"`sides` {sides} is longer than {LONGEST_DIRECTORY} bytes, too long for the path of a socket")


def judge_beside(server: Server, database: Database) -> None:
    """Raises Refused when a side would lie in the directories of the server that it is to stand beside."""
    if database.restore is None:
        return
    sides = database.restore.sides
    for live in (server.data_directory, *server.tablespaces):
        # A server that was a side itself lies below `sides`, which is where the next one lies beside it.
        if PurePosixPath(sides).is_relative_to(live):
            raise Refused(f"`sides` {sides} lies in the server's own {live}: name a place of its own")


def judge_stop(side: Side, lsn: str) -> None:
    """Raises Refused when a side has paused elsewhere than at its point."""
    if side.lsn != lsn:
        raise Refused(
            f"the side {side.name} has paused at {side.lsn} and its point is at {lsn}: look into its log, then drop it"
        )


def judge_leaving(side: Side, verb: str) -> None:
    """Raises Refused when a side is in use and must not be taken away."""
    if side.stage is Stage.PROMOTED:
        raise Refused(
            f"the side {side.name} was promoted and may hold what is nowhere else: it is not to be {verb} by us"
        )
    if side.clients:
        raise Refused(
            f"{side.clients} clients are connected to the side {side.name} on port {side.port}: it is not {verb} "
            "while they are"
        )


def _meet(one: str, other: str) -> bool:
    left, right = PurePosixPath(one), PurePosixPath(other)
    return left.is_relative_to(right) or right.is_relative_to(left)
