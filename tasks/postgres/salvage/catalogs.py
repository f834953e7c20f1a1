"""What a server says of its tables, sequences and of itself, and the settings under which both sides write alike."""

from recovery.salvage_tables import Column, Dependant, Table
from recovery.salvages import MovedSequence, Standing
from tasks.postgres.connection import Session

# Text that is read on one side must be read alike on the other, and come back as it was. Row security would leave out
# rows silently; switched off it is an error. A reader's search_path is empty: names then always carry their schema.
ALIKE = """
SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex';
SET lc_monetary = 'C'; SET xmloption = 'content'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;
SET row_security = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET transform_null_equals = off; SET TIME ZONE 'UTC'
"""
READING = f"{ALIKE}; SET search_path = ''; SET cursor_tuple_fraction = 1; SET work_mem = '64MB'; SET jit = off"
_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'ripcord') AND n.nspname !~ '^pg_(toast|temp)'"
_STANDING = """
SELECT (SELECT system_identifier::text FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()),
       pg_postmaster_start_time()::text, current_database()::text, pg_is_in_recovery(),
       current_setting('default_transaction_read_only') = 'on', getdatabaseencoding()::text
"""
_TABLES = f"""
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind = 'p', c.relpersistence = 'u',
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND NOT i.indimmediate)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND {_OURS}
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
# A type without its length: a text that is too long for a column is then an error, and not cut off.
_COLUMNS = """
SELECT attrelid::bigint, attname::text, format_type(atttypid, -1), attgenerated <> '', attidentity = 'a'
FROM pg_attribute WHERE attrelid = ANY ($1::bigint[]) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum
"""
# The primary key, else the index that stands for the row in replication, else the narrowest unique one without NULLs.
_KEYS = """
SELECT DISTINCT ON (i.indrelid) i.indrelid::bigint,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, at)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.at <= i.indnkeyatts ORDER BY k.at)
FROM pg_index i
WHERE i.indrelid = ANY ($1::bigint[]) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, at)
                  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                  WHERE k.at <= i.indnkeyatts AND NOT a.attnotnull)
ORDER BY i.indrelid, NOT i.indisprimary, NOT i.indisreplident, i.indnkeyatts, i.indkey::text
"""
_REFERENCES = """
SELECT f.conrelid::bigint, n.nspname::text, c.relname::text
FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conrelid = ANY ($1::bigint[])
"""
_DEPENDANTS = """
SELECT f.confrelid::bigint, n.nspname::text, c.relname::text,
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k(number, at)
             JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number ORDER BY k.at),
       ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k(number, at)
             JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.number ORDER BY k.at)
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.confdeltype IN ('c', 'n', 'd') AND f.conparentid = 0 AND f.confrelid = ANY ($1::bigint[])
ORDER BY 1, 2, 3, 4, 5
"""
_TRIGGERS = """
SELECT tgrelid::bigint, tgname::text FROM pg_trigger
WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgrelid = ANY ($1::bigint[]) ORDER BY 1, 2
"""


def read_standing(asked: Session) -> Standing:
    """Which server a session leads to. Its timeline is that of its last checkpoint, or newer in its file's name."""
    [found] = asked.rows(_STANDING)
    standing = Standing(*found)
    if standing.in_recovery:
        return standing
    # A promotion is complete before its checkpoint is: where the server writes, its WAL is ahead of its control file.
    timeline = asked.value("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")
    return Standing(standing.system_id, int(timeline), *found[2:])


def read_tables(asked: Session) -> tuple[Table, ...]:
    """All tables that hold rows of the service, partitions as the one table that they are."""
    found = {row[0]: row[1:] for row in asked.rows(_TABLES)}
    columns: dict[int, list[Column]] = {oid: [] for oid in found}
    for oid, *column in asked.numbered(_COLUMNS, list(found)):
        columns[oid].append(Column(*column))
    keys = {oid: tuple(key) for oid, key in asked.numbered(_KEYS, list(found))}
    references = _grouped(asked.numbered(_REFERENCES, list(found)))
    triggers = _grouped(asked.numbered(_TRIGGERS, list(found)))
    dependants: dict[int, list[Dependant]] = {oid: [] for oid in found}
    for oid, schema, name, theirs, ours in asked.numbered(_DEPENDANTS, list(found)):
        dependants[oid].append(Dependant(schema, name, tuple(theirs), tuple(ours)))
    return tuple(
        Table(schema, name, partitioned, unlogged, deferrable, tuple(columns[oid]), keys.get(oid, ()),
              tuple(sorted({(str(each[0]), str(each[1])) for each in references.get(oid, [])})),
              tuple(str(each[0]) for each in triggers.get(oid, [])), tuple(dependants[oid]))
        for oid, (schema, name, partitioned, unlogged, deferrable) in found.items()
    )  # fmt: skip


def large_objects(asked: Session) -> int:
    """How many large objects there are."""
    return int(asked.value("SELECT count(*) FROM pg_largeobject_metadata"))


def _grouped(rows: list[tuple[object, ...]]) -> dict[object, list[tuple[object, ...]]]:
    grouped: dict[object, list[tuple[object, ...]]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row[1:])
    return grouped


def moved_sequences(then: Session, later: Session) -> tuple[MovedSequence, ...]:
    """The sequences that have handed out numbers after the point; those that start again from the front left out."""
    before, after = _sequences(then), _sequences(later)
    return tuple(
        MovedSequence(*name, before[name][0], value)
        for name, (value, rises) in sorted(after.items())
        if name in before and (value > before[name][0] if rises else value < before[name][0])
    )


def _sequences(asked: Session) -> dict[tuple[str, str], tuple[int, bool]]:
    """The last number that each has handed out, one step before its start where there is none yet."""
    found = asked.rows(
        "SELECT schemaname::text, sequencename::text, coalesce(last_value, start_value::numeric - increment_by), "
        "increment_by > 0 FROM pg_sequences WHERE NOT cycle AND schemaname <> 'ripcord' AND schemaname !~ '^pg_'"
    )
    return {(schema, name): (int(value), bool(rises)) for schema, name, value, rises in found}
