"""Take the base backup of a set, or find it, and verify it either way."""

import json
import shutil

from prefect import task

from recovery.backups import Backup
from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.restore_points import RestorePoint
from tasks.postgres.connection import environment
from tasks.postgres.manifests import check_manifest, checksums
from tasks.postgres.notes import settle
from tasks.postgres.programs import clean, command, give, run
from tasks.postgres.sets import Place, clear_leftovers, place_of
from tasks.retry import ON_UNAVAILABLE, spoken


@task(name="take backup", task_run_name="take the backup of {service} {version}", **ON_UNAVAILABLE)
@spoken
def take_backup(service: str, version: str, database: Database, point: RestorePoint) -> str:
    """Take the base backup of a point's set and verify every file of it; one that is there is only verified.

    Raises Unavailable when the disk is full or the server does not answer, Refused when the backup is damaged.
    """
    place = place_of(database, point.name)
    clear_leftovers(service, version, database, point)
    if place.data.is_dir():
        verify(place, database)
        return f"skipped: the backup in {place.set} is there, and whole"
    try:
        place.part.mkdir(mode=0o700)
        give(place.part)
        # Its own WAL comes along, so that pg_basebackup does not wait for the archiver; the proof does not use it.
        arguments = ("--pgdata", str(place.part / "data"), "--format=plain", "--wal-method=stream", "--checkpoint=fast")
        argv = command("pg_basebackup", *arguments, *checksums(), "--no-password", f"--label={point.name}")
        run(argv, place.part, environment(database))
        check_manifest(place.part / "data")
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
        check_manifest(place.data)
    except Refused as refused:
        raise Refused(
            f"the backup in {place.set} is damaged, {refused}: move it out of {database.backups}; a new one is taken"
        ) from None


@task(name="read backup", **ON_UNAVAILABLE)
def read_backup(database: Database, point: RestorePoint) -> Backup:
    """What the set's backup tells of itself: pg_controldata for the cluster, its manifest for the WAL it needs."""
    place = place_of(database, point.name)
    control = read_control(place)
    try:
        manifest = json.loads((place.data / "backup_manifest").read_text())
        ranges = manifest["WAL-Ranges"]
        first, last = ranges[0], ranges[-1]
        return Backup(control["Database system identifier"], last["Timeline"], first["Start-LSN"], last["End-LSN"])
    except (OSError, ValueError, LookupError) as error:
        raise Refused(f"{place.data}/backup_manifest cannot be read ({error}): move the set away") from None


def read_control(place: Place) -> dict[str, str]:
    """The control file of a set's backup, by the names that pg_controldata gives."""
    printed = run(command("pg_controldata", str(place.data)), place.set, clean())
    pairs = (line.partition(":") for line in printed.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
