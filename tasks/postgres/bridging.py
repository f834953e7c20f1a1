"""Take a backup of the restored server: the sets that are there are of another timeline."""

import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime

from prefect import task

from recovery.bridging import Bridge, bridge_name, judge_bridge, judge_bridge_room
from recovery.databases import Database
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.restore_points import RestorePoint, Then
from recovery.sides import Side, Stage
from tasks.postgres.building import standing_of
from tasks.postgres.engines import Restored, engine_of
from tasks.postgres.notes import settle, write_note
from tasks.postgres.places import Place, place_of
from tasks.postgres.points import recorded
from tasks.postgres.programs import give
from tasks.postgres.raising import look
from tasks.postgres.standing import Standing
from tasks.retry import LOOKING_AGAIN, spoken

NOTE = "restored.json"
CHECKPOINT_SECONDS = 600.0  # twice what a server's checkpoint_timeout usually is
_SIZE = "SELECT sum(pg_database_size(oid))::bigint FROM pg_database"


@task(name="back up restored", **LOOKING_AGAIN)
@spoken
def back_up_restored(database: Database, point: RestorePoint) -> str:
    """Take a base backup of the restored server, once, through whoever keeps the backups, and verify it.

    Whatever becomes of it, the restore stands: the sentence of a failure begins with that. Raises Unavailable when a
    disk is full or a system does not answer, Incomplete for all else.
    """
    stands = f"the database is restored to {point.name} and clients are served; what is missing is a backup of it"
    try:
        return _back_up(database, recorded(database, point), look(database, point.name))
    except Unavailable as unavailable:
        raise Unavailable(f"{stands}: {unavailable}; then run this again, which takes it") from None
    except Refused as refused:
        raise Incomplete(f"{stands}: {refused}; then run this again, which takes it") from None


def _back_up(database: Database, then: Then, side: Side) -> str:
    place, engine = place_of(database, bridge_name(then.name)), engine_of(database)
    if place.set.is_dir() and engine.has_backup(place):
        return f"skipped: the backup of the restored server is in {place.set}"
    if side.stage is not Stage.PROMOTED or side.timeline is None:
        raise Refused(f"the server restored to {then.name} is {side.stage} and takes no writes: start it")
    standing = standing_of(database, then.name)
    restored = Restored(standing.data, standing.way, f"{side.host}:{side.port}", side.timeline)
    _checkpoint(database, standing, side.timeline)
    with standing.asked(database) as asked:
        size = int(asked.value(_SIZE))
    judge_bridge_room(shutil.disk_usage(place.root).free, size, database.backups)
    _take(database, place, then, restored)
    return f"took a backup of the restored server, on timeline {side.timeline}, into {place.set}"


def _checkpoint(database: Database, standing: Standing, timeline: int) -> None:
    """Have the control file tell the new timeline, which it does from the first checkpoint on: pgBackRest believes it.

    Who may not order a checkpoint waits for that of the promotion, which takes its time (checkpoint_timeout).
    """
    with suppress(Refused), standing.asked(database) as asked:
        asked.rows("CHECKPOINT")
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    with standing.asked(database) as asked:
        while asked.value("SELECT timeline_id FROM pg_control_checkpoint()") != timeline:
            if time.monotonic() > deadline:
                raise Unavailable("its first checkpoint since the promotion is not over")
            time.sleep(1)


def _take(database: Database, place: Place, then: Then, restored: Restored) -> None:
    engine = engine_of(database)
    shutil.rmtree(place.part, ignore_errors=True)  # of a try that was killed; the service's fence keeps others out
    try:
        place.part.mkdir(mode=0o700)
        give(place.part)
        engine.take(place, place.name, restored)
        judge_bridge(engine.describe(Place(place.root, place.part.name)), then.system_id, restored.timeline)
        write_note(
            place.part / NOTE, Bridge(then.service, then.name, then.system_id, restored.timeline, datetime.now(UTC))
        )
        place.part.rename(place.set)
        settle(place.root)
    except OSError as error:
        raise Unavailable(f"{place.part} cannot be written: {error.strerror}; make room there") from None
    finally:
        shutil.rmtree(place.part, ignore_errors=True)
