"""Let the role of the conninfo read a damaged database that a restore has closed, where others run the server.

Nobody is led to it any more. What goes on writing there all the same, a job that names the old server, is held back:
what it wrote before is in the export, and nothing can come after it.
"""

from prefect import task

from recovery.catalog import Service
from recovery.cnpg import Clustered, CnpgPoint
from recovery.cnpg_gates import cnpg_of
from recovery.cnpg_plans import restored_name
from recovery.rds import Managed, TimedPoint
from recovery.rds_catalog import Rds
from recovery.salvages import Parted
from tasks.postgres.connection import quoted, session
from tasks.postgres.freezing import database_name, elsewhere, empty, standing
from tasks.postgres.named_points import address_to, way_to
from tasks.postgres.timed_restores import address_of
from tasks.retry import LOOKING_AGAIN, spoken
from tasks.settings import read_settings


def parted_on_rds(rds: Rds, point: TimedPoint, damaged: Managed, restored: Managed) -> Parted:
    """The two databases of a restore on RDS."""
    return Parted(rds, point.name, _place(point), address_of(restored), address_of(damaged))


def parted_on_cnpg(service: Service, point: CnpgPoint) -> Parted:
    """The two Clusters of a restore on CloudNativePG."""
    restored, damaged = address_to(service, restored_name(point)), address_to(service, point.cluster)
    return Parted(cnpg_of(service), point.name, _place(point), restored, damaged)


@task(name="open damaged", **LOOKING_AGAIN)
@spoken
def open_damaged(rds: Rds, damaged: Managed) -> str:
    """Let connections into the damaged database again, for reading. Raises like `close_damaged`."""
    name = database_name(rds)
    with elsewhere(rds, address_of(damaged)) as asked:
        asked.rows(f"ALTER DATABASE {quoted(name)} SET default_transaction_read_only = on")
        asked.rows(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS true")
    return f"opened {damaged.identifier} for reading"


@task(name="close again", **LOOKING_AGAIN)
@spoken
def close_again(rds: Rds, damaged: Managed) -> str:
    """Let nobody into the damaged database any more, and end who is in it."""
    name = database_name(rds)
    with elsewhere(rds, address_of(damaged)) as asked:
        allowed, _ = standing(asked, name)
        if allowed:
            asked.rows(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false")
        empty(asked, name)
    return f"{'closed' if allowed else 'skipped: closed before'} {damaged.identifier}: nobody is connected to it"


@task(name="close to writes", **LOOKING_AGAIN)
@spoken
def close_to_writes(service: Service, damaged: Clustered) -> str:
    """Make the damaged database of a Cluster that answers again read-only, and end everybody who began before that.

    Raises Refused when the role may not do it, Unavailable when it does not answer or somebody does not go.
    """
    cnpg = cnpg_of(service)
    name = database_name(cnpg)
    with session(cnpg, way_to(service, damaged.name)) as asked:
        asked.rows("SET default_transaction_read_only = off")  # a run that was killed may have come this far
        asked.rows(f"ALTER DATABASE {quoted(name)} SET default_transaction_read_only = on")
        empty(asked, name)
    return f"{damaged.name} answers and takes no writes"


def _place(point: TimedPoint | CnpgPoint) -> str:
    return str(read_settings().archive / "salvage" / point.service / point.name)
