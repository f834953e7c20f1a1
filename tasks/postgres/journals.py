"""Keep a journal of what is written after a point, and let go of it.

Source: PostgreSQL, "Logical Decoding Concepts": a slot keeps the WAL that its reader has not confirmed, and nobody
confirms this one; `max_slot_wal_keep_size` bounds it, and `pg_logical_slot_peek_changes` reads it without confirming.
"""

from prefect import task

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.journals import PLUGIN, journal_name, journals_of, wants_journal
from recovery.restore_points import RestorePoint
from tasks.postgres.connection import Session, session
from tasks.retry import ON_UNAVAILABLE, spoken

BUILD_SECONDS = 60  # a slot is not there before every transaction that is open has ended
_SLOTS = """
SELECT slot_name::text FROM pg_replication_slots
WHERE starts_with(slot_name::text, %s) AND database = current_database() AND NOT temporary ORDER BY 1
"""


@task(name="arm journal", task_run_name="arm the journal of {service} {version}", **ON_UNAVAILABLE)
@spoken
def arm_journal(service: str, version: str, database: Database, point: RestorePoint) -> str:
    """Have the server keep what is written from before a point on, once; skipped where the catalogue wants none.

    Raises Unavailable while a transaction is open that does not end, Refused when the server has no test_decoding.
    """
    if not wants_journal(database):
        return "skipped: the catalogue wants no journal"
    name = journal_name(service, version, point.name)
    with session(database) as asked:
        if name in _named(asked, name):
            return f"skipped: the journal {name} is kept"
        if point.lsn is not None:
            return f"skipped: the point {point.name} is made, and its journal {name} is not there any more"
    _begin(database, name)
    return f"the server keeps the journal {name} from here on"


@task(name="drop journals", task_run_name="drop journals of {service}", **ON_UNAVAILABLE)
@spoken
def drop_journals(service: str, database: Database, version: str = "", but: str = "") -> str:
    """Let go of a service's journals, or of those of one release; of all `but` one."""
    with session(database) as asked:
        gone = [name for name in _named(asked, journals_of(service, version)) if name != but]
        for name in gone:
            asked.rows("SELECT pg_drop_replication_slot(%s)", name)
    return f"dropped the journals {', '.join(gone)}" if gone else f"skipped: there is no such journal of {service}"


def _named(asked: Session, prefix: str) -> list[str]:
    return [str(row[0]) for row in asked.rows(_SLOTS, prefix)]


def _begin(database: Database, name: str) -> None:
    try:
        with session(database) as asked:
            asked.rows(f"SET statement_timeout = '{BUILD_SECONDS}s'")
            asked.rows("SELECT pg_create_logical_replication_slot(%s, %s)", name, PLUGIN)
    except Unavailable as unavailable:
        if "could not access file" in str(unavailable):
            raise Refused(f"`journal` needs {PLUGIN}, which the server has not: install PostgreSQL's contrib") from None
        raise Unavailable(f"{unavailable}; a journal begins when every open transaction has ended") from None
