"""Which two servers it is about, and the point at which they parted."""

from pathlib import Path

from prefect import task

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.restore_points import RestorePoint
from recovery.salvages import Candidate, Standing, choose_restored
from recovery.sides import restore_of
from tasks.postgres.connection import restored, restored_way, session
from tasks.postgres.places import Place, read_then
from tasks.postgres.reading import registered
from tasks.postgres.salvage.catalogs import read_standing
from tasks.retry import ON_UNAVAILABLE


@task(name="read servers", **ON_UNAVAILABLE)
def read_servers(database: Database) -> tuple[Standing, Standing]:
    """The damaged server and the restored one, as they are now.

    Raises Refused when the damaged one lets superusers in alone, as a restore leaves it, and we are none.
    """
    try:
        with session(database) as damaged, restored(database, restored_way(restore_of(database))) as beside:
            return read_standing(damaged), read_standing(beside)
    except Unavailable as error:
        if "too many connections for database" not in str(error):
            raise
        raise Refused(
            f"{error}: a frozen database lets superusers in alone, name one in {database.url_variable} for the "
            "salvage, or ALTER DATABASE ... CONNECTION LIMIT 5"
        ) from None


@task(name="find point", task_run_name="find the point of {service} {version}", **ON_UNAVAILABLE)
def find_point(service: str, version: str, database: Database, damaged: Standing) -> RestorePoint:
    """The point to which the database was restored. Raises Refused when its set is gone."""
    with restored(database, restored_way(restore_of(database))) as beside:
        found = registered(beside, service, version)
    root, candidates = Path(database.backups), []
    for path in sorted(root.glob("[!.]*/then.json")):
        then = read_then(Place(root, path.parent.name))
        if then and (then.service, then.version) == (service, version):
            candidates.append(Candidate(then.name, then.lsn, then.made_at, then.timeline, then.system_id))
    return choose_restored(candidates, damaged, found.name if found else None)
