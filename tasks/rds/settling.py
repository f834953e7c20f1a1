"""Give a restored database what the restore itself does not take, and compare every setting with the damaged one's."""

from prefect import task

from recovery.errors import Refused
from recovery.rds import AVAILABLE, Managed, member_of
from recovery.rds_catalog import Rds
from recovery.rds_cluster_settings import CLUSTERS
from recovery.rds_instance_settings import INSTANCES, MEMBERS
from recovery.rds_plans import RdsPlan
from recovery.rds_settings import Table, differences, mending
from tasks.rds.api import call, wait_for
from tasks.rds.reading import look, look_instance
from tasks.rds.restoring import encoded
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="settle beside", **LOOKING_AGAIN)
@spoken
def settle_beside(rds: Rds, plan: RdsPlan) -> str:
    """Have the restored database be set as the damaged one is, and read it back.

    Raises Refused naming each setting that came out otherwise: no client is led to it.
    """
    damaged, restored = look(rds, plan.names.final), look(rds, plan.names.restored)
    if restored is None or damaged is None:
        return f"skipped: the names of {plan.names.final} are being exchanged, or were"
    table = CLUSTERS if rds.is_cluster else INSTANCES
    told = _mend(rds, table, damaged, restored, cluster=rds.is_cluster)
    wrong = _wrong(rds, table, damaged, plan.names.restored)
    for number, model in enumerate(damaged.members, 1):
        told |= _settle_member(rds, model, member_of(plan.names.restored, number), wrong)
    if wrong:
        raise Refused(
            f"{plan.names.restored} is not set as {plan.names.final} is: {'; '.join(wrong)}: set it by hand and run "
            "this again, or name the setting in `differing`"
        )
    how = f"told {', '.join(sorted(told))}" if told else "nothing was to be told"
    return f"{plan.names.restored} has every setting of {plan.names.final}: {how}"


def _settle_member(rds: Rds, model: str, name: str, wrong: list[str]) -> set[str]:
    damaged, restored = look_instance(rds, model), look_instance(rds, name)
    if damaged is None or restored is None:
        wrong.append(f"{model} or {name} is not to be seen")
        return set()
    told = _mend(rds, MEMBERS, damaged, restored, cluster=False)
    now = _settled(rds, name, cluster=False)
    wrong += [f"{name}: {each}" for each in differences(MEMBERS, damaged, now, rds.differing)]
    return told


def _mend(rds: Rds, table: Table, damaged: Managed, restored: Managed, *, cluster: bool) -> set[str]:
    wanted = encoded(mending(table, damaged, restored))
    if wanted and cluster:
        call(rds, "modify_db_cluster", DBClusterIdentifier=restored.identifier, ApplyImmediately=True, **wanted)
    elif wanted:
        call(rds, "modify_db_instance", DBInstanceIdentifier=restored.identifier, ApplyImmediately=True, **wanted)
    return set(wanted)


def _wrong(rds: Rds, table: Table, damaged: Managed, name: str) -> list[str]:
    return list(differences(table, damaged, _settled(rds, name, cluster=rds.is_cluster), rds.differing))


def _settled(rds: Rds, name: str, *, cluster: bool) -> Managed:
    """The restored one when all changes are in effect."""
    last = ["not to be seen"]

    def still() -> Managed | None:
        seen = look(rds, name) if cluster else look_instance(rds, name)
        if seen is None:
            return None
        last.append(f"{seen.status}, waiting for {', '.join(seen.pending) or 'nothing'}")
        return seen if seen.status == AVAILABLE and not seen.pending else None

    return wait_for(still, rds.deadline, lambda: f"{name} is {last[-1]}")
