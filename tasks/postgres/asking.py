"""Ask the restored database on the way that the clients go, as one of them."""

from collections.abc import Mapping

from prefect import task

from recovery.databases import Database, PgBouncer
from recovery.errors import Incomplete, Refused
from recovery.restore_points import Then
from recovery.sides import restore_of
from tasks.postgres.connection import keywords_of, restored_way, session
from tasks.postgres.consoles import way_of
from tasks.postgres.smoke import ask_smoke
from tasks.retry import LOOKING_AGAIN, spoken

_WHO = """
SELECT system_identifier::text, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
       CASE WHEN pg_is_in_recovery() THEN 0
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END
FROM pg_control_system()
"""


@task(name="ask restored", **LOOKING_AGAIN)
@spoken
def ask_restored(database: Database, then: Then) -> str:
    """Ask the smoke queries on the clients' way, and see that it is the restored server which answers.

    Raises Incomplete naming what is answered otherwise: the cutover is done by then, and a person must look.
    """
    pooler = restore_of(database).pgbouncer
    where, way, note = "the restored server", keywords_of(database) | restored_way(restore_of(database)), ""
    if pooler is not None:
        try:
            with session(database, _pooled(database, pooler)):
                where, way = f"{pooler.alias} by PgBouncer", _pooled(database, pooler)
        except Refused as refused:  # the clients are let in as they were; that ripcord is not proves nothing of them
            note = f"; it was asked beside PgBouncer, which does not know the role: {refused}"
    wrong = [*_identity(database, way, then), *ask_smoke(database, way)]
    if wrong:
        raise Incomplete(f"{where}: {'; '.join(wrong)}: the clients are led there, a person must look")
    return f"{where} takes writes, and answers {len(database.smoke)} smoke queries as it should{note}"


def _pooled(database: Database, pooler: PgBouncer) -> dict[str, str]:
    """As ripcord's own role, on the address and with the encryption of PgBouncer."""
    role = {key: value for key, value in keywords_of(database).items() if key in ("user", "password")}
    return {**way_of(pooler), **role, "dbname": pooler.alias}


def _identity(database: Database, way: Mapping[str, str], then: Then) -> list[str]:
    with session(database, way) as asked:
        [(system_id, standby, read_only, timeline)] = asked.rows(_WHO)
    wrong = []
    if system_id != then.system_id or timeline <= then.timeline:
        wrong.append(f"the server of cluster {system_id} on timeline {timeline} answers, which is not the restored one")
    if standby or read_only:
        wrong.append("it takes no writes")
    return wrong
