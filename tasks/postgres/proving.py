"""Prove the way back by going it, on a copy that is thrown away."""

import time

from prefect import task

from recovery.databases import Database, Smoke
from recovery.errors import Refused
from recovery.restore_points import RestorePoint, Seen, Then, WayBack, judge_proof
from tasks.postgres.connection import Session, session
from tasks.postgres.copies import Copy, copy_of
from tasks.postgres.points import recorded
from tasks.postgres.reading import read_state
from tasks.postgres.sets import place_of, write_proof
from tasks.retry import ON_UNAVAILABLE


@task(name="prove way back", **ON_UNAVAILABLE)
def prove_way_back(database: Database, point: RestorePoint) -> WayBack:
    """Restore the set to its point beside the server, compare it with what was, and throw the copy away.

    Raises Refused when the copy does not come to the point or is not what was, Unavailable when the disk is full.
    """
    then = recorded(database, point)
    place = place_of(database, point.name)
    began = time.monotonic()
    with copy_of(place, point.name) as copy:
        way = judge_proof(then, _look(copy, database, then, began), database.uncounted)
    if not way.proved:
        raise Refused(f"{way.reason}: look at the set, move {place.set} away, and the next gate makes a new one")
    write_proof(place, way)
    return way


def _look(copy: Copy, database: Database, then: Then, began: float) -> Seen:
    """What the copy is like while it is paused at the point; then it is promoted, and the clock stopped."""
    copy.wait_until_paused(database)
    paused = time.monotonic() - began
    with session(database, copy.way) as asked:
        lsn = str(asked.value("SELECT pg_last_wal_replay_lsn()::text"))
        system_id = str(asked.value("SELECT system_identifier::text FROM pg_control_system()"))
        state = read_state(asked)
    smoke = tuple(wrong for each in database.smoke if (wrong := _ask(copy, database, each)))
    promoting = time.monotonic()
    copy.promote()
    seconds = paused + time.monotonic() - promoting
    timeline, branched = copy.branched()
    with session(database, copy.way) as asked:
        opened = not asked.value("SELECT pg_is_in_recovery()") and branched == then.lsn
    return Seen(lsn, timeline, system_id, state, smoke, opened, seconds)


def _ask(copy: Copy, database: Database, smoke: Smoke) -> str | None:
    """Ask one smoke query; what is wrong with its answer, or None."""
    try:
        with session(database, copy.way) as asked, asked.transaction():
            asked.rows("SET TRANSACTION READ ONLY")
            return _answered(asked, smoke)
    except Refused as refused:
        return f"smoke query {smoke.sql!r} was not answered: {refused}"


def _answered(asked: Session, smoke: Smoke) -> str | None:
    rows = asked.rows(smoke.sql)
    if not rows:
        return f"smoke query {smoke.sql!r} returned no row"
    first = rows[0][0]
    seen = str(first).lower() if isinstance(first, bool) else str(first)
    if smoke.equals is not None and seen != smoke.equals:
        return f"smoke query {smoke.sql!r} returned {seen} and not {smoke.equals}"
    return None
