"""Whether a server can give a way back, and whether a set's chain of WAL is whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from recovery.databases import Database
from recovery.errors import Refused

MARGIN = 1.2  # a backup grows while it is taken, and a full disk ends it in the middle
SENDERS = 2  # that pg_basebackup takes: one copies the files, one streams the WAL meanwhile, from a slot for that time


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself, and of which version our programs are."""

    version: int  # the major one
    programs: int
    system_id: str
    timeline: int
    segment_size: int  # bytes of one file of WAL
    in_recovery: bool
    wal_level: str
    archive_mode: str
    archive_command: str  # or its library
    archived_at: datetime | None
    failed_at: datetime | None
    failed_segment: str
    size: int  # bytes of all databases
    data_directory: str
    tablespaces: tuple[str, ...]  # directories of those outside the data directory
    unlogged: tuple[str, ...]  # tables that a recovery empties
    prepared: int  # transactions that wait for their second phase; they come back and hold their locks
    now: datetime
    slots: tuple[str, ...] = ()  # replication slots, which no base backup holds
    free_senders: int = SENDERS  # what is left of max_wal_senders
    free_slots: int = 1  # what is left of max_replication_slots
    unbounded: tuple[str, ...] = ()  # slots that nobody reads and that keep WAL without a limit
    slots_bounded: bool = True  # whether max_slot_wal_keep_size sets a limit


@dataclass(frozen=True, slots=True)
class Room:
    """What is free where the sets are kept, whether the set is there already, and where both places really lie."""

    free: int  # bytes
    taken: bool
    backups: str = ""  # without symbolic links; empty, as the catalogue names it
    archive: str = ""


@dataclass(frozen=True, slots=True)
class Backup:
    """A base backup as its own files tell of it."""

    system_id: str
    timeline: int
    start: str  # LSN from which WAL is needed
    end: str  # LSN from which on it is consistent


@dataclass(frozen=True, slots=True)
class Chain:
    """The WAL between a backup and a point, as it lies in the archive."""

    name: str  # of the point
    lsn: str
    found: Mapping[str, int]  # bytes per segment
    unreadable: str | None  # what pg_waldump said, where it did not get through
    names: tuple[str, ...]  # restore points on the way, in their order
    place: str = "the archive"  # or the directory of the set's own copy


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a chain does not lead to its point, and what may be done while the server is whole."""

    said: str
    way_out: str

    def __str__(self) -> str:
        """Both."""
        return f"{self.said}: {self.way_out}"


def judge_server(server: Server, database: Database, room: Room) -> str:
    """Answer what the server can give, in a sentence. Raises Refused naming everything that stands against it."""
    wrong = [
        *_versions(server),
        *_archiving(server),
        *_places(server, database, room),
        *_room(server, database, room),
        *_senders(server, room),
    ]
    if wrong:
        raise Refused("; ".join(wrong))
    notes = [f"{server.size // 1_000_000} MB on timeline {server.timeline}, archiving"]
    if server.unlogged:
        notes.append(f"unlogged and empty after a way back: {', '.join(server.unlogged)}")
    if server.prepared:
        notes.append(f"{server.prepared} prepared transactions would come back with their locks")
    if server.slots:
        notes.append(f"replication slots that would have to be made anew: {', '.join(server.slots)}")
    return "; ".join(notes)


def _versions(server: Server) -> list[str]:
    if server.version == server.programs:
        return []
    return [
        f"the server is PostgreSQL {server.version} and the programs are of {server.programs}, which do not read its "
        "files: name those of the server in RIPCORD_POSTGRES_BIN"
    ]


def _archiving(server: Server) -> list[str]:
    if server.in_recovery:
        return ["the server is a standby, and a point is made on its primary: name that in the conninfo"]
    wrong = []
    if server.wal_level not in ("replica", "logical"):
        wrong.append(f"wal_level is {server.wal_level}: set it to replica and restart the server")
    if server.archive_mode not in ("on", "always"):
        wrong.append(f"archive_mode is {server.archive_mode}: set it to on and restart the server")
    elif not server.archive_command:
        wrong.append("nothing archives: set archive_command or archive_library and reload the server")
    elif server.failed_at and (server.archived_at is None or server.failed_at > server.archived_at):
        wrong.append(
            f"the archiver fails, last with {server.failed_segment} at {server.failed_at:%Y-%m-%d %H:%M:%S}: mend "
            "archive_command, the server's log says why"
        )
    return wrong


def _places(server: Server, database: Database, room: Room) -> list[str]:
    """No set may lie where the server lives: a restore would overwrite what it is to save."""
    wrong = []
    backups, archive = room.backups or database.backups, room.archive or database.archive or ""
    for key, place in (("backups", backups), ("archive", archive)):
        for live in (server.data_directory, *server.tablespaces):
            if place and _meet(place, live):
                wrong.append(f"`{key}` {place} and the server's own {live} lie in one another: name a place of its own")
    if archive and _meet(backups, archive):
        wrong.append(f"`backups` {database.backups} and `archive` {database.archive} lie in one another: part them")
    if server.tablespaces:
        wrong.append(
            f"tables lie in tablespaces of their own ({', '.join(server.tablespaces)}), which a copy beside the server "
            "would share: ripcord does not take them, move them to pg_default"
        )
    return wrong


def _meet(one: str, other: str) -> bool:
    left, right = PurePosixPath(one), PurePosixPath(other)
    return left == right or left in right.parents or right in left.parents


def _room(server: Server, database: Database, room: Room) -> list[str]:
    copies = 1 if room.taken or database.barman else 2  # the set, and the copy that proves it
    needed = int(server.size * MARGIN * copies) + 2 * server.segment_size
    if room.free >= needed:
        return []
    return [
        f"{database.backups} has {room.free // 1_000_000} MB free and {needed // 1_000_000} are needed ({copies} x "
        f"{MARGIN} x {server.size // 1_000_000} MB and two segments): make room, or keep fewer sets"
    ]


def _senders(server: Server, room: Room) -> list[str]:
    """A base backup that finds none ends with an error after the checkpoint that it has asked for."""
    wrong = []
    if not room.taken and server.free_senders < SENDERS:
        wrong.append(
            f"{server.free_senders} of max_wal_senders are free and a base backup takes {SENDERS}: end a standby or "
            "pg_receivewal that nobody needs, or raise the setting"
        )
    if not room.taken and server.free_slots < 1:
        held = ", ".join(server.slots)
        wrong.append(
            f"none of max_replication_slots is free and a base backup takes one ({held}): drop a slot that nobody "
            "needs, or raise the setting"
        )
    return wrong


def judge_backup(backup: Backup, server: Server) -> None:
    """Raises Refused when a backup is not of this server's present history."""
    if backup.system_id != server.system_id:
        raise Refused(
            f"the backup is of the cluster {backup.system_id} and the server is {server.system_id}: move the set away"
        )
    if backup.timeline != server.timeline:
        raise Refused(
            f"the backup is of timeline {backup.timeline} and the server is on {server.timeline}: move the set away"
        )


