"""Have RDS restore a copy that nobody is led to, for a drill, a salvage or a fix, and remove it; our tags tell it."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from prefect import task

from recovery.drills import Live
from recovery.errors import Refused, Unavailable
from recovery.rds import (
    AVAILABLE,
    DRILLED,
    HOPELESS,
    ROLE,
    Managed,
    Moment,
    Reachable,
    TimedPoint,
    base_of,
    drill_of,
    member_of,
)
from recovery.rds_catalog import Rds
from recovery.rds_cluster_settings import CLUSTERS
from recovery.rds_gates import judge_reach
from recovery.rds_instance_settings import INSTANCES, MEMBERS
from recovery.rds_settings import creating, drilling
from tasks.rds.api import Missing, Taken, call, wait_for
from tasks.rds.reading import look, look_instance
from tasks.rds.restoring import encoded, tagged
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="read restorable", task_run_name="read to when RDS can restore {rds.name}", **LOOKING_AGAIN)
def read_restorable(rds: Rds) -> Live:
    """The clock, and the latest moment to which RDS can restore. A silence is told in the value."""
    try:
        seen = look(rds, rds.name)
    except (Refused, Unavailable) as error:
        return Live(datetime.now(UTC), str(error))
    if seen is None:
        return Live(datetime.now(UTC), f"RDS has no {rds.name} in {rds.region}")
    return Live(datetime.now(UTC), archived_at=seen.latest)


@task(name="raise drill", task_run_name="restore a copy of {point.name}", **LOOKING_AGAIN)
def raise_drill(rds: Rds, point: TimedPoint) -> Managed:
    """Have RDS restore the point under a name of its own, and wait until it is available.

    What a drill that was killed has left is removed first: a restore is timed whole. Raises Refused when the name is
    another's or it cannot become available; Unavailable after the catalogue's `deadline`.
    """
    name = drill_of(point.identifier, point.version, point.attempt)
    _remove(rds, name)
    source = look(rds, point.identifier)
    if source is None or source.resource != point.resource:
        raise Refused(f"{point.identifier} is not the database that {point.name} is of: run the gate")
    _restore(rds, source, point, name)
    return _up(rds, source, point, name)


@task(name="raise base", task_run_name="restore {point.name} to compare with", **LOOKING_AGAIN)
def raise_base(rds: Rds, point: TimedPoint, damaged: Managed) -> Managed:
    """Have RDS restore the point for a salvage, out of the damaged database's backups; wait until it is available.

    One that an earlier try has begun is gone on with: it may have taken an hour. Raises like `raise_drill`.
    """
    name = base_of(point.identifier, point.version, point.attempt)
    seen = look(rds, name)
    if seen is None:
        with suppress(Taken):  # the answer to an earlier try was lost
            _restore(rds, damaged, point, name)
        seen = look(rds, name)
    if seen is not None and (seen.tags.get(ROLE), seen.restored_to) != (DRILLED, point.name):
        raise Refused(f"{name} is there and no copy of {point.name}: it lacks our tags, remove or rename it by hand")
    return _up(rds, damaged, point, name)


@task(name="raise clone", task_run_name="restore {moment.name} to try a fix on", **LOOKING_AGAIN)
def raise_clone(rds: Rds, moment: Moment, name: str, source: Managed) -> Managed:
    """The same of a moment of now, for a fix; what an earlier try has left is removed: it is of an earlier time."""
    _remove(rds, name)
    _restore(rds, source, moment, name)
    return _up(rds, source, moment, name)


@task(name="drop clone", task_run_name="remove the clone {name}", **LOOKING_AGAIN)
@spoken
def drop_clone(rds: Rds, name: str) -> str:
    """Remove the clone that a fix was tried on. Raises like `drop_drill`."""
    return f"removed the clone {name}" if _remove(rds, name) else f"skipped: the clone {name} is gone"


@task(name="drop base", task_run_name="remove the copy of {point.name}", **LOOKING_AGAIN)
@spoken
def drop_base(rds: Rds, point: TimedPoint) -> str:
    """Remove the copy of a salvage. Raises like `drop_drill`."""
    name = base_of(point.identifier, point.version, point.attempt)
    return f"removed the copy {name}" if _remove(rds, name) else f"skipped: the copy {name} is gone"


@task(name="drop drill", task_run_name="remove the copy of {point.name}", **LOOKING_AGAIN)
@spoken
def drop_drill(rds: Rds, point: TimedPoint) -> str:
    """Remove the copy with its backups, and wait until it is gone. Raises Refused for what is no drill of ours."""
    name = drill_of(point.identifier, point.version, point.attempt)
    return f"removed the copy {name}" if _remove(rds, name) else f"skipped: the copy {name} is gone"


def _restore(rds: Rds, source: Managed, point: Reachable, name: str) -> None:
    if late := judge_reach(source, point):
        raise Refused(f"{late}: wait some minutes")
    settings, tags = drilling(CLUSTERS if rds.is_cluster else INSTANCES, source, point.name)
    parameters = encoded(settings) | {"Tags": tagged(tags)}
    if rds.is_cluster:
        call(
            rds, "restore_db_cluster_to_point_in_time", SourceDBClusterIdentifier=source.identifier,
            DBClusterIdentifier=name, RestoreToTime=point.at, **parameters,
        )  # fmt: skip
    else:
        call(
            rds, "restore_db_instance_to_point_in_time", SourceDBInstanceIdentifier=source.identifier,
            TargetDBInstanceIdentifier=name, RestoreTime=point.at, **parameters,
        )  # fmt: skip


def _up(rds: Rds, source: Managed, point: Reachable, name: str) -> Managed:
    """The copy when it is available; of a cluster, when its one instance is, too."""
    if rds.is_cluster:
        _available(rds, name, cluster=True)
        _make_writer(rds, source, point, name)
    return _available(rds, name, cluster=rds.is_cluster)


def _make_writer(rds: Rds, source: Managed, point: Reachable, cluster: str) -> None:
    """The one instance by which a restored cluster answers, modelled on the writer: RDS makes none."""
    name = member_of(cluster, 1)
    seen = look_instance(rds, name)
    if seen is not None:
        if seen.cluster != cluster:
            raise Refused(f"{name} is there and not of {cluster}: remove or rename it by hand, and run this again")
        _available(rds, name, cluster=False)
        return
    _, tags = drilling(CLUSTERS, source, point.name)
    model = look_instance(rds, source.members[0]) if source.members else None
    if model is None:
        raise Unavailable(f"{source.identifier} does not say which instance is its writer: run this again")
    call(
        rds, "create_db_instance", DBInstanceIdentifier=name, DBClusterIdentifier=cluster,
        Engine=str(model.settings["Engine"]), Tags=tagged(tags), **encoded(creating(MEMBERS, model)),
    )  # fmt: skip
    _available(rds, name, cluster=False)


def _available(rds: Rds, name: str, *, cluster: bool) -> Managed:
    last = ["not to be seen"]

    def ready() -> Managed | None:
        seen = look(rds, name) if cluster else look_instance(rds, name)
        if seen is None:
            return None
        last.append(seen.status)
        if seen.status in HOPELESS:
            raise Refused(f"{name} is {seen.status}: look at its events in the RDS console, the next drill removes it")
        return seen if seen.status == AVAILABLE and seen.host else None

    return wait_for(ready, rds.deadline, lambda: f"{name} is {last[-1]} and not {AVAILABLE}")


def _remove(rds: Rds, name: str) -> bool:
    """Whether there was one. A cluster goes only when its instances are gone."""
    seen = look(rds, name)
    if seen is None:
        return False
    for member in seen.members:
        if (found := look_instance(rds, member)) is not None:
            _delete(rds, found, "db_instance", "DBInstanceIdentifier", SkipFinalSnapshot=True)
            _gone(rds, member, cluster=False)
    if rds.is_cluster:
        _delete(rds, seen, "db_cluster", "DBClusterIdentifier", SkipFinalSnapshot=True)
    else:
        _delete(rds, seen, "db_instance", "DBInstanceIdentifier", SkipFinalSnapshot=True, DeleteAutomatedBackups=True)
    _gone(rds, name, cluster=rds.is_cluster)
    return True


def _delete(rds: Rds, seen: Managed, kind: str, by: str, **how: bool) -> None:
    """Have RDS remove what has the tag of a drill, which may have come out protected all the same."""
    if seen.tags.get(ROLE) != DRILLED:
        raise Refused(f"{seen.identifier} is there and no drill of ours: it lacks our tag, remove or rename it by hand")
    if seen.status == "deleting":
        return
    named: dict[str, Any] = {by: seen.identifier}
    with suppress(Missing):  # the answer to an earlier try was lost
        if seen.settings.get("DeletionProtection"):
            call(rds, f"modify_{kind}", **named, DeletionProtection=False, ApplyImmediately=True)
        call(rds, f"delete_{kind}", **named, **how)


def _gone(rds: Rds, name: str, *, cluster: bool) -> None:
    def gone() -> bool | None:
        return (look(rds, name) if cluster else look_instance(rds, name)) is None or None

    wait_for(gone, rds.deadline, lambda: f"{name} is being removed and does not go")
