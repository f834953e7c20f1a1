"""Write what was written after the point into a directory for people: summary, CSV, and SQL that psql runs alone.

The directory appears by one rename and is never touched again; one that was made while the damaged server still took
writes is put aside by the next, which has what was written since. It holds nothing of its own time, so that a repeat
writes the same bytes.
"""

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from prefect import task
from pydantic import TypeAdapter, ValidationError

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.journals import journal_name, wants_journal
from recovery.restore_points import RestorePoint
from recovery.salvage_tables import Comparison, Kind, Table, plan_comparisons
from recovery.salvages import Choice, Export, Found, Parted, judge_encoding, parted_beside, steps
from tasks.postgres.connection import Session, led_to, quoted, session, way_at
from tasks.postgres.copies import copy_of
from tasks.postgres.engines import engine_of
from tasks.postgres.places import place_of
from tasks.postgres.salvage.catalogs import READING, large_objects, moved_sequences, read_standing, read_tables
from tasks.postgres.salvage.differences import changes, whole
from tasks.postgres.salvage.journal import Journal, write_journal
from tasks.postgres.salvage.statements import csv_header, csv_line, csv_row, sql_header, sql_row
from tasks.retry import ON_UNAVAILABLE, spoken

SUMMARY = "summary.json"


@task(name="write export", task_run_name="export what {service} wrote after {version}", **ON_UNAVAILABLE)
@spoken
def write_export(service: str, version: str, database: Database, point: RestorePoint) -> str:
    """Compare a copy at the point with the damaged server, and write down every row that differs; changes neither.

    Raises Refused when the set of the point is gone, Unavailable when a server does not answer or the disk is full.
    """
    parted = parted_beside(database, point.name)
    if is_exported(parted) and not _put_aside(Path(parted.directory)):
        return f"skipped: {parted.directory} is there"
    journal = Journal(journal_name(service, version, point.name), point) if wants_journal(database) else None
    return _compare(parted, at_the_point(database, point), journal)


@task(name="write export of copy", task_run_name="export what {service} wrote after {version}", **ON_UNAVAILABLE)
@spoken
def write_export_of_copy(service: str, version: str, parted: Parted, copy: Mapping[str, str]) -> str:
    """The same where somebody else has restored the copy at the point, which answers at an address of its own."""
    if is_exported(parted):
        return f"skipped: {parted.directory} is there"
    return _compare(parted, session(parted.database, way_at(parted.database, copy)), None)


def is_exported(parted: Parted) -> bool:
    """Whether the export is there: it is whole then."""
    return Path(parted.directory).is_dir()


@task(name="read export", **ON_UNAVAILABLE)
def read_export(parted: Parted) -> Export:
    """What an export holds. Raises Refused when a file of it is not what was written."""
    place = Path(parted.directory)
    try:
        export = TypeAdapter(Export).validate_json((place / SUMMARY).read_bytes())
        changed = [name for name, digest in export.digests.items() if _digest(place / name) != digest]
    except (OSError, ValidationError):
        raise Refused(f"{place} is not a whole export: move it away, and salvage makes it anew") from None
    if changed:
        raise Refused(
            f"{changed[0]} in {place} was changed by hand: run your statements with psql, or move the directory away "
            "and salvage makes it anew"
        )
    return export


def _put_aside(place: Path) -> bool:
    """Give an export another name that may lack rows; False for one that does not, or that people have to look at."""
    try:
        export = TypeAdapter(Export).validate_json((place / SUMMARY).read_bytes())
    except (OSError, ValidationError):
        return False
    if export.complete:
        return False
    numbers = (place.with_name(f"{place.name}-of-before-{number}") for number in itertools.count(1))
    place.rename(next(aside for aside in numbers if not aside.exists()))
    return True


@contextmanager
def at_the_point(database: Database, point: RestorePoint) -> Iterator[Session]:
    """A session on a copy of the set, paused exactly at the point: the restored server has moved on since.

    The copy is thrown away at the end, and dies with us. Raises Refused when there is no set, or no room for a copy.
    """
    place, engine = place_of(database, point.name), engine_of(database)
    if not (place.set.is_dir() and engine.has_backup(place)):
        raise Refused(f"the set {place.set} is gone: without it nobody knows what was before the point")
    shutil.rmtree(place.copy, ignore_errors=True)
    size = engine.size(place)
    free = shutil.disk_usage(place.root).free
    if free < size:
        raise Refused(f"{place.root} has {free // 1_000_000} MB free and a copy needs {size // 1_000_000}: make room")
    with copy_of(database, place, point.name) as copy:
        copy.wait_until_paused(database)
        with session(database, copy.way) as asked:
            lsn = str(asked.value("SELECT pg_last_wal_replay_lsn()::text"))
            if lsn != point.lsn:
                raise Refused(f"the copy of {place.set} stopped at {lsn} and not at the point, {point.lsn}")
            yield asked


