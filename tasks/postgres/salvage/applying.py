"""Take rows of an export back on the restored server, in one transaction, once; what was changed meanwhile stays.

The register `ripcord.salvages` is written in that transaction: a repeat finds there what was done, also where the
answer of the commit was lost, and does not take back again what customers have deleted since.
"""

from collections.abc import Sequence
from pathlib import Path

from prefect import task

from recovery.salvage_tables import Kind
from recovery.salvages import Applied, Choice, Export, Found, MovedSequence, Parted, steps
from tasks.postgres.connection import Session, quoted, restored
from tasks.postgres.salvage.catalogs import ALIKE
from tasks.postgres.salvage.exports import read_export
from tasks.postgres.salvage.staging import Staged
from tasks.retry import ON_UNAVAILABLE, spoken

REGISTER, CONFLICTS = "ripcord.salvages", "ripcord.salvage_conflicts"
AHEAD = 32  # numbers that are skipped, as a recovery does: somebody may take one while we look
ROUNDS = 20  # a row may wait for another one: for a unique value, or for the row that it hangs on
_WRITING = f"{ALIKE}; SET lock_timeout = '10s'; SET idle_session_timeout = 0; SET jit = off"
_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS ripcord;
CREATE TABLE IF NOT EXISTS {REGISTER} (
    point text, relation text, kind text, found bigint NOT NULL, applied bigint NOT NULL, there bigint NOT NULL,
    conflicts bigint NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (point, relation, kind)
);
CREATE TABLE IF NOT EXISTS {CONFLICTS} (
    point text NOT NULL, relation text NOT NULL, kind text NOT NULL, key text, why text NOT NULL
)
"""


@task(name="apply salvage", task_run_name="take back what {service} wrote after {version}", **ON_UNAVAILABLE)
@spoken
def apply_salvage(service: str, version: str, parted: Parted, choice: Choice, left_out: tuple[str, ...]) -> str:
    """Take the chosen rows back, wholly or not at all; what was taken back before is skipped.

    Raises Unavailable when the restored server does not answer or a row stays locked, Refused when it does not take it.
    """
    export = read_export.fn(parted)
    with restored(parted.database, parted.restored) as asked:
        asked.rows(_WRITING)
        with asked.transaction():
            done = _registered(asked, parted.point)
            moved = [each for each in export.sequences if _move(asked, each)]
            wanted = [each for each in steps(export.tables, choice, left_out) if (each[0].table, each[1]) not in done]
            if wanted:
                _apply(asked, export, wanted)
    said = f"{len(moved)} sequences moved ahead"
    return f"took back {len(wanted)} kinds of rows; {said}" if wanted else f"skipped: all was taken back before; {said}"


@task(name="read applied", **ON_UNAVAILABLE)
def read_applied(parted: Parted) -> tuple[Applied, ...]:
    """What was taken back, as the register of the restored server says."""
    with restored(parted.database, parted.restored) as asked:
        if asked.value("SELECT to_regclass(%s)", REGISTER) is None:
            return ()
        rows = asked.rows(
            f"SELECT relation, kind, found, applied, there, conflicts FROM {REGISTER} WHERE point = %s "
            "ORDER BY relation, kind DESC",
            parted.point,
        )
    return tuple(Applied(str(relation), Kind(kind), *counts) for relation, kind, *counts in rows)


@task(name="read back", **ON_UNAVAILABLE)
def read_back(parted: Parted) -> tuple[Applied, ...]:
    """What stands on the restored server now of the rows that were taken back, read anew by their keys."""
    export = read_export.fn(parted)
    seen = []
    with restored(parted.database, parted.restored) as asked:
        asked.rows(_WRITING)
        with asked.transaction():
            done = _registered(asked, parted.point)
            for number, found in enumerate(export.tables, 1):
                kinds = {kind for table, kind in done if table == found.table}
                if kinds:
                    staged = _stage(asked, export, found, number, kinds)
                    seen += [Applied(found.table, kind, *staged.counted(kind)) for kind in Kind if kind in kinds]
    return tuple(seen)


def _apply(asked: Session, export: Export, wanted: Sequence[tuple[Found, Kind]]) -> None:
    asked.rows("SET CONSTRAINTS ALL IMMEDIATE")
    kinds: dict[str, set[Kind]] = {}
    for found, kind in wanted:
        kinds.setdefault(found.table, set()).add(kind)
    staged = {
        found.table: _stage(asked, export, found, number, kinds[found.table])
        for number, found in enumerate(export.tables, 1)
        if found.table in kinds
    }
    _write(asked, staged, [(found.table, kind) for found, kind in wanted])
    for found, kind in wanted:
        asked.numbered(
            f"INSERT INTO {REGISTER} VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING point",
            export.point, found.table, kind.value, *staged[found.table].counted(kind),
        )  # fmt: skip
    for table, rows in staged.items():
        asked.rows(
            f"INSERT INTO {CONFLICTS} SELECT {asked.literal(export.point)}, {asked.literal(table)}, * "
            f"FROM ({rows.conflicts()}) AS c"
        )


def _write(asked: Session, staged: dict[str, Staged], order: Sequence[tuple[str, Kind]]) -> None:
    """Round after round while rows get in; at last all of the rest together, for circles of deferrable keys."""
    left = sum(rows.open() for rows in staged.values())
    for _ in range(ROUNDS):
        before = left
        for table, kind in order:
            staged[table].write(kind)
        left = _look(staged)
        if left in (0, before):
            break
    if left and asked.tried(lambda: _write_deferred(asked, staged, order)) is None:
        _look(staged)


def _write_deferred(asked: Session, staged: dict[str, Staged], order: Sequence[tuple[str, Kind]]) -> None:
    asked.rows("SET CONSTRAINTS ALL DEFERRED")
    for table, kind in order:
        staged[table].write_at_once(kind)
    asked.rows("SET CONSTRAINTS ALL IMMEDIATE")


def _look(staged: dict[str, Staged]) -> int:
    for rows in staged.values():
        rows.look()
    return sum(rows.open() for rows in staged.values())


def _stage(asked: Session, export: Export, found: Found, number: int, kinds: set[Kind]) -> Staged:
    staged = Staged(asked, found.comparison, number)
    staged.load(Path(export.directory) / "csv" / f"{found.file}.csv")
    staged.keep(kinds)
    staged.look()
    return staged


def _registered(asked: Session, point: str) -> set[tuple[str, Kind]]:
    """What was taken back before. Locked, so that of two who do it at once the second finds what the first has done."""
    if asked.value("SELECT to_regclass(%s)", CONFLICTS) is None:
        asked.rows(_TABLES)
    asked.rows(f"LOCK TABLE {REGISTER} IN SHARE ROW EXCLUSIVE MODE")
    rows = asked.rows(f"SELECT relation, kind FROM {REGISTER} WHERE point = %s", point)
    return {(str(relation), Kind(kind)) for relation, kind in rows}


def _move(asked: Session, sequence: MovedSequence) -> bool:
    """Move a sequence past what it has handed out after the point; answers whether it was behind."""
    name = asked.literal(quoted(sequence.schema, sequence.name))
    rises, later = sequence.later > sequence.then, sequence.later
    limit, nearer = ("seqmax", "least") if rises else ("seqmin", "greatest")
    last = "q.last_value - CASE WHEN q.is_called THEN 0 ELSE p.seqincrement::numeric END"
    if asked.value(f"SELECT to_regclass({name})") is None:
        return False
    return bool(
        asked.rows(
            f"SELECT setval({name}, {nearer}({later} + {AHEAD} * p.seqincrement::numeric, {limit})::bigint) "
            f"FROM {quoted(sequence.schema, sequence.name)} AS q, pg_catalog.pg_sequence AS p "
            f"WHERE p.seqrelid = {name}::regclass AND {last} {'<' if rises else '>'} {later}"
        )
    )
