"""Fence the damaged server, so that nothing is written to it any more, and keep it afterwards.

ALLOW_CONNECTIONS false holds superusers back, too, and outlives a restart; what is connected is ended by hand. All is
done from another database of the server: nobody may close the one they are in.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger, task

from recovery.databases import Database
from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable
from recovery.rds_catalog import Reached
from recovery.restore_points import RestorePoint, Then
from recovery.restores import Begun
from recovery.sides import Stage, restore_of
from tasks.postgres.connection import Session, keywords_of, session
from tasks.postgres.consoles import is_gone
from tasks.postgres.notes import read_note, write_note
from tasks.postgres.numbers import read_numbers, reading_numbers
from tasks.postgres.pooler import let_clients_go
from tasks.postgres.raising import begun_file
from tasks.postgres.sides import read_side
from tasks.retry import LOOKING_AGAIN, spoken

EMPTY_SECONDS = 10.0
POLL_SECONDS = 0.05
DEAD = "the damaged server does not answer"
# Walsenders write nothing and feed who may be needed yet; all else that is in the database can write.
_CONNECTED = """
SELECT pid FROM pg_stat_activity
WHERE datname = %s AND backend_type NOT IN ('walsender', 'autovacuum worker') AND pid <> pg_backend_pid()
      AND pid <> %s
