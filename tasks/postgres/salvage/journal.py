"""Write a journal down for people: every change after the point, and what each transaction did to each table."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recovery.journals import Change, Commit, is_after, read_change, read_commit
from recovery.restore_points import RestorePoint
from tasks.postgres.connection import Session
from tasks.postgres.salvage.statements import csv_line

KINDS = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
_SLOT = """
SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()
"""
_CHANGES = (
    "SELECT lsn::text, xid::text, data FROM pg_logical_slot_peek_changes('{}', NULL, NULL, 'include-timestamp', 'on')"
)


@dataclass(frozen=True, slots=True)
class Journal:
    """The slot of a journal, whose name holds no quote, and the point up to which it tells nothing new."""

    slot: str
    point: RestorePoint


def write_journal(part: Path, journal: Journal, later: Session) -> tuple[str, ...]:
    """The two files of `journal/`, in the order of the commits; what must be said of it.

    What was committed up to the point is left out: the restored server has it.
    """
    found = later.rows(_SLOT, journal.slot)
    if not found:
        return (f"there is no journal {journal.slot}: later rows are known as they are now, not as they were",)
    if found[0][0] == "lost":
        return (f"the journal {journal.slot} is lost: more was written than max_slot_wal_keep_size lets it keep",)
    (part / "journal").mkdir(mode=0o700)
    counted = Counted()
    with (
        (part / "journal" / "changes.csv").open("w+b") as changes,
        (part / "journal" / "transactions.csv").open("wb") as transactions,
    ):
        _put(changes, "lsn", "xid", "change")
        _put(transactions, "commit", "xid", "at", "table", *KINDS)
        begun = changes.tell()
        for lsn, xid, line in later.stream(_CHANGES.format(journal.slot)):
            if commit := read_commit(line):
                if is_after(lsn, journal.point.lsn or "0/0"):
                    counted.close(lsn, commit, transactions)
                else:
                    changes.truncate(changes.seek(begun))
                    counted.forget()
                begun = changes.tell()
            elif change := read_change(line):
                _put(changes, lsn, xid, line)
                counted.add(change)
    return (counted.said(),)


class Counted:
    """How much was written, transaction by transaction."""

    def __init__(self) -> None:
        self._tables: Counter[Change] = Counter()
        self._transactions, self._changes, self._most = 0, 0, (0, "", "")

    def add(self, change: Change) -> None:
        """A change of the transaction that is read."""
        self._tables[change] += 1

    def forget(self) -> None:
        """The transaction that is read was no news."""
        self._tables.clear()

    def close(self, lsn: str, commit: Commit, into: IO[bytes]) -> None:
        """The end of a transaction: a line for each table that it wrote."""
        for table in sorted({each.table for each in self._tables}):
            counts = (str(self._tables[Change(table, kind)]) for kind in KINDS)
            _put(into, lsn, commit.xid, commit.at, table, *counts)
        size = self._tables.total()
        self.forget()
        self._transactions += bool(size)
        self._changes += size
        self._most = max(self._most, (size, commit.xid, commit.at))

    def said(self) -> str:
        """What people should look at first."""
        size, xid, at = self._most
        if not size:
            return "the journal has no change after the point"
        return (
            f"the journal has {self._changes} changes in {self._transactions} transactions, in journal/: what the "
            "damage changed or deleted of later rows stands there alone; the largest transaction is "
            f"{xid} of {at} with {size} changes"
        )


def _put(file: IO[bytes], *values: str) -> None:
    file.write(csv_line(values).encode())