def _compare(parted: Parted, copy: AbstractContextManager[Session], journal: Journal | None) -> str:
    """Write the export beside its place and rename it."""
    place = Path(parted.directory)
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700, parents=True)
        with copy as then, session(parted.database, led_to(parted.database, parted.damaged)) as later:
            judge_encoding(*(str(side.value("SELECT getdatabaseencoding()::text")) for side in (then, later)))
            for side in (then, later):
                side.rows(READING)
            complete = not read_standing(later).takes_writes  # asked first: what is written after it is in no snapshot
            with then.snapshot(), later.snapshot():
                notes = write_journal(part, journal, later) if journal else ()
                export = _write(part, place, parted.point, then, later)
            export = replace(export, notes=export.notes + notes, complete=complete)
        _store(part / SUMMARY, TypeAdapter(Export).dump_json(export, indent=2))
        part.rename(place)
    except OSError as error:
        raise Unavailable(f"{part} cannot be written: {error.strerror}; make room there") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return f"wrote {export.rows} rows of {len(export.tables)} tables into {place}"


def _write(part: Path, place: Path, point: str, then: Session, later: Session) -> Export:
    for directory in ("csv", "sql"):
        (part / directory).mkdir(mode=0o700)
    compared, fresh, notes = plan_comparisons(read_tables(then), read_tables(later))
    tables = [
        found
        for number, table in enumerate(compared, 1)
        if (found := _write_table(part, number, table, point, then, later)).counts
    ]
    notes += tuple(_write_fresh(part, number, table, later) for number, table in enumerate(fresh, 1))
    if count := large_objects(later):
        notes += (f"there are {count} large objects, which are not compared: see lo_export of psql",)
    _store(part / "all.sql", _all_in_order(tables).encode())
    files = sorted(path for path in part.rglob("*") if path.is_file())
    digests = {str(path.relative_to(part)): _digest(path) for path in files}
    return Export(point, str(place), tuple(tables), moved_sequences(then, later), notes, digests)


def _write_table(part: Path, number: int, table: Comparison, point: str, then: Session, later: Session) -> Found:
    """The files of one table; none where it has no difference."""
    file = f"{number:03}-{_readable(table.shown)}"
    counts: dict[Kind, int] = {}
    written: dict[str, IO[str]] = {}
    with ExitStack() as stack:

        def into(path: str, header: str) -> IO[str]:
            if path not in written:
                written[path] = stack.enter_context((part / path).open("w", encoding="utf-8", newline=""))
                stack.callback(_flush, written[path])
                written[path].write(header)
            return written[path]

        for change, was, became in changes(then, later, table):
            kind = change.kind
            counts[kind] = counts.get(kind, 0) + 1
            into(f"csv/{file}.csv", csv_header(table)).write(csv_row(table, change, was, became))
            header = sql_header(table, kind, point)
            into(f"sql/{file}.{kind}.sql", header).write(sql_row(table, change, was, became, then.literal))
    return Found(table, {kind: counts[kind] for kind in Kind if kind in counts}, file)


def _write_fresh(part: Path, number: int, table: Table, later: Session) -> str:
    """The rows of a table that was made after the point: as CSV alone, for there is no table that takes them."""
    columns = [column.name for column in table.columns]
    path = part / "csv" / f"new-{number:03}-{_readable('.'.join(table.id))}.csv"
    texts = [f"{quoted(name)}::text" for name in columns]
    order = f"sha256(convert_to({whole(texts)}, 'UTF8'))" if texts else "1"
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_line(columns))
        for row in later.stream(f"SELECT {', '.join(texts)} FROM {quoted(*table.id)} ORDER BY {order}"):
            file.write(csv_line(row))
            count += 1
        _flush(file)
    return f"{'.'.join(table.id)} was made after the point: its {count} rows are in csv/{path.name} alone"


def _all_in_order(tables: list[Found]) -> str:
    """One file that runs all others in one transaction, in the order that foreign keys want.

    The inserts come once more at the end: a row may have waited for a value that a deleted one had.
    """
    head = ["-- psql --set ON_ERROR_STOP=1 --file all.sql DATABASE", "BEGIN;", "SET CONSTRAINTS ALL DEFERRED;"]
    order = [*steps(tables, Choice.EVERYTHING, ()), *steps(tables, Choice.INSERTED, ())]
    return "\n".join([*head, *(f"\\ir sql/{found.file}.{kind}.sql" for found, kind in order), "COMMIT;"]) + "\n"


def _readable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:80]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())
