"""What RDS says of an instance or a cluster, as values of `recovery`."""

from collections.abc import Callable, Mapping
from typing import Any

from prefect import task

from recovery.rds import Managed, Names, Value
from recovery.rds_catalog import Rds
from recovery.rds_cluster_settings import CLUSTERS
from recovery.rds_instance_settings import INSTANCES
from recovery.rds_plans import Three
from recovery.rds_settings import Table
from tasks.rds.api import Missing, call
from tasks.retry import LOOKING_AGAIN

Json = Mapping[str, Any]


@task(name="read RDS", task_run_name="read {rds.name} on RDS", **LOOKING_AGAIN)
def read_managed(rds: Rds) -> Managed | None:
    """The database by the name that clients use; None where there is none."""
    return look(rds, rds.name)


@task(name="read the three names", **LOOKING_AGAIN)
def read_three(rds: Rds, names: Names) -> Three:
    """What the three names of a restore lead to."""
    return Three(look(rds, names.final), look(rds, names.damaged), look(rds, names.restored))


def look(rds: Rds, identifier: str) -> Managed | None:
    """What an identifier leads to now; None where it leads to nothing."""
    try:
        if rds.is_cluster:
            [found] = call(rds, "describe_db_clusters", DBClusterIdentifier=identifier)["DBClusters"]
            return _cluster(found)
    except Missing:
        return None
    return look_instance(rds, identifier)


def look_instance(rds: Rds, identifier: str) -> Managed | None:
    """The same of an instance, also of one that belongs to a cluster."""
    try:
        [found] = call(rds, "describe_db_instances", DBInstanceIdentifier=identifier)["DBInstances"]
    except Missing:
        return None
    return _instance(found)


def address_of(found: Json, port: int) -> tuple[str, int]:
    """Where clients reach it; no host while RDS is making it."""
    endpoint = found.get("Endpoint")
    if isinstance(endpoint, Mapping):
        return str(endpoint.get("Address") or ""), int(endpoint.get("Port") or port)
    return str(endpoint or ""), int(found.get("Port") or port)


def _instance(found: Json) -> Managed:
    host, port = address_of(found, 5432)
    return Managed(
        identifier=found["DBInstanceIdentifier"],
        status=found["DBInstanceStatus"],
        host=host,
        port=port,
        resource=found["DbiResourceId"],
        retention=int(found.get("BackupRetentionPeriod") or 0),
        latest=found.get("LatestRestorableTime"),
        source=found.get("ReadReplicaSourceDBInstanceIdentifier") or found.get("ReadReplicaSourceDBClusterIdentifier"),
        replicas=tuple(sorted(found.get("ReadReplicaDBInstanceIdentifiers") or ())),
        pending=_pending(found),
        tags=_tags(found),
        settings=_settings(INSTANCES, found),
        cluster=found.get("DBClusterIdentifier") or None,
    )


def _cluster(found: Json) -> Managed:
    host, port = address_of(found, 5432)
    members = sorted(found.get("DBClusterMembers") or (), key=lambda each: not each.get("IsClusterWriter"))
    return Managed(
        identifier=found["DBClusterIdentifier"],
        status=found["Status"],
        host=host,
        port=port,
        resource=found["DbClusterResourceId"],
        retention=int(found.get("BackupRetentionPeriod") or 0),
        latest=found.get("LatestRestorableTime"),
        source=found.get("ReplicationSourceIdentifier") or None,
        replicas=tuple(sorted(found.get("ReadReplicaIdentifiers") or ())),
        pending=_pending(found),
        tags=_tags(found),
        settings=_settings(CLUSTERS, found) | {"GlobalClusterIdentifier": found.get("GlobalClusterIdentifier") or None},
        members=tuple(str(each["DBInstanceIdentifier"]) for each in members),
    )


def _settings(table: Table, found: Json) -> dict[str, Value]:
    return {name: _read(name, found.get(name), found) for name in (*table.carried, *table.compared)}


def _read(name: str, value: Any, found: Json) -> Value:
    if reader := _READERS.get(name):
        return reader(value)
    if name == "DatabaseInsightsMode" and not found.get("PerformanceInsightsEnabled"):
        return None  # `standard` and nothing are the same then
    return value if isinstance(value, str | int | bool) else None


def _listed(key: str) -> Callable[[Any], Value]:
    return lambda value: tuple(sorted(str(each[key]) for each in value or ()))


def _first(key: str) -> Callable[[Any], Value]:
    return lambda value: str(value[0][key]) if value else None


_READERS: dict[str, Callable[[Any], Value]] = {
    "Endpoint": lambda value: int(value["Port"]) if value and value.get("Port") else None,
    "DBSubnetGroup": lambda value: value.get("DBSubnetGroupName") if isinstance(value, Mapping) else value,
    "VpcSecurityGroups": _listed("VpcSecurityGroupId"),
    "DBParameterGroups": _first("DBParameterGroupName"),
    "OptionGroupMemberships": _first("OptionGroupName"),
    "EnabledCloudwatchLogsExports": lambda value: tuple(sorted(value or ())),
    "MasterUserSecret": lambda value: True if value else None,
    "AssociatedRoles": _listed("RoleArn"),
    "DomainMemberships": lambda value: tuple(sorted(str(each.get("Domain")) for each in value or ())),
    "ServerlessV2ScalingConfiguration": lambda value: tuple(f"{key}={value[key]}" for key in sorted(value or ())),
    "ActivityStreamStatus": lambda value: None if value == "stopped" else value,
    "DedicatedLogVolume": lambda value: value or None,
    "MonitoringInterval": lambda value: value or 0,
}


def _pending(found: Json) -> tuple[str, ...]:
    waiting = [each["DBParameterGroupName"] for each in found.get("DBParameterGroups") or ()
               if each.get("ParameterApplyStatus") in ("applying", "pending-reboot")]  # fmt: skip
    return (*sorted(found.get("PendingModifiedValues") or ()), *waiting)


def _tags(found: Json) -> dict[str, str]:
    return {each["Key"]: each.get("Value", "") for each in found.get("TagList") or ()}
