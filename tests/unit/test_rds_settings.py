"""Which settings a restored database on RDS gets, held against the description of the service that AWS ships."""

from dataclasses import replace
from typing import Any

import botocore.session
import pytest

from recovery.rds import Managed, Value
from recovery.rds_cluster_settings import CLUSTERS
from recovery.rds_instance_settings import INSTANCES, MEMBERS
from recovery.rds_settings import Table, creating, differences, mending, restoring

SERVICE = botocore.session.get_session().get_service_model("rds")
KINDS = pytest.mark.parametrize(
    ("table", "shape"), [(INSTANCES, "DBInstance"), (MEMBERS, "DBInstance"), (CLUSTERS, "DBCluster")]
)
CALLS = {
    ("DBInstance", "restore"): "RestoreDBInstanceToPointInTime",
    ("DBInstance", "modify"): "ModifyDBInstance",
    ("DBInstance", "create"): "CreateDBInstance",
    ("DBCluster", "restore"): "RestoreDBClusterToPointInTime",
    ("DBCluster", "modify"): "ModifyDBCluster",
}


def settings(**changes: Value) -> Managed:
    """An instance that is set in its own way."""
    found: dict[str, Value] = {
        "DBInstanceClass": "db.r6g.large", "Endpoint": 5439, "DBSubnetGroup": "private", "VpcSecurityGroups": ("sg-1",),
        "DBParameterGroups": "tuned", "OptionGroupMemberships": "default:postgres-16", "MultiAZ": True,
        "PubliclyAccessible": False, "StorageType": "gp3", "AllocatedStorage": 100, "Iops": 3000,
        "StorageThroughput": 125, "BackupRetentionPeriod": 7, "MonitoringInterval": 30, "MonitoringRoleArn": "arn:role",
        "PerformanceInsightsEnabled": True, "PerformanceInsightsRetentionPeriod": 7, "DeletionProtection": True,
        "EnabledCloudwatchLogsExports": ("postgresql", "upgrade"), "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    }  # fmt: skip
    tags = {"team": "shop", "aws:cloudformation:stack-name": "prod", "ripcord:restored-to": "an-older-one"}
    return Managed("shop", "available", "h", 5439, "db-1", 7, None, tags=tags, settings=found | changes)


@KINDS
def test_every_field_that_aws_describes_is_decided_about(table: Table, shape: str) -> None:
    """Carried over, compared, or left with a reason, each in one place: a field that AWS adds fails here."""
    decided = [*table.carried, *table.compared, *table.left]

    assert sorted(decided) == sorted(SERVICE.shape_for(shape).members)
    assert all(table.left.values())
    assert all(table.compared.values())
    assert all(how.restore or how.modify or how.create for how in table.carried.values())


@KINDS
def test_every_parameter_that_is_sent_is_one_that_the_call_takes(table: Table, shape: str) -> None:
    """By AWS's own description of the call; and of the kind that the value has."""
    for (kind, call), operation in CALLS.items():
        taken = SERVICE.operation_model(operation).input_shape.members
        sent = {getattr(how, call) for how in table.carried.values()} - {None} if kind == shape else set()

        assert sent <= set(taken), operation


def test_what_the_restore_takes_is_told_to_it() -> None:
    """RDS would take the default security group, parameter group and subnet group; what it makes itself is not said."""
    found, tags = restoring(INSTANCES, settings(), "shop-v1.2.0-1-0a1b2c3d")

    assert found == {
        "DBInstanceClass": "db.r6g.large", "Port": 5439, "DBSubnetGroupName": "private", "MultiAZ": True,
        "VpcSecurityGroupIds": ("sg-1",), "DBParameterGroupName": "tuned", "PubliclyAccessible": False,
        "StorageType": "gp3", "AllocatedStorage": 100, "BackupRetentionPeriod": 7, "DeletionProtection": True,
        "EnableCloudwatchLogsExports": ("postgresql", "upgrade"), "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    }  # fmt: skip
    assert tags == {"team": "shop", "ripcord:restored-to": "shop-v1.2.0-1-0a1b2c3d"}


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, set()),
        ({"AllocatedStorage": 399}, set()),
        ({"AllocatedStorage": 400}, {"Iops", "StorageThroughput"}),
        ({"StorageType": "io2", "StorageThroughput": None}, {"Iops"}),
        ({"StorageType": "gp2", "Iops": 300}, set()),
    ],
)
def test_iops_are_said_where_rds_takes_them(changes: dict[str, Any], sent: set[str]) -> None:
    """Below 400 GiB PostgreSQL's gp3 refuses even its own defaults."""
    found, _ = restoring(INSTANCES, settings(**changes), "p")

    assert {"Iops", "StorageThroughput"} & set(found) == sent


def test_what_differs_is_mended_as_far_as_a_change_is_taken_and_the_rest_is_named() -> None:
    """Monitoring and insights come by a change; a subnet group does not, so it refuses."""
    bare = settings(MonitoringInterval=0, MonitoringRoleArn=None, PerformanceInsightsEnabled=False, DBSubnetGroup="x")

    assert mending(INSTANCES, settings(), bare) == {
        "MonitoringInterval": 30,
        "MonitoringRoleArn": "arn:role",
        "EnablePerformanceInsights": True,
    }
    assert differences(INSTANCES, settings(), bare) == (
        "DBSubnetGroup is x and was private",
        "MonitoringInterval is 0 and was 30",
        "MonitoringRoleArn is not set and was arn:role",
        "PerformanceInsightsEnabled is False and was True",
    )
    assert mending(INSTANCES, settings(), settings()) == {}
    assert differences(INSTANCES, settings(), settings()) == ()


@pytest.mark.parametrize("name", [*INSTANCES.carried, *INSTANCES.compared])
def test_no_setting_that_came_out_otherwise_is_passed_over(name: str) -> None:
    """Each of them holds the restore up, but where the catalogue lets it differ."""
    other = settings(**{name: "otherwise"})

    [said] = differences(INSTANCES, settings(), other)

    assert said.startswith(f"{name} is otherwise and was ")
    assert differences(INSTANCES, settings(), other, (name,)) == ()


def test_a_tag_that_is_missing_is_named() -> None:
    """AWS's own are nobody's to set, and ours is no setting."""
    bare = replace(settings(), tags={})

    assert differences(INSTANCES, settings(), bare) == ("tag team is missing or other",)
    assert differences(INSTANCES, settings(), bare, ("TagList",)) == ()


def test_an_instance_of_a_cluster_is_made_after_its_model() -> None:
    """With what is the instance's; what is the cluster's, RDS would refuse."""
    assert creating(MEMBERS, settings()) == {
        "DBInstanceClass": "db.r6g.large", "DBParameterGroupName": "tuned", "PubliclyAccessible": False,
        "CACertificateIdentifier": "rds-ca-rsa2048-g1", "MonitoringInterval": 30, "MonitoringRoleArn": "arn:role",
        "EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 7,
    }  # fmt: skip


def test_a_cluster_is_not_told_of_a_storage_that_is_its_own() -> None:
    """Aurora's standard storage is said as `aurora` and taken as nothing; I/O-Optimized must be said."""
    plain = replace(settings(), settings={"StorageType": "aurora", "Port": 5432})
    optimised = replace(settings(), settings={"StorageType": "aurora-iopt1", "Port": 5432})

    assert restoring(CLUSTERS, plain, "p")[0] == {"Port": 5432}
    assert restoring(CLUSTERS, optimised, "p")[0] == {"Port": 5432, "StorageType": "aurora-iopt1"}
