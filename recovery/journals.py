"""A journal of what is written after a point: a logical replication slot, bounded, for the time of a watch.

The comparison of a salvage sees each row as it is at the end. What the damage itself changed or deleted of rows that
are younger than the point is in the journal alone.
"""

import hashlib
import re
from dataclasses import dataclass

from recovery.backups import Server, parse_lsn
from recovery.catalog import Service
from recovery.databases import Database
from recovery.errors import Refused

PLUGIN = "test_decoding"  # PostgreSQL's own, in contrib
_NAME = r'(?:"(?:[^"]|"")+"|[^\s".:]+)'  # as test_decoding writes an identifier, quoted where it needs it
_CHANGE = re.compile(rf"table ({_NAME}\.{_NAME}(?:, {_NAME}\.{_NAME})*): (INSERT|UPDATE|DELETE|TRUNCATE):", re.DOTALL)
_COMMIT = re.compile(r"COMMIT (\d+) \(at (.+)\)")
_OURS = "ripcord."


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of a transaction, as the journal tells it."""

    xid: str
    at: str


@dataclass(frozen=True, slots=True)
class Change:
    """A row that was written: of which table, and how; nothing of it is kept here."""

    table: str
    kind: str  # INSERT, UPDATE, DELETE or TRUNCATE


def wants_journal(database: Database) -> bool:
    """Whether the catalogue asks for one."""
    return database.restore is not None and database.restore.journal


def has_journal(service: Service) -> bool:
    """The same of a service."""
    return service.database is not None and wants_journal(service.database)


def journals_of(service: str, version: str = "") -> str:
    """What the names of all journals of a service begin with, or of one release of it."""
    return f"ripcord_{_digest(service)}_{_digest(version) + '_' if version else ''}"


def journal_name(service: str, version: str, point: str) -> str:
    """The name of a point's slot: PostgreSQL takes small letters, digits and underscores."""
    return journals_of(service, version) + _digest(point)


def judge_journal(server: Server, database: Database) -> None:
    """Raises Refused naming everything for which a server can keep no journal, or none that is bounded."""
    if not wants_journal(database):
        return
    wrong = []
    if server.wal_level != "logical":
        wrong.append(f"`journal` needs wal_level logical and it is {server.wal_level}: set it and restart the server")
    if not server.slots_bounded:
        wrong.append(
            "`journal` keeps WAL, and max_slot_wal_keep_size sets no limit: set one below what is free on the server's "
            "disk, and reload it"
        )
    if wrong:
        raise Refused("; ".join(wrong))


def read_change(line: str) -> Change | None:
    """What a line of the journal says was written; None for any other line, and for tables of ripcord's own."""
    found = _CHANGE.match(line)
    if found is None or found[1].startswith(_OURS):
        return None
    return Change(found[1], found[2])


def read_commit(line: str) -> Commit | None:
    """The end of a transaction; None for any other line."""
    found = _COMMIT.fullmatch(line)
    return Commit(found[1], found[2]) if found else None


def is_after(commit: str, point: str) -> bool:
    """Answer whether a transaction that ended at one position is lost by going back to another."""
    return parse_lsn(commit) > parse_lsn(point)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
