"""Prove the way back by going it, on a copy that is thrown away."""

import time
from contextlib import suppress
from dataclasses import replace

from prefect import task

from recovery.databases import Database
from recovery.drills import Phases
from recovery.errors import RecoveryError, Refused
from recovery.outlooks import Ahead, Outlook, judge_outlook
from recovery.restore_points import RestorePoint, Seen, Then, WayBack, judge_proof
from tasks.postgres.connection import session
from tasks.postgres.copies import Copy, copy_of
from tasks.postgres.damage import look_for_damage
from tasks.postgres.places import Place, place_of, write_proof
from tasks.postgres.points import recorded
from tasks.postgres.reading import read_state
from tasks.postgres.smoke import ask_smoke
from tasks.postgres.trying import try_ahead
from tasks.retry import ON_UNAVAILABLE

# What PostgreSQL writes where recovery waits for larger settings; it calls that "paused", too.
_RAISED = "insufficient parameter settings"


@task(name="prove way back", **ON_UNAVAILABLE)
def prove_way_back(database: Database, point: RestorePoint, ahead: Ahead | None = None) -> WayBack:
    """Restore the set to its point beside the server, compare it with what was, and throw the copy away.

    Once that is proved, and whatever comes of it, the copy is used up: the migrations that lie ahead are run on it.
    Raises Refused when the copy does not come to the point or is not what was, Unavailable when the disk is full.
    """
    then = recorded(database, point)
    place = place_of(database, point.name)
    outlook, began = None, time.monotonic()
    with copy_of(database, place, then.name) as copy:
        seen, _ = _look(copy, database, then, began)
        way = judge_proof(then, seen, database.uncounted)
        if way.proved:
            write_proof(place, way)
            outlook = judge_outlook(ahead, try_ahead(copy, database, ahead)) if ahead else None
    if not way.proved:
        raise Refused(f"{way.reason}: look at the set, move {place.set} away, and the next gate makes a new one")
    return _foretelling(place, way, outlook) if outlook else way


def go_back(place: Place, database: Database, then: Then) -> tuple[Seen, Phases]:
    """Restore a copy of a set to its point, look at it, promote it, throw it away; with the seconds of each phase.

    Raises Refused when it does not come to the point, Unavailable when the disk is full.
    """
    began = time.monotonic()
    with copy_of(database, place, then.name) as copy:
        return _look(copy, database, then, began)


def _foretelling(place: Place, way: WayBack, outlook: Outlook) -> WayBack:
    """The proof with what a recovery would be, which the set keeps, too, where there is room for it."""
    way = replace(way, outlook=outlook)
    with suppress(RecoveryError):  # it is proved all the same
        write_proof(place, way)
    return way


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
    copy.promote(database)
    promoted = time.monotonic()
    phases = Phases(booted - began, paused - booted, promoting - paused, promoted - promoting)
    seconds = phases.total - phases.verify
    with session(database, copy.way) as asked:
        if asked.value("SELECT pg_is_in_recovery()"):  # it answers, which people take for being up
            return Seen(lsn, then.timeline, system_id, state, smoke, False, seconds), phases
    timeline, branched = copy.branched()
    damage, checked = look_for_damage(database, copy.way, copy.data.parent, writable=True)
    return Seen(lsn, timeline, system_id, state, smoke, branched == then.lsn, seconds, damage, checked), phases
