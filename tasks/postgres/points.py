"""Make the restore point, record what the database was like, and wait until its WAL is archived."""

import time

from prefect import task

from recovery.backups import Server, last_segment
from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.restore_points import RestorePoint, Then
from tasks.postgres.connection import Session, session
from tasks.postgres.engines import engine_of
from tasks.postgres.places import place_of, read_then, write_then
from tasks.postgres.reading import REGISTER, read_state, registered
from tasks.retry import ON_UNAVAILABLE, spoken

ARCHIVED_SECONDS = 60.0  # measured: 0.1 to 0.2 s; who needs a minute will need an hour
POLL_SECONDS = 0.05
_TABLE = f"""
CREATE SCHEMA IF NOT EXISTS ripcord;
CREATE TABLE IF NOT EXISTS {REGISTER} (
    service text, version text, attempt int NOT NULL, name text NOT NULL UNIQUE, lsn pg_lsn,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (service, version)
)
"""
_INTEND = f"""
INSERT INTO {REGISTER} (service, version, attempt, name) VALUES (%s, %s, %s, %s)
ON CONFLICT (service, version) DO UPDATE SET attempt = excluded.attempt, name = excluded.name, lsn = NULL,
    made_at = clock_timestamp()
WHERE {REGISTER}.attempt < excluded.attempt
"""
_MADE = f"""
UPDATE {REGISTER} SET lsn = %s, made_at = clock_timestamp()
WHERE service = %s AND version = %s AND name = %s AND lsn IS NULL RETURNING made_at
"""


@task(name="make restore point", task_run_name="make the restore point of {service} {version}", **ON_UNAVAILABLE)
@spoken
def make_point(service: str, version: str, database: Database, point: RestorePoint, server: Server) -> str:
    """Make the named point and the marker commit after it, once; what was then is recorded in the set.

    First the name is registered, then used: killed in between, the next try takes another name, for of two points of
    one name recovery stops at the first.
    """
    place = place_of(database, point.name)
    if point.lsn is not None and read_then(place) is not None:
        return f"skipped: the point {point.name} is there, at {point.lsn}"
    with session(database) as asked:
        then = register_point(asked, service, version, point, server.timeline, server.system_id)
    write_then(place, then)
    return f"made the point {point.name} at {then.lsn}, with {sum(then.after.counts.values())} rows counted"


def register_point(
    asked: Session, service: str, version: str, point: RestorePoint, timeline: int, system_id: str
) -> Then:
    """Register the name, make the point and the marker commit after it, and switch the segment that holds both."""
    _register(asked, service, version, point)
    before = read_state(asked)
    with asked.transaction():
        lsn = str(asked.value("SELECT pg_create_restore_point(%s)::text", point.name))
        # Committed after the point: this is the marker, without which nothing may lie behind the point.
        made_at = asked.value(_MADE, lsn, service, version, point.name)
    asked.rows("SELECT pg_switch_wal()")
    after = read_state(asked)
    return Then(service, version, point.name, lsn, timeline, system_id, made_at, before, after)


@task(name="wait until archived", **ON_UNAVAILABLE)
@spoken
def wait_until_archived(database: Database, point: RestorePoint, server: Server) -> str:
    """Wait until the segment that holds the point, and the commit after it, is really in the archive.

    Raises Refused when it does not come, with what the archiver says.
    """
    then = recorded(database, point)
    place = place_of(database, point.name)
    if place.wal.is_dir():
        return f"skipped: the WAL of {point.name} is in its set"
    segment = last_segment(then.timeline, then.lsn, server.segment_size)
    engine, deadline = engine_of(database), time.monotonic() + ARCHIVED_SECONDS
    while not engine.holds(segment, server.segment_size):
        if time.monotonic() > deadline:
            raise _not_archived(database, segment)
        time.sleep(POLL_SECONDS)
    return f"{segment} is archived, which holds {point.name}"


def recorded(database: Database, point: RestorePoint) -> Then:
    """What the set records of its point. Raises Refused when it records nothing."""
    then = read_then(place_of(database, point.name))
    if then is None:
        raise Refused(f"the set of {point.name} records no point: run the gate again")
    return then


def _register(asked: Session, service: str, version: str, point: RestorePoint) -> None:
    if asked.value("SELECT to_regclass(%s)", REGISTER) is None:
        asked.rows(_TABLE)
    asked.rows(_INTEND, service, version, point.attempt, point.name)
    found = registered(asked, service, version)
    if found is None or (found.name, found.lsn) != (point.name, None):
        raise Refused(f"another gate has registered {found and found.name} meanwhile: run this one again")


def _not_archived(database: Database, segment: str) -> Refused | Unavailable:
    with session(database) as asked:
        [(last, failed, at)] = asked.rows(
            "SELECT coalesce(last_archived_wal, ''), last_failed_wal, last_failed_time FROM pg_stat_archiver"
        )
    if last >= segment:
        there = engine_of(database).archive
        return Refused(
            f"the server says that {segment} is archived and it is not in {there}: name the place where "
            "archive_command puts it"
        )
    trouble = f", the archiver failed with {failed} at {at:%H:%M:%S}" if failed else ""
    return Refused(
        f"{segment} was not archived within {ARCHIVED_SECONDS:g} s{trouble}: the server's log says why, mend it and "
        "run the gate again"
    )