def judge_chain(backup: Backup, chain: Chain, segment_size: int) -> tuple[str, ...]:
    """The segments that lead from a backup to a point, if all are there, whole and readable.

    Raises Refused with what is missing, too short or unreadable, or when the point cannot be reached at all.
    """
    flaw = find_flaw(backup, chain, segment_size)
    if flaw:
        raise Refused(str(flaw))
    return segments(backup.timeline, backup.start, chain.lsn, segment_size)


def find_flaw(backup: Backup, chain: Chain, segment_size: int) -> Flaw | None:
    """The first thing for which a chain does not lead from a backup to its point; it names the segment."""
    name, lsn = chain.name, chain.lsn
    if parse_lsn(lsn) < parse_lsn(backup.end):
        return Flaw(f"the backup ended at {backup.end}, after the point {name} at {lsn}", "it needs an older backup")
    wanted = segments(backup.timeline, backup.start, lsn, segment_size)
    missing = [segment for segment in wanted if segment not in chain.found]
    if missing:
        return Flaw(
            f"{len(missing)} of the {len(wanted)} segments from the backup to {name} are not in {chain.place}, the "
            f"first is {missing[0]}",
            "find it, or release the point with a new backup",
        )
    for segment in wanted:
        if chain.found[segment] != segment_size:
            return Flaw(
                f"segment {segment} in {chain.place} has {chain.found[segment]} bytes and not {segment_size}",
                "it was cut off, and a new backup is needed",
            )
    if chain.unreadable:
        where = _where(chain, backup.timeline, segment_size)
        return Flaw(
            f"the archived WAL from {backup.start} to {lsn} is damaged: {chain.unreadable}{where}",
            "a new backup is needed",
        )
    if list(chain.names).count(name) != 1:
        return Flaw(
            f"the WAL from the backup to {lsn} has the restore point {name} {list(chain.names).count(name)} times and "
            "not once",
            "recovery would stop at the first, choose another version or take a new backup",
        )
    return None


def _where(chain: Chain, timeline: int, size: int) -> str:
    """The segment of the record that pg_waldump could not read: where its words name a position, and no segment."""
    said = chain.unreadable or ""
    places = re.findall(r"\b[0-9A-F]{1,8}/[0-9A-F]{1,8}\b", said)
    if not places or re.search(r"\b[0-9A-F]{24}\b", said):
        return ""
    return f"; that record begins in {_segment(timeline, parse_lsn(places[-1]) // size, size)} in {chain.place}"


def parse_lsn(text: str) -> int:
    """The position in WAL that is written like 0/3000090."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def segments(timeline: int, start: str, end: str, size: int) -> tuple[str, ...]:
    """The names of the segments that hold what lies between two positions, the last byte before `end` included."""
    first, last = parse_lsn(start) // size, (parse_lsn(end) - 1) // size
    return tuple(_segment(timeline, number, size) for number in range(first, last + 1))


def last_segment(timeline: int, lsn: str, size: int) -> str:
    """The name of the segment that holds the last byte before a position."""
    return _segment(timeline, (parse_lsn(lsn) - 1) // size, size)


def _segment(timeline: int, number: int, size: int) -> str:
    per_log = (1 << 32) // size
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"
