"""The restored server beside the damaged one, from the set of a point: raised, promoted, taken down.

Nothing here asks the damaged server, which may be dead. What a side is can be read from its files: its label, the
signal that keeps it in recovery and that PostgreSQL removes for good on promotion, and its live processes.
"""

import time

from prefect import task

from recovery.databases import Database
from recovery.errors import Incomplete, RecoveryError, Refused
from recovery.restore_points import RestorePoint, Seen, WayBack, judge_proof
from recovery.side_settings import Kept, show_settings
from recovery.sides import Side, Stage, judge_stop
from tasks.postgres.building import standing_of
from tasks.postgres.connection import Session
from tasks.postgres.engines import engine_of
from tasks.postgres.notes import write_closed
from tasks.postgres.places import place_of
from tasks.postgres.points import recorded
from tasks.postgres.raising import look, stand, take_down
from tasks.postgres.reading import REGISTER, read_state
from tasks.postgres.settings_kept import read_kept
from tasks.postgres.smoke import ask_smoke
from tasks.postgres.standing import Standing
from tasks.retry import ON_UNAVAILABLE, spoken

ARCHIVED_SECONDS = 60.0
POLL_SECONDS = 0.1
_REGISTERED = f"UPDATE {REGISTER} SET lsn = %s, made_at = %s WHERE name = %s AND lsn IS NULL"


@task(name="read side", **ON_UNAVAILABLE)
def read_side(database: Database, point: RestorePoint) -> Side:
    """What stage the restored server of a point is in. Nothing is asked of the damaged server."""
    return look(database, point.name)


@task(name="raise side", **ON_UNAVAILABLE)
@spoken
def raise_side(database: Database, point: RestorePoint) -> str:
    """Have the side stand, paused exactly at the point: copied from the set where it is absent, started where stopped.

    Raises Unavailable when there is no room, Refused when the port is taken, the set is not whole or the server does
    not come to the point.
    """
    return stand(database, recorded(database, point))


@task(name="read side's state", **ON_UNAVAILABLE)
def read_side_state(database: Database, point: RestorePoint) -> WayBack:
    """Compare the paused side with what was recorded at the point, and ask it the smoke queries.

    The answer says whether it is what was; raises Refused when it is not paused, Unavailable when it does not answer.
    """
    return compare(database, point)


def compare(database: Database, point: RestorePoint) -> WayBack:
    """The comparison of a paused side, for those who have it stand."""
    then, side = recorded(database, point), look(database, point.name)
    if side.stage is not Stage.PAUSED:
        raise Refused(f"the side {point.name} is {side.stage} and not paused: raise it first")
    standing = standing_of(database, point.name)
    with standing.asked(database) as asked:
        state = read_state(asked)
    smoke = ask_smoke(database, standing.way)
    seen = Seen(
        side.lsn or "", side.timeline or 0, side.system_id or "", state, smoke, opened=True, seconds=side.seconds or 0.0
    )
    return judge_proof(then, seen, database.uncounted)


@task(name="promote side", **ON_UNAVAILABLE)
@spoken
def promote_side(database: Database, point: RestorePoint) -> str:
    """Let the paused side take writes, once; its own register then says that the point was made.

    Raises Refused when it is not paused at the point, Incomplete when it was promoted and does not take writes.
    """
    then, side = recorded(database, point), look(database, point.name)
    standing = standing_of(database, point.name)
    if side.stage is Stage.PROMOTED and side.running and side.lsn is None:
        said = f"skipped: the side {point.name} was promoted"
    elif side.stage is Stage.PAUSED:
        judge_stop(side, then.lsn)
        standing.promote(database)
        said = f"promoted the side {point.name}, which serves on {side.host}:{side.port}"
    else:
        raise Refused(f"the side {point.name} is {side.stage} and not paused at its point: raise it first")
    try:
        with standing.asked(database) as asked:
            asked.rows(_REGISTERED, then.lsn, then.made_at, point.name)
        if standing.branched()[1] != then.lsn:
            raise Refused(f"it branched off at {standing.branched()[1]} and not at {then.lsn}")
    except RecoveryError as error:
        raise Incomplete(f"the side {point.name} does not take writes: {error}", ("it was promoted",)) from None
    return said


@task(name="open archive", **ON_UNAVAILABLE)
@spoken
def open_archive(database: Database, point: RestorePoint) -> str:
    """Let the promoted side archive as the original did, from its promotion on, and wait for the first segment.

    Raises Refused when it is not promoted or the original's command is not known, Incomplete when it is set and
    nothing arrives.
    """
    side, standing = look(database, point.name), standing_of(database, point.name)
    if side.stage is not Stage.PROMOTED or not side.running:
        raise Refused(f"the side {point.name} is {side.stage} and takes no writes: promote it before it archives")
    kept = read_kept(place_of(database, point.name))
    ways = _archiver(database, kept)
    if not ways:
        raise Refused(
            f"the set of {point.name} does not record how the original archived: set archive_command on port "
            f"{side.port} by hand, ALTER SYSTEM and reload"
        )
    with standing.asked(database) as asked:
        if side.archiving and _archives(asked):
            return f"skipped: the side {point.name} archives"
    write_closed(standing.data / "side.archive.conf", show_settings(ways))
    standing.reload()
    try:
        segment = _first_segment(database, standing)
    except RecoveryError as error:
        raise Incomplete(f"the side {point.name} does not archive: {error}", ("archive_command was set",)) from None
    return f"the side {point.name} archives, {segment} has arrived"


def _archiver(database: Database, kept: Kept | None) -> dict[str, str]:
    own = engine_of(database).archiving()
    if own or kept is None:
        return {"archive_command": own} if own else {}
    named = {"archive_command": kept.archive_command, "archive_library": kept.archive_library}
    return {name: value for name, value in named.items() if value}


def _archives(asked: Session) -> bool:
    """Answer whether a segment of its present timeline was archived, and none failed since."""
    return bool(
        asked.value(
            "SELECT coalesce(left(last_archived_wal, 8) = left(pg_walfile_name(pg_current_wal_lsn()), 8) "
            "AND last_archived_time > coalesce(last_failed_time, '-infinity'), false) FROM pg_stat_archiver"
        )
    )


def _first_segment(database: Database, standing: Standing) -> str:
    """Finish a segment and wait until it is in the archive. Raises Refused with what the archiver says."""
    engine = engine_of(database)
    with standing.asked(database) as asked:
        size = int(asked.value("SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size'"))
        asked.rows("SELECT pg_logical_emit_message(true, 'ripcord', 'archive')")  # an empty one is never finished
        segment = str(asked.value("SELECT pg_walfile_name(pg_current_wal_insert_lsn())"))
        asked.rows("SELECT pg_switch_wal()")
        deadline = time.monotonic() + ARCHIVED_SECONDS
        while not engine.holds(segment, size):
            if time.monotonic() > deadline:
                [(last, failed)] = asked.rows("SELECT last_archived_wal, last_failed_wal FROM pg_stat_archiver")
                raise Refused(
                    f"{segment} was not in {engine.archive} within {ARCHIVED_SECONDS:g} s, the archiver's last success "
                    f"is {last} and its last failure {failed}: {standing.log} says why"
                )
            time.sleep(POLL_SECONDS)
    return segment


@task(name="drop side", **ON_UNAVAILABLE)
@spoken
def drop_side(database: Database, point: RestorePoint) -> str:
    """Stop and remove a side. Raises Refused for one that was promoted, or that somebody is connected to."""
    return take_down(database, point.name)
