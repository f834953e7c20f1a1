"""What was written after the point of a restore: how much, what of it goes back in which order, and whether it may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recovery.backups import parse_lsn
from recovery.catalog import Service
from recovery.cnpg_catalog import Cnpg
from recovery.databases import Database
from recovery.errors import Refused
from recovery.rds_catalog import Rds
from recovery.restore_points import RestorePoint
from recovery.salvage_tables import Comparison, Kind
from recovery.sides import restore_of


class Choice(StrEnum):
    """What a person lets go back."""

    NOTHING = "nothing"
    INSERTED = "inserted rows only"
    EVERYTHING = "everything"


KINDS: Mapping[Choice, tuple[Kind, ...]] = {
    Choice.NOTHING: (),
    Choice.INSERTED: (Kind.INSERTED,),
    Choice.EVERYTHING: (Kind.INSERTED, Kind.CHANGED, Kind.DELETED),
}


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows of a table were written after the point."""

    comparison: Comparison
    counts: Mapping[Kind, int]
    file: str  # beginning of the names of its files

    @property
    def table(self) -> str:
        """The table's name."""
        return self.comparison.shown


@dataclass(frozen=True, slots=True)
class MovedSequence:
    """A sequence that has handed out numbers after the point."""

    schema: str
    name: str
    then: int
    later: int


@dataclass(frozen=True, slots=True)
class Export:
    """What was written after a point, as it lies on disk for people to read."""

    point: str
    directory: str
    tables: tuple[Found, ...]
    sequences: tuple[MovedSequence, ...]
    notes: tuple[str, ...]  # what is not in it, in sentences
    digests: Mapping[str, str]  # SHA-256 per file
    complete: bool = False  # nothing could be written any more when it was made

    @property
    def rows(self) -> int:
        """All rows that were written."""
        return sum(sum(found.counts.values()) for found in self.tables)


@dataclass(frozen=True, slots=True)
class Parted:
    """A damaged database and the one restored beside it: how each is reached, and where the export of the rest lies."""

    database: Database | Rds | Cnpg
    point: str  # at which they parted
    directory: str  # of the export
    restored: Mapping[str, str]  # host and port
    damaged: Mapping[str, str] | None = None  # host and port; None: where the conninfo leads


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the rows of one kind of one table."""

    table: str
    kind: Kind
    found: int
    applied: int
    there: int  # they were what they are to be already
    conflicts: int  # left alone: changed meanwhile, or the database does not take them


@dataclass(frozen=True, slots=True)
class Standing:
    """Which server a connection leads to, and in what state it is."""

    system_id: str
    timeline: int
    started: str  # when the postmaster started; with the database's name it tells two servers apart
    database: str
    in_recovery: bool
    read_only: bool
    encoding: str

    @property
    def takes_writes(self) -> bool:
        """Whether somebody may still write there."""
        return not (self.read_only or self.in_recovery)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set that may be the one that was restored."""

    name: str
    lsn: str
    made_at: datetime
    timeline: int
    system_id: str


def choose_restored(candidates: Sequence[Candidate], damaged: Standing, registered: str | None) -> RestorePoint:
    """The point at which the restored server branched off from the damaged one.

    `registered` is the name in the restored server's own register; a gate after the restore may have put another one
    there. Raises Refused when no set of the damaged server's history is left.
    """
    ours = [c for c in candidates if (c.timeline, c.system_id) == (damaged.timeline, damaged.system_id)]
    named = [c for c in ours if c.name == registered] or sorted(ours, key=lambda c: parse_lsn(c.lsn))[-1:]
    if not named:
        raise Refused(
            f"there is no set of the damaged server's timeline {damaged.timeline}: without it nobody knows what was "
            "before the point; look into `backups`"
        )
    return RestorePoint(named[0].name, 1, named[0].lsn, named[0].made_at)


def restored_database(service: Service) -> Database:
    """The service's database. Raises Refused when the catalogue does not say where a restored one lives."""
    if service.database is None or service.database.restore is None:
        raise Refused(f"the catalogue names no `database` with `restore` of {service.name}: nothing was restored")
    return service.database


def judge_salvageable(service: Service) -> None:
    """Raises Refused when nothing can have been restored beside the service's database."""
    if service.rds is None and service.cnpg is None:
        restored_database(service)


def parted_beside(database: Database, point: str) -> Parted:
    """The damaged and the restored server of a database whose sets are ours."""
    restore = restore_of(database)
    directory = f"{restore.sides}/{point}/salvage"
    return Parted(database, point, directory, {"host": restore.host, "port": str(restore.port)})


def judge_servers(damaged: Standing, restored: Standing, *, apply: bool) -> str:
    """What must be said of the two servers. Raises Refused when they are not a damaged one and its restored one."""
    if (damaged.started, damaged.database) == (restored.started, restored.database):
        raise Refused(
            "the damaged and the restored server are one and the same: `url_variable` must still lead to the damaged "
            "one, and `restore.host` and `restore.port` to the one restored beside it"
        )
    if damaged.system_id != restored.system_id:
        raise Refused(
            f"the restored server is the cluster {restored.system_id} and the damaged one {damaged.system_id}: they "
            "have no history in common, look at `restore.host` and `restore.port`"
        )
    if not restored.in_recovery and restored.timeline <= damaged.timeline:
        raise Refused(
            f"the restored server is on timeline {restored.timeline} and the damaged one on {damaged.timeline}, a "
            "restored one is always ahead: the two may be mixed up, look at `url_variable` and `restore`"
        )
    judge_encoding(damaged.encoding, restored.encoding)
    if apply and restored.in_recovery:
        raise Refused("the restored server takes no writes yet: restore the database first, then run salvage again")
    if not damaged.takes_writes:
        return "the damaged database takes no writes"
    if apply:
        raise Refused(
            "the damaged database still takes writes, which would be lost: freeze it first, ALTER DATABASE ... SET "
            "default_transaction_read_only = on"
        )
    return "the damaged database STILL TAKES WRITES: what is written from now on is not in the export"


def judge_encoding(*encodings: str) -> None:
    """Raises Refused when text of a database cannot be read as text."""
    if "SQL_ASCII" in encodings:
        raise Refused("the database has the encoding SQL_ASCII, its text cannot be read as text: compare by hand")


def steps(tables: Sequence[Found], choice: Choice, left_out: Sequence[str]) -> tuple[tuple[Found, Kind], ...]:
    """What goes back, in the order that foreign keys want: inserts parents first, deletes children first."""
    wanted = [found for found in tables if found.table not in left_out]
    ordered = [(found, kind) for kind in KINDS[choice] for found in (wanted[::-1] if kind is Kind.DELETED else wanted)]
    return tuple((found, kind) for found, kind in ordered if found.counts.get(kind))


def object_to(tables: Sequence[Found], left_out: Sequence[str]) -> str | None:
    """What is wrong with a list of tables that are to be left out: a wrong name would let its rows go back."""
    known = {found.table for found in tables}
    unknown = sorted({*left_out} - known)
    if not unknown:
        return None
    return f"{', '.join(unknown)} is none of the tables: they are {', '.join(sorted(known))}"


def names_of(text: str) -> tuple[str, ...]:
    """The tables that a person has listed, one a line or parted by commas."""
    parts = text.replace("\n", ",").split(",")
    return tuple(sorted({part.strip() for part in parts if part.strip()} - {"none", "-"}))
