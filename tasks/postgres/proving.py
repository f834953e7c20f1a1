"""Prove the way back by going it, on a copy that is thrown away."""

import time

from prefect import task

from recovery.databases import Database
from recovery.drills import Phases
from recovery.errors import Refused
from recovery.restore_points import RestorePoint, Seen, Then, WayBack, judge_proof
from tasks.postgres.connection import session
from tasks.postgres.copies import Copy, copy_of
from tasks.postgres.damage import look_for_damage
from tasks.postgres.places import Place, place_of, write_proof
from tasks.postgres.points import recorded
from tasks.postgres.reading import read_state
from tasks.postgres.smoke import ask_smoke
from tasks.retry import ON_UNAVAILABLE

# What PostgreSQL writes where recovery waits for larger settings; it calls that "paused", too.
_RAISED = "insufficient parameter settings"


@task(name="prove way back", **ON_UNAVAILABLE)
def prove_way_back(database: Database, point: RestorePoint) -> WayBack:
    """Restore the set to its point beside the server, compare it with what was, and throw the copy away.

    Raises Refused when the copy does not come to the point or is not what was, Unavailable when the disk is full.
    """
    then = recorded(database, point)
    place = place_of(database, point.name)
    seen, _ = go_back(place, database, then)
    way = judge_proof(then, seen, database.uncounted)
    if not way.proved:
        raise Refused(f"{way.reason}: look at the set, move {place.set} away, and the next gate makes a new one")
    write_proof(place, way)
    return way


def go_back(place: Place, database: Database, then: Then) -> tuple[Seen, Phases]:
    """Restore a copy of a set to its point, look at it, promote it, throw it away; with the seconds of each phase.

    Raises Refused when it does not come to the point, Unavailable when the disk is full.
    """
    began = time.monotonic()
    with copy_of(database, place, then.name) as copy:
        return _look(copy, database, then, began)


def _look(copy: Copy, database: Database, then: Then, began: float) -> tuple[Seen, Phases]:
    """What the copy is like while it is paused at the point; then it is promoted, and the clock stopped."""
    booted = time.monotonic()
    copy.wait_until_paused(database)
    paused = time.monotonic()
    with session(database, copy.way) as asked:
        lsn = str(asked.value("SELECT pg_last_wal_replay_lsn()::text"))
        if lsn != then.lsn and _RAISED in copy.log.read_text(errors="replace"):
            raise Refused(
                f"the copy paused at {lsn}, before {then.name}: a setting such as max_connections was raised after the "
                "backup was taken; move the set away, and the next gate makes a new one"
            )
        system_id = str(asked.value("SELECT system_identifier::text FROM pg_control_system()"))
        state = read_state(asked)
    smoke = ask_smoke(database, copy.way, silence_is_wrong=True)
    promoting = time.monotonic()
    copy.promote()
    promoted = time.monotonic()
    phases = Phases(booted - began, paused - booted, promoting - paused, promoted - promoting)
    seconds = phases.total - phases.verify
    with session(database, copy.way) as asked:
        if asked.value("SELECT pg_is_in_recovery()"):  # it answers, which people take for being up
            return Seen(lsn, then.timeline, system_id, state, smoke, False, seconds), phases
    timeline, branched = copy.branched()
    damage, checked = look_for_damage(database, copy.way, copy.data.parent, writable=True)
    return Seen(lsn, timeline, system_id, state, smoke, branched == then.lsn, seconds, damage, checked), phases
