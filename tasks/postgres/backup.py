"""Take the base backup of a set, or find it, and verify it either way."""

import shutil

from prefect import task

from recovery.backups import Backup
from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.restore_points import RestorePoint
from tasks.postgres.engines import engine_of
from tasks.postgres.notes import settle
from tasks.postgres.places import Place, place_of
from tasks.postgres.programs import give
from tasks.postgres.sets import clear_leftovers
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE, spoken


@task(name="take backup", task_run_name="take the backup of {service} {version}", **ON_UNAVAILABLE)
@spoken
def take_backup(service: str, version: str, database: Database, point: RestorePoint) -> str:
    """Take the base backup of a point's set and verify every file of it; one that is there is only verified.

    Raises Unavailable when the disk is full or the server does not answer, Refused when the backup is damaged.
    """
    place, engine = place_of(database, point.name), engine_of(database)
    clear_leftovers(service, version, database, point)
    if place.set.is_dir() and engine.has_backup(place):
        verify(place, database)
        return f"skipped: the backup in {place.set} is there, and whole"
    try:
        place.part.mkdir(mode=0o700)
        give(place.part)
        engine.take(place, point.name)
        place.part.rename(place.set)
        settle(place.root)
    except OSError as error:
        raise Unavailable(f"{place.part} cannot be written: {error.strerror}; make room there") from None
    finally:
        shutil.rmtree(place.part, ignore_errors=True)
    return f"took the backup in {place.set} and verified every file of it"


def verify(place: Place, database: Database) -> None:
    """Check every file of a set's backup against its manifest. Raises Refused naming the file that differs."""
    try:
        engine_of(database).verify(place)
    except Refused as refused:
        raise Refused(
            f"the backup in {place.set} is damaged, {refused}: move it out of {database.backups}; a new one is taken"
        ) from None


@task(name="read backup", **LOOKING_AGAIN)
def read_backup(database: Database, point: RestorePoint) -> Backup:
    """What the set's backup tells of itself: of which cluster it is, and the WAL that it needs."""
    return engine_of(database).describe(place_of(database, point.name))