"""
ITSELF = """
SELECT system_identifier::text, pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END
FROM pg_control_system()
"""
_STANDING = """
SELECT datallowconn, datconnlimit = 0 AND EXISTS (
    SELECT FROM pg_db_role_setting
    WHERE setdatabase = pg_database.oid AND setrole = 0 AND 'default_transaction_read_only=on' = ANY (setconfig)
) FROM pg_database WHERE datname = %s
"""


@task(name="begin restore", **LOOKING_AGAIN)
@spoken
def begin_restore(database: Database, point: RestorePoint) -> str:
    """Remember that a person gave the word, before anything is held back: a killed restore then goes on by itself."""
    file = begun_file(database, point.name)
    if read_note(file, Begun) is not None:
        return f"skipped: the restore to {point.name} was begun already"
    write_note(file, Begun(point.name, datetime.now(UTC)))
    return f"the restore to {point.name} is begun"


@task(name="read begun", **LOOKING_AGAIN)
def read_begun(database: Database, point: RestorePoint) -> Begun | None:
    """What is remembered of a restore that was begun."""
    return read_note(begun_file(database, point.name), Begun)


@task(name="fence server", **LOOKING_AGAIN)
@spoken
def fence_server(database: Database, then: Then) -> str:
    """Close the damaged database and end everybody in it; the position where it stands then is remembered.

    A server that is not there is frozen already. Raises Unavailable when it is there and cannot be asked, or when
    somebody does not go, Refused when the role may not do it, or when it is not the server that the point is of.
    """
    name = database_name(database)
    try:
        with elsewhere(database) as asked:
            if stranger := _stranger(asked, then):
                raise Refused(f"{stranger}: it is not fenced, name the damaged server in {database.url_variable}")
            allowed, kept = standing(asked, name)
            if kept:
                return f"skipped: {name} is kept already, read-only and closed"
            if allowed:
                _close(database, then, asked, name)
            empty(asked, name)
            end = str(asked.value("SELECT pg_current_wal_flush_lsn()::text"))
    except Unavailable as unavailable:
        if not is_gone(database):
            raise
        _note(database, then.name, end=None, frozen=True)
        return f"{DEAD}, so nobody writes to it: {unavailable}"
    _note(database, then.name, end=end, frozen=True)
    return f"fenced {name}: nobody is connected to it, it stands at {end}"


@task(name="keep damaged", **LOOKING_AGAIN)
@spoken
def keep_damaged(database: Database, then: Then) -> str:
    """Leave the damaged database read-only and open to superusers alone: that is how the salvage reads it."""
    name = database_name(database)
    try:
        with elsewhere(database) as asked:
            if stranger := _stranger(asked, then):
                return f"skipped: {stranger}"
            allowed, kept = standing(asked, name)
            if allowed and kept:
                return f"skipped: {name} is kept already, read-only and for superusers alone"
            _leave_to_superusers(asked, quoted(asked, name))
            empty(asked, name)  # where a dead server came back, it was not fenced until now
    except Unavailable:
        if not is_gone(database):
            raise
        return f"{DEAD}: keep its data directory, and see that it is not started for clients"
    return f"{name} is kept as it was, read-only and for superusers alone"


@contextmanager
def thawing(database: Database, point: RestorePoint) -> Iterator[None]:
    """Let the clients go again when what is inside fails before the restored server takes writes.

    After that there is only forward, and the failure becomes Incomplete: running again goes on.
    """
    try:
        yield
    except BaseException as error:
        if _is_promoted(database, point):
            if not isinstance(error, Exception):
                raise
            raise Incomplete(
                f"{error}; the restored server takes writes and the damaged one is fenced: run this again, it goes on"
            ) from error
        thaw(database, point)
        raise


def thaw(database: Database, point: RestorePoint) -> None:
    """Open the damaged database, let the clients go, and forget that a restore was begun."""
    name = database_name(database)
    done = []
    try:
        with elsewhere(database) as asked:
            allowed, kept = standing(asked, name)
            if not allowed and not kept:
                asked.rows(f"ALTER DATABASE {quoted(asked, name)} ALLOW_CONNECTIONS true")
                done.append(f"opened {name}")
    except Unavailable:
        if not is_gone(database):
            raise
    if restore_of(database).pgbouncer:
        done.append(let_clients_go(database))
    begun_file(database, point.name).unlink(missing_ok=True)
    get_run_logger().warning(f"nothing was restored, all is as it was: {', '.join(done) or 'nothing was held back'}")


def _is_promoted(database: Database, point: RestorePoint) -> bool:
    try:
        return read_side.fn(database, point).stage is Stage.PROMOTED
    except RecoveryError:
        return False  # nobody was led there, so going back is safe whatever it is


def database_name(database: Reached) -> str:
    """The name of the database in its conninfo."""
    keywords = keywords_of(database)
    return keywords.get("dbname") or keywords["user"]


@contextmanager
def elsewhere(database: Reached, at: Mapping[str, str] | None = None) -> Iterator[Session]:
    """A session of the same role in another database of the same server, or of the one that `at` leads to."""
    other = "template1" if database_name(database) == "postgres" else "postgres"
    with session(database, keywords_of(database) | {"dbname": other} | dict(at or {})) as asked:
        yield asked


def standing(asked: Session, name: str) -> tuple[bool, bool]:
    """Whether a database takes connections, and whether it was left to superusers, read-only."""
    [(allowed, kept)] = asked.rows(_STANDING, name)
    return bool(allowed), bool(kept)


def quoted(asked: Session, name: str) -> str:
    """A name as PostgreSQL itself quotes it."""
    return str(asked.value("SELECT quote_ident(%s)", name))


def _close(database: Database, then: Then, asked: Session, name: str) -> None:
    """Let nobody in any more, and note the numbers that were handed out: before it, and when all others are gone."""
    with reading_numbers(database) as last:
        _note_numbers(database, then, last)
        asked.rows(f"ALTER DATABASE {quoted(asked, name)} ALLOW_CONNECTIONS false")
        if last is not None:
            empty(asked, name, but=int(str(last.value("SELECT pg_backend_pid()"))))
            _note_numbers(database, then, last)


def _note_numbers(database: Database, then: Then, last: Session | None) -> None:
    numbers = read_numbers(last)
    if numbers is not None:
        _note(database, then.name, numbers=numbers)


def _leave_to_superusers(asked: Session, name: str) -> None:
    """At once: a database that is open and not yet closed to the many would be written to."""
    with asked.transaction():
        asked.rows(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        asked.rows(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT 0")


def empty(asked: Session, name: str, but: int = 0) -> None:
    """End everybody in a database, `but` the one session of ours. Raises Unavailable when somebody does not go."""
    deadline = time.monotonic() + EMPTY_SECONDS
    while pids := [row[0] for row in asked.rows(_CONNECTED, name, but)]:
        if time.monotonic() > deadline:
            raise Unavailable(f"{len(pids)} connections to {name} do not end, such as {pids[0]}: look at what they do")
        asked.rows("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", pids)
        time.sleep(POLL_SECONDS)


def _stranger(asked: Session, then: Then) -> str | None:
    """Why a server is not the one that the point was made on; the restored one has a newer timeline."""
    [(system_id, standby, timeline)] = asked.rows(ITSELF)
    if standby:
        return "the conninfo leads to a standby"
    if (system_id, timeline) == (then.system_id, then.timeline):
        return None
    return f"the conninfo leads to cluster {system_id} on timeline {timeline}, which {then.name} is not of"


def _note(database: Database, name: str, **what: Any) -> None:
    """Keep what the server was like when it was frozen: later positions are of the autovacuum and of nobody's rows."""
    file = begun_file(database, name)
    begun = read_note(file, Begun) or Begun(name, datetime.now(UTC))
    now = replace(begun, **what)
    if not begun.frozen and now != begun:
        write_note(file, now)
