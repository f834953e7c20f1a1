"""Wait until RDS can restore to a point, and keep a manual snapshot that no retention removes."""

from prefect import task

from recovery.errors import Refused, Unavailable
from recovery.rds import Managed, Reachable, TimedPoint, snapshot_of
from recovery.rds_catalog import Rds
from recovery.rds_gates import judge_reach
from tasks.rds.api import Missing, Taken, call, wait_for
from tasks.rds.reading import look
from tasks.retry import LOOKING_AGAIN, spoken

HELD = "ripcord:kept-for"


@task(name="wait until reached", **LOOKING_AGAIN)
def wait_until_reached(rds: Rds, point: Reachable) -> Managed:
    """Wait until RDS can restore to the point, and return what it says then.

    Raises Refused when the database is another one by now, or when RDS does not come to the point in time.
    """
    why = ["RDS does not have it"]

    def reached() -> Managed | None:
        seen = look(rds, point.identifier)
        late = judge_reach(seen, point) if seen else None
        why.append(late or why[0])
        return seen if seen and late is None else None

    try:
        return wait_for(reached, rds.lag, lambda: why[-1])
    except Unavailable as late:
        if why[-1] == why[0]:
            raise
        raise Refused(f"{late}; or allow a longer `lag`") from None


@task(name="take snapshot", **LOOKING_AGAIN)
@spoken
def take_snapshot(rds: Rds, point: TimedPoint) -> str:
    """Keep a manual snapshot for the point, once. It is begun here, and RDS finishes it by itself."""
    if not rds.snapshot:
        return ""
    name = snapshot_of(point.identifier, point.version, point.attempt)
    if (found := _snapshot(rds, name)) is not None:
        return f"; snapshot {name} is {found}"
    tags = [{"Key": HELD, "Value": point.name}]
    try:
        if rds.is_cluster:
            call(
                rds, "create_db_cluster_snapshot", DBClusterSnapshotIdentifier=name,
                DBClusterIdentifier=point.identifier, Tags=tags,
            )  # fmt: skip
        else:
            call(
                rds, "create_db_snapshot", DBSnapshotIdentifier=name, DBInstanceIdentifier=point.identifier, Tags=tags
            )  # fmt: skip
    except Taken:
        pass
    return f"; snapshot {name} is begun"


def _snapshot(rds: Rds, name: str) -> str | None:
    try:
        if rds.is_cluster:
            [found] = call(rds, "describe_db_cluster_snapshots", DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
        else:
            [found] = call(rds, "describe_db_snapshots", DBSnapshotIdentifier=name)["DBSnapshots"]
    except Missing:
        return None
    if found["Status"] in ("failed", "deleting"):
        raise Refused(f"snapshot {name} is {found['Status']}: remove it by hand, and run the gate again")
    return str(found["Status"])
