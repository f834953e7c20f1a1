"""Restore a database on RDS to its point, under a name of its own, with every setting that the damaged one has."""

from collections.abc import Callable
from typing import Any

from prefect import task

from recovery.errors import Refused
from recovery.rds import AVAILABLE, HOPELESS, Managed, Value, member_of
from recovery.rds_catalog import Rds
from recovery.rds_cluster_settings import CLUSTERS
from recovery.rds_instance_settings import INSTANCES, MEMBERS
from recovery.rds_plans import RdsPlan, judge_place
from recovery.rds_settings import Parameters, creating, restoring, tags_to_carry
from recovery.rds_swap import sighted
from tasks.rds.api import Taken, call, wait_for
from tasks.rds.reading import look, look_instance
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="restore beside", **LOOKING_AGAIN)
@spoken
def restore_beside(rds: Rds, plan: RdsPlan) -> str:
    """Have RDS restore the point beside the damaged database, once, and wait until it is available.

    One that stands there with our tag is gone on with. Raises Refused when the name is taken by another, or when it
    cannot become available; Unavailable when it takes longer than the catalogue's `deadline`.
    """
    if plan.served:
        return f"skipped: {plan.names.final} is the restored one already"
    name = plan.names.restored
    found = judge_place(sighted(look(rds, name), plan.name, plan.point.resource), name)
    if not found:
        _restore(rds, plan)
    _available(rds, plan)
    if rds.is_cluster and not plan.begun:  # no name is given away before all of them are there
        _make_members(rds, plan)
    seen = _available(rds, plan)
    verb = "found" if found else "restored"
    return f"{verb} {name}, as of {plan.point.at:%Y-%m-%d %H:%M:%S} UTC, at {seen.host}:{seen.port}"


def _restore(rds: Rds, plan: RdsPlan) -> None:
    damaged = _damaged(rds, plan)
    settings, tags = restoring(CLUSTERS if rds.is_cluster else INSTANCES, damaged, plan.name)
    parameters = encoded(settings) | {"Tags": tagged(tags)}
    try:
        if rds.is_cluster:
            call(
                rds, "restore_db_cluster_to_point_in_time", SourceDBClusterIdentifier=damaged.identifier,
                DBClusterIdentifier=plan.names.restored, RestoreToTime=plan.point.at, **parameters,
            )  # fmt: skip
        else:
            call(
                rds, "restore_db_instance_to_point_in_time", SourceDBInstanceIdentifier=damaged.identifier,
                TargetDBInstanceIdentifier=plan.names.restored, RestoreTime=plan.point.at, **parameters,
            )  # fmt: skip
    except Taken:  # the answer to an earlier try was lost; whether it is ours is looked at below
        pass


def _make_members(rds: Rds, plan: RdsPlan) -> None:
    """Make an instance of the restored cluster for each of the damaged one's, the writer's first: RDS makes none."""
    models = _damaged(rds, plan).members
    for number, name in enumerate(models, 1):
        model = look_instance(rds, name)
        if model is not None:
            _make_member(rds, plan, model, member_of(plan.names.restored, number))
    for number in range(1, len(models) + 1):
        _wait(rds, member_of(plan.names.restored, number), plan, look_instance)


def _make_member(rds: Rds, plan: RdsPlan, model: Managed, name: str) -> None:
    there = look_instance(rds, name)
    if there is not None:
        if there.cluster != plan.names.restored:
            raise Refused(f"{name} is there and not of {plan.names.restored}: rename or remove it by hand")
        return
    parameters = encoded(creating(MEMBERS, model)) | {"Tags": tagged(tags_to_carry(model))}
    try:
        call(
            rds, "create_db_instance", DBInstanceIdentifier=name, DBClusterIdentifier=plan.names.restored,
            Engine=str(model.settings["Engine"]), **parameters,
        )  # fmt: skip
    except Taken:  # the answer to an earlier try was lost
        return


def _damaged(rds: Rds, plan: RdsPlan) -> Managed:
    seen = look(rds, plan.names.final)
    if seen is None or seen.resource != plan.point.resource:
        raise Refused(f"{plan.names.final} is not the database that {plan.name} is of: nothing is restored from it")
    return seen


def _available(rds: Rds, plan: RdsPlan) -> Managed:
    return _wait(rds, plan.names.restored, plan, look)


def _wait(rds: Rds, name: str, plan: RdsPlan, reader: Callable[[Rds, str], Managed | None]) -> Managed:
    last: list[str] = ["not to be seen"]

    def ready() -> Managed | None:
        seen = reader(rds, name)
        if seen is None:
            return None
        if reader is look:
            judge_place(sighted(seen, plan.name, plan.point.resource), name)
        last.append(seen.status)
        if seen.status in HOPELESS:
            raise Refused(f"{name} is {seen.status}: look at its events in the RDS console, remove it, run this again")
        return seen if seen.status == AVAILABLE and seen.host else None

    return wait_for(ready, rds.deadline, lambda: f"{name} is {last[-1]} and not {AVAILABLE}")


def encoded(settings: Parameters) -> dict[str, Any]:
    """Settings as boto3 takes them."""
    return {name: _encoded(name, value) for name, value in settings.items()}


def tagged(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as boto3 takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _encoded(name: str, value: Value) -> Any:
    if not isinstance(value, tuple):
        return value
    if name == "ServerlessV2ScalingConfiguration":
        pairs = (each.partition("=") for each in value)
        return {key: int(given) if key.startswith("Seconds") else float(given) for key, _, given in pairs}
    return list(value)
