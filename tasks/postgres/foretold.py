"""What a gate has shown of a release, out of its set: the files alone are asked, for the database may be down."""

from contextlib import suppress
from pathlib import Path

from prefect import task

from recovery.catalog import Service
from recovery.errors import RecoveryError
from recovery.outlooks import Outlook
from recovery.restore_points import Then, WayBack
from recovery.sets import by_history
from tasks.postgres.notes import read_note
from tasks.retry import LOOKING_AGAIN


@task(name="read foretold", task_run_name="read what the gate has shown of {version}", **LOOKING_AGAIN)
def read_foretold(service: Service, version: str) -> Outlook | None:
    """What the newest proof of a release says of the version before; None where there is none that can be read.

    The sets need not be where a recovery of the source runs, and that must not stop it.
    """
    if service.database is None:
        return None
    found = []
    for path in sorted(Path(service.database.backups).glob("[!.]*/then.json")):
        with suppress(RecoveryError, OSError):
            then, way = read_note(path, Then), read_note(path.with_name("proof.json"), WayBack)
            if then and way and way.outlook and (then.service, then.version) == (service.name, version):
                found.append((then, way.outlook))
    return by_history(found, lambda each: each[0])[-1][1] if found else None
