"""What a server says of itself and of what is in it."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from prefect import task

from recovery.backups import Server
from recovery.databases import Database
from recovery.restore_points import RestorePoint, State
from tasks.postgres.connection import Session, session
from tasks.postgres.programs import command, run
from tasks.retry import LOOKING_AGAIN

REGISTER = "ripcord.restore_points"
LOCK_SECONDS = 10  # a table that a migration or a prepared transaction keeps locked cannot be counted: say so, and soon
_SERVER = """
SELECT current_setting('server_version_num')::int / 10000, system_identifier::text,
       CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       (SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size'), pg_is_in_recovery(),
       current_setting('wal_level'), current_setting('archive_mode'),
       nullif(current_setting('archive_command'), '(disabled)') || coalesce(current_setting('archive_library', true), ''),
       last_archived_time, last_failed_time, coalesce(last_failed_wal, ''),
       (SELECT sum(pg_database_size(oid))::bigint FROM pg_database), current_setting('data_directory'),
       (SELECT count(*)::int FROM pg_prepared_xacts), clock_timestamp(),
       current_setting('max_wal_senders')::int - (SELECT count(*)::int FROM pg_stat_replication),
       current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_replication_slots),
       current_setting('max_slot_wal_keep_size') <> '-1'
FROM pg_control_system(), pg_stat_archiver
"""  # noqa: E501
_UNBOUNDED = """
SELECT slot_name FROM pg_replication_slots
WHERE NOT temporary AND NOT active AND restart_lsn IS NOT NULL AND current_setting('max_slot_wal_keep_size') = '-1'
ORDER BY 1
"""
_TABLESPACES = (
    "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '' ORDER BY 1"
)
# Ours and PostgreSQL's own schemas are left out; temporary tables belong to nobody's state.
_OURS = "nspname NOT IN ('pg_catalog', 'information_schema', 'ripcord') AND nspname !~ '^pg_(toast|temp)'"
_TABLES = f"""
SELECT format('%I.%I', nspname, relname), relpersistence::text
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND {_OURS} ORDER BY 1
"""
_SEQUENCES = """
SELECT format('%I.%I', schemaname, sequencename),
       coalesce(last_value * sign(increment_by), start_value * sign(increment_by) - 1)::bigint
FROM pg_sequences WHERE NOT cycle ORDER BY 1
"""
_COLLATIONS = """
SELECT collname, pg_collation_actual_version(oid) FROM pg_collation
WHERE oid IN (SELECT attcollation FROM pg_attribute) AND pg_collation_actual_version(oid) IS NOT NULL
"""
_DATABASE_COLLATION = """
SELECT datname, coalesce(pg_database_collation_actual_version(oid), '')
FROM pg_database WHERE datname = current_database()
"""
_SCHEMA = f"""
SELECT format('%s %I.%I.%I %s %s %s', relkind, nspname, relname, attname, format_type(atttypid, atttypmod),
              attnotnull, pg_get_expr(adbin, adrelid))
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND {_OURS}
UNION ALL
SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE {_OURS}
UNION ALL
SELECT format('%I %s %s', conname, conrelid::regclass, pg_get_constraintdef(pg_constraint.oid)) FROM pg_constraint
JOIN pg_namespace ON pg_namespace.oid = connamespace WHERE {_OURS}
UNION ALL
SELECT format('%I.%I %s', nspname, relname, pg_get_viewdef(pg_class.oid)) FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relkind IN ('v', 'm') AND {_OURS}
"""


@task(name="read server", **LOOKING_AGAIN)
def read_server(database: Database) -> Server:
    """What the server says of itself. Raises Refused when we may not ask, Unavailable when it does not answer."""
    programs = re.search(r"\) (\d+)", run(command("postgres", "--version"), Path("/")))
    with session(database) as asked:
        [(version, system_id, timeline, segment, standby, level, mode, archiver, archived, failed, segment_failed, size,
          directory, prepared, now, senders, slots, bounded)] = asked.rows(_SERVER)  # fmt: skip
        tables = asked.rows(_TABLES)
        kept = asked.rows("SELECT slot_name FROM pg_replication_slots WHERE NOT temporary ORDER BY 1")
        unbounded = asked.rows(_UNBOUNDED)
        spaces = [str(row[0]) for row in asked.rows(_TABLESPACES)]
    return Server(
        version=version, programs=int(programs[1]) if programs else 0, system_id=system_id, timeline=timeline,
        segment_size=segment, in_recovery=standby, wal_level=level, archive_mode=mode, archive_command=archiver or "",
        archived_at=archived, failed_at=failed, failed_segment=segment_failed, size=size,
        data_directory=os.path.realpath(directory), tablespaces=tuple(os.path.realpath(space) for space in spaces),
        unlogged=tuple(name for name, kind in tables if kind == "u"), prepared=prepared, now=now,
        slots=tuple(str(row[0]) for row in kept), free_senders=senders, free_slots=slots,
        unbounded=tuple(str(row[0]) for row in unbounded), slots_bounded=bounded,
    )  # fmt: skip


@task(name="read register", task_run_name="read the point of {service} {version}", **LOOKING_AGAIN)
def read_point(service: str, version: str, database: Database) -> RestorePoint | None:
    """The newest point that is registered for a release; None when there is none."""
    with session(database) as asked:
        return registered(asked, service, version)


def registered(asked: Session, service: str, version: str) -> RestorePoint | None:
    """The row of the register, if there is one."""
    if asked.value("SELECT to_regclass(%s)", REGISTER) is None:
        return None
    found = asked.rows(
        f"SELECT name, attempt, lsn::text, made_at FROM {REGISTER} WHERE service = %s AND version = %s",
        service,
        version,
    )
    return RestorePoint(*found[0]) if found else None


def read_state(asked: Session) -> State:
    """Everything that can be compared, read table by table. A table that stays locked ends it as unavailable."""
    asked.rows(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    tables = [name for name, kind in asked.rows(_TABLES) if kind == "p"]
    collations = asked.rows(_COLLATIONS)
    if asked.value("SELECT current_setting('server_version_num')::int") >= 150000:
        collations += asked.rows(_DATABASE_COLLATION)
    return State(
        counts={name: int(asked.value(f"SELECT count(*) FROM {name}")) for name in tables},
        sequences=_pairs(asked.rows(_SEQUENCES)),
        roles=tuple(str(row[0]) for row in asked.rows("SELECT rolname FROM pg_roles ORDER BY 1")),
        extensions=_pairs(asked.rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")),
        collations=_pairs(collations),
        schema=_digest(asked.rows(_SCHEMA)),
    )


def _pairs(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {str(name): value for name, value in rows}


def _digest(rows: list[tuple[Any, ...]]) -> str:
    return hashlib.sha256("\n".join(sorted(str(row[0]) for row in rows)).encode()).hexdigest()[:16]
