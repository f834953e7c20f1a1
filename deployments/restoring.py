"""The command `ripcord restore`: the rehearsal in this process; the restore itself in a run that asks a person."""

from deployments.following import known_server
from flows.restore_database import restore_database
from flows.restore_rds import restore_rds
from recovery.incidents import Cause, Source
from recovery.restores import database_to_restore
from recovery.versions import parse_version
from tasks.runs import Launched, dated, launch_restore
from tasks.settings import read_service


def rehearse(service: str, version: str, because: str) -> str:
    """What a restore would do now. Changes nothing."""
    with known_server():
        if read_service(service).rds is not None:
            return restore_rds(service, version, Cause(sentence=because), rehearse=True)
        return restore_database(service, version, Cause(sentence=because), rehearse=True)


def start_restore(service: str, version: str, because: str, number: int = 1) -> Launched:
    """Check service and version, then create the run that restores, or find it.

    Raises Refused when the catalogue does not say how the database is taken back, or the flow is not deployed.
    """
    entry = read_service(service)
    if entry.rds is None:
        database_to_restore(entry)
    tag = parse_version(version, entry.tag_prefix).tag
    with known_server():
        cause = dated.fn(Cause(sentence=because, source=Source.PERSON, seen_at=None))
        return launch_restore.fn(entry.name, tag, cause, number, rds=entry.rds is not None)
