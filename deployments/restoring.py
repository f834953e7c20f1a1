"""The command `ripcord restore`: the rehearsal in this process; the restore itself in a run that asks a person."""

from deployments.following import known_server
from flows.restore_cnpg import restore_cnpg
from flows.restore_database import restore_database
from flows.restore_rds import restore_rds
from recovery.catalog import RestoredBy
from recovery.errors import Refused
from recovery.incidents import Cause, Source
from recovery.restores import database_to_restore
from recovery.versions import parse_version
from tasks.runs import Launched, dated, launch_restore
from tasks.settings import read_service

FLOWS = {each.name: each for each in (restore_database, restore_rds, restore_cnpg)}


def rehearse(service: str, version: str, because: str, off: bool = False) -> str:
    """What a restore would do now. Changes nothing."""
    by = read_service(service).restored_by
    with known_server():
        return FLOWS[by](service, version, Cause(sentence=because), rehearse=True, **_word(service, by, off))


def start_restore(service: str, version: str, because: str, number: int = 1, off: bool = False) -> Launched:
    """Check service and version, then create the run that restores, or find it.

    Raises Refused when the catalogue does not say how the database is taken back, or the flow is not deployed.
    """
    entry = read_service(service)
    if entry.restored_by == "restore_database":
        database_to_restore(entry)
    word = _word(service, entry.restored_by, off)
    tag = parse_version(version, entry.tag_prefix).tag
    with known_server():
        cause = dated.fn(Cause(sentence=because, source=Source.PERSON, seen_at=None))
        return launch_restore.fn(entry.name, tag, cause, number, by=entry.restored_by, **word)


def _word(service: str, by: RestoredBy, off: bool) -> dict[str, bool]:
    """A person's word that the damaged server is off, where that is theirs to say."""
    if off and by != "restore_database":
        raise Refused(f"whoever runs the database of {service} knows whether it is off: leave --off out")
    return {"off": True} if off else {}
