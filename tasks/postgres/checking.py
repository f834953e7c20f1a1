"""Whether a service's database could be taken back tonight: each right tried, without effect."""

from datetime import datetime
from pathlib import Path

from recovery.backups import judge_server
from recovery.catalog import Service
from recovery.databases import Database
from recovery.errors import Refused
from recovery.journals import judge_journal
from recovery.restore_points import show_age
from recovery.sets import by_history
from recovery.sides import judge_beside
from tasks.postgres.connection import GRANTS, replicating, session
from tasks.postgres.damaged import lacking_rights
from tasks.postgres.drilling import read_sets
from tasks.postgres.freezing import database_name, elsewhere
from tasks.postgres.pooler import pooler_of, read_pooler
from tasks.postgres.reading import read_server
from tasks.postgres.sets import read_room

_LACKING = """
SELECT right_of FROM (VALUES
    ('EXECUTE ON FUNCTION pg_create_restore_point(text)',
     has_function_privilege('pg_create_restore_point(text)', 'EXECUTE')),
    ('EXECUTE ON FUNCTION pg_switch_wal()', has_function_privilege('pg_switch_wal()', 'EXECUTE')),
    ('CREATE ON DATABASE', has_database_privilege(current_database(), 'CREATE')),
    ('pg_read_all_data', pg_has_role(current_user, 'pg_read_all_data', 'USAGE')),
    ('REPLICATION', (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user))
) AS known (right_of, held) WHERE NOT held
"""


def check_database(service: Service) -> str:
    """What stands of the way back, in a sentence. Raises Refused naming what is missing, Unavailable on silence."""
    database = service.database
    if database is None:
        return "none in the catalogue"
    server = read_server.fn(database)
    said = judge_server(server, database, read_room.fn(database, "check"))
    judge_beside(server, database)
    judge_journal(server, database)
    with session(database) as asked:
        lacking = [str(row[0]) for row in asked.rows(_LACKING)]
    if lacking:
        raise Refused(f"the role of {database.url_variable} lacks {', '.join(lacking)}; {GRANTS}")
    replicating(database)
    return "; ".join(
        [f"PostgreSQL {server.version}, {said}", _sets(service, database, server.now), *_clients(database)]
    )


def _sets(service: Service, database: Database, now: datetime) -> str:
    proved = by_history(read_sets.fn(service.name, database), lambda each: each)
    if not proved:
        return "no set is proved yet, the first gate makes one"
    return f"newest proved set {proved[-1].name}, {show_age(now - proved[-1].made_at)} old"


def _clients(database: Database) -> list[str]:
    restore = database.restore
    if restore is None:
        return ["a catastrophe is left to people, there is no `restore`"]
    if not Path(restore.sides).is_dir():
        raise Refused(f"{restore.sides} is not there: make it, owned by the user of the programs")
    with elsewhere(database) as asked:
        lacking = lacking_rights(asked, database_name(database))
    if lacking:
        raise Refused("; ".join(lacking))
    if restore.pgbouncer is None:
        return ["the damaged server could be fenced"]
    route = read_pooler.fn(database)
    return [f"the damaged server could be fenced, and PgBouncer leads {pooler_of(database).alias} to {route}"]
