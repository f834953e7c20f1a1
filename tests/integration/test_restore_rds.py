"""The restore on RDS: moto answers for the API, the lab's PostgreSQL stands behind the addresses."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import botocore.session
import httpx
import psycopg
import pytest

from infra.lab.postgres import Postgres, postgres
from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from recovery.rds import RESTORED_TO
from tests.integration.dying import Death
from tests.integration.rds_shop import REGION, SMOKE, URL, Hook, RdsShop, give_password, new_rds_shop, policy

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "restore_rds.md"
NAMED = ["shop", "shop-damaged-v1-2-0"]
Opening = Callable[..., AbstractContextManager[RdsShop]]


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    first, second = tmp_path_factory.mktemp("damaged"), tmp_path_factory.mktemp("restored")
    with postgres(first) as damaged, postgres(second) as restored:
        give_password(restored, damaged.password)
        yield damaged, restored


@pytest.fixture(name="opening")
def _opening(servers: tuple[Postgres, Postgres], moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opening:
    @contextmanager
    def opening(kind: str, hooks: dict[str, Hook] | None = None) -> Iterator[RdsShop]:
        httpx.post(f"{moto}/moto-api/reset", trust_env=False)
        rds = {kind: "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()], "snapshot": True}
        service = {"name": "shop", "namespace": "acme", "repository": "acme/shop", "rds": rds}
        archive = str(tmp_path / "archive")
        with new_rds_shop(servers, Service.model_validate(service), moto, monkeypatch, archive, hooks) as shop:
            make_instance(shop) if kind == "instance" else make_cluster(shop)
            yield shop

    return opening


@pytest.fixture(name="shop")
def _shop(opening: Opening) -> Iterator[RdsShop]:
    with opening("instance") as shop:
        yield shop


def make_instance(shop: RdsShop) -> None:
    """An instance that is set in its own way."""
    shop.client.create_db_parameter_group(
        DBParameterGroupName="tuned", DBParameterGroupFamily="postgres16", Description="ours"
    )
    shop.client.create_db_instance(
        DBInstanceIdentifier="shop", DBInstanceClass="db.t4g.medium", Engine="postgres", EngineVersion="16.4",
        MasterUsername="master", MasterUserPassword="of-the-lab-alone", AllocatedStorage=100, DBName="shop",
        DBParameterGroupName="tuned", BackupRetentionPeriod=7, DeletionProtection=True, MultiAZ=True, Port=5439,
        Tags=[{"Key": "team", "Value": "shop"}], MonitoringInterval=30, StorageType="gp3", CopyTagsToSnapshot=True,
        MonitoringRoleArn="arn:aws:iam::123456789012:role/rds-monitoring", EnableCloudwatchLogsExports=["postgresql"],
        PreferredBackupWindow="02:00-02:30", PreferredMaintenanceWindow="sun:04:00-sun:04:30",
    )  # fmt: skip


def make_cluster(shop: RdsShop) -> None:
    """An Aurora cluster of a writer and a reader."""
    shop.client.create_db_cluster(
        DBClusterIdentifier="shop", Engine="aurora-postgresql", EngineVersion="16.4", MasterUsername="master",
        MasterUserPassword="of-the-lab-alone", DatabaseName="shop", Port=5439, BackupRetentionPeriod=7,
        DeletionProtection=True, Tags=[{"Key": "team", "Value": "shop"}],
    )  # fmt: skip
    for name in ("shop-writer", "shop-reader"):
        shop.client.create_db_instance(
            DBInstanceIdentifier=name, DBClusterIdentifier="shop", Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large", PromotionTier=1,
        )  # fmt: skip


def spoil(shop: RdsShop) -> None:
    """The gate, what hurts after it, and what RDS would replay up to it."""
    assert shop.gate().proved
    shop.sql("UPDATE orders SET amount = 0 WHERE id <= 50")
    shop.sql("INSERT INTO orders (amount) VALUES (7)")
    shop.replay()


def exchanged(shop: RdsShop) -> None:
    """One restored instance under the clients' name, one damaged one, protected and closed; nothing else."""
    found = shop.instances()
    assert sorted(found) == NAMED
    tags = {each["Key"]: each["Value"] for each in found["shop"]["TagList"]}
    assert tags == {"team": "shop", RESTORED_TO: shop.point().name}
    assert found["shop-damaged-v1-2-0"]["DeletionProtection"]
    assert [each["Key"] for each in found["shop-damaged-v1-2-0"]["TagList"]] == ["team"]
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        shop.sql("SELECT 1")
    assert shop.sql("SELECT sum(amount), count(*) FROM orders", shop.restored) == [(5050, 100)]


def as_before(shop: RdsShop) -> None:
    """Clients go on: the name is the damaged one's, and it lets them in to write."""
    assert not any(each["Key"] == RESTORED_TO for each in shop.instances()["shop"]["TagList"])
    assert shop.sql("INSERT INTO orders (amount) VALUES (0) RETURNING amount") == [(0,)]


def test_the_restored_instance_takes_the_name_and_the_damaged_one_is_kept(shop: RdsShop) -> None:
    """What was written since is closed away and not lost; numbers that somebody saw are not given out again."""
    spoil(shop)

    said = shop.take_back()

    exchanged(shop)
    assert shop.sql("SELECT nextval('orders_id_seq') > 101", shop.restored) == [(True,)]
    assert "shop takes writes, has the restored data and answers 1 smoke queries" in said
    assert [each["DBSnapshotIdentifier"] for each in shop.client.describe_db_snapshots()["DBSnapshots"]
            if each["SnapshotType"] == "manual"] == ["shop-before-v1-2-0"]  # fmt: skip
    assert {operation for operation, _ in shop.calls} == policy(PAGE, "Instances")

    again = shop.take_back()

    exchanged(shop)
    assert [each.split(":")[0] for each in again[:2]] == ["skipped", "skipped"]
    assert len(shop.asked("RestoreDBInstanceToPointInTime")) == 1


def test_rds_is_told_every_setting(shop: RdsShop) -> None:
    """moto copies what it is not told, and AWS does not: so it is the request that is looked at."""
    spoil(shop)
    shop.take_back()

    [told] = shop.asked("RestoreDBInstanceToPointInTime")
    assert told.pop("RestoreTime") == shop.point().at
    assert told.pop("Tags") == [{"Key": RESTORED_TO, "Value": shop.point().name}, {"Key": "team", "Value": "shop"}]
    groups = [each["VpcSecurityGroupId"] for each in shop.instances()["shop"]["VpcSecurityGroups"]]
    assert told == {
        "SourceDBInstanceIdentifier": "shop", "TargetDBInstanceIdentifier": "shop-restored-v1-2-0", "Port": 5439,
        "DBInstanceClass": "db.t4g.medium", "DBParameterGroupName": "tuned", "MultiAZ": True, "StorageType": "gp3",
        "AllocatedStorage": 100, "BackupRetentionPeriod": 7, "DeletionProtection": True, "CopyTagsToSnapshot": True,
        "EnableCloudwatchLogsExports": ["postgresql"], "PreferredBackupWindow": "02:00-02:30",
        "VpcSecurityGroupIds": groups, "AutoMinorVersionUpgrade": True, "EnableIAMDatabaseAuthentication": False,
        "CACertificateIdentifier": "rds-ca-default",
    }  # fmt: skip


def test_a_copy_of_a_later_moment_is_not_led_to(shop: RdsShop) -> None:
    """It has the commit after the point, so it has what hurt, too; everybody goes on as before."""
    shop.gate()
    shop.replay(("before", "after"))

    with pytest.raises(Refused, match=r"the commit after shop-v1\.2\.0-\S+ is in it: it is of a later time"):
        shop.take_back()

    assert sorted(shop.instances()) == ["shop", "shop-restored-v1-2-0"]
    as_before(shop)


def test_what_came_out_otherwise_is_told_again_and_read_back(opening: Opening) -> None:
    """AWS restores with a maintenance window of its own, and an instance class that somebody else chose refuses."""

    def otherwise(operation: str, _: dict[str, Any]) -> None:
        if operation == "RestoreDBInstanceToPointInTime":
            shop.client.modify_db_instance(
                DBInstanceIdentifier="shop-restored-v1-2-0", PreferredMaintenanceWindow="mon:06:00-mon:06:30"
            )

    with opening("instance", {"after": otherwise}) as shop:
        spoil(shop)
        shop.take_back()

        exchanged(shop)
        assert shop.asked("ModifyDBInstance")[0] == {
            "DBInstanceIdentifier": "shop-restored-v1-2-0", "ApplyImmediately": True,
            "PreferredMaintenanceWindow": "sun:04:00-sun:04:30",
        }  # fmt: skip


def test_a_name_that_is_somebody_elses_is_left_alone(shop: RdsShop) -> None:
    """It lacks our tag: nothing is restored over it, nothing renamed."""
    spoil(shop)
    shop.client.create_db_instance(
        DBInstanceIdentifier="shop-restored-v1-2-0", DBInstanceClass="db.t4g.micro", Engine="postgres",
        MasterUsername="master", MasterUserPassword="of-the-lab-alone", AllocatedStorage=20,
    )  # fmt: skip

    with pytest.raises(Refused, match="shop-restored-v1-2-0 is "):
        shop.take_back()

    assert not shop.asked("RestoreDBInstanceToPointInTime")
    as_before(shop)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_call_it_ends_in_one_instance_under_the_name(opening: Opening, moment: str) -> None:
    """The first run dies at its first call, the second at its second, and so on: the one that lives ends the work."""
    run, seen = 0, 0

    def die(operation: str, _: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if seen == run:
            raise Death(operation)

    with opening("instance", {moment: die}) as shop:
        spoil(shop)
        ended = None
        while ended is None:
            run, seen = run + 1, 0
            with suppress(Death):
                ended = shop.take_back()

        assert run > 10
        exchanged(shop)
        assert len(shop.asked("RestoreDBInstanceToPointInTime")) <= 2  # where the answer was lost it is asked again


@pytest.mark.parametrize("refused", ["shop-damaged-v1-2-0", "shop"])
def test_a_rename_that_is_refused_says_what_was_done(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Before the first one everybody goes on as before; between the two a person must know, and Retry goes on."""
    refusing = True

    def refuse(operation: str, parameters: dict[str, Any]) -> None:
        if refusing and parameters.get("NewDBInstanceIdentifier") == refused:
            raise Refused("the role may not")

    with opening("instance", {"before": refuse}) as shop:
        spoil(shop)
        if refused == "shop":
            with pytest.raises(Incomplete, match=r"shop may lead nowhere.*\(done before: renamed shop to shop-damaged"):
                shop.take_back()
        else:
            with pytest.raises(Refused, match="the role may not"):
                shop.take_back()
            as_before(shop)
            shop.sql("DELETE FROM orders WHERE amount = 0 AND id > 101")
        refusing = False

        shop.take_back()

        exchanged(shop)


def test_the_service_model_has_what_moto_was_told() -> None:
    """What we send is in AWS's own description of the calls, so that moto's leniency hides nothing."""
    service = botocore.session.get_session().get_service_model("rds")

    assert policy(PAGE, "Instances") | policy(PAGE, "Clusters") <= set(service.operation_names)


def test_a_cluster_goes_back_with_as_many_instances(opening: Opening) -> None:
    """Aurora restores a cluster without any: each is made after its model, and clients go by the cluster's name.

    Which instances a renamed cluster has moto forgets, so it is the requests that are looked at.
    """

    def otherwise(operation: str, _: dict[str, Any]) -> None:
        if operation == "CreateDBInstance":
            name = shop.asked("CreateDBInstance")[-1]["DBInstanceIdentifier"]
            shop.client.modify_db_instance(DBInstanceIdentifier=name, PromotionTier=9)

    with opening("cluster", {"after": otherwise}) as shop:
        spoil(shop)

        shop.take_back()
        shop.take_back()

        found = shop.clusters()
        assert sorted(found) == NAMED
        tags = {each["Key"]: each["Value"] for each in found["shop"]["TagList"]}
        assert tags == {"team": "shop", RESTORED_TO: shop.point().name}
        assert found["shop-damaged-v1-2-0"]["DeletionProtection"]
        [told] = shop.asked("RestoreDBClusterToPointInTime")
        assert (told["RestoreToTime"], told["Port"], told["DeletionProtection"]) == (shop.point().at, 5439, True)
        made = shop.asked("CreateDBInstance")
        assert [
            (each["DBInstanceIdentifier"], each["DBClusterIdentifier"], each["DBInstanceClass"]) for each in made
        ] == [
            ("shop-restored-v1-2-0-1", "shop-restored-v1-2-0", "db.r6g.large"),
            ("shop-restored-v1-2-0-2", "shop-restored-v1-2-0", "db.r6g.large"),
        ]
        tiers = {name: each["PromotionTier"] for name, each in shop.instances().items()}
        assert set(tiers.values()) == {1}
        assert {operation for operation, _ in shop.calls} == policy(PAGE, "Clusters")


def test_a_cluster_that_is_killed_after_every_change_has_no_instance_twice(opening: Opening) -> None:
    """Restored, filled with instances and renamed once, whatever died."""
    run, seen = 0, 0

    def die(operation: str, _: dict[str, Any]) -> None:
        nonlocal seen
        seen += not operation.startswith("Describe")
        if seen == 1 and run and not operation.startswith("Describe"):
            raise Death(operation)

    with opening("cluster", {"after": die}) as shop:
        spoil(shop)
        ended = None
        while ended is None:
            run, seen = run + 1, 0
            with suppress(Death):
                ended = shop.take_back()

        assert run == 6  # restored, two instances, two names: each was its run's last act
        assert sorted(shop.clusters()) == NAMED
        made = ["shop-reader", "shop-restored-v1-2-0-1", "shop-restored-v1-2-0-2", "shop-writer"]
        assert sorted(shop.instances()) == made


def test_an_instance_of_somebody_elses_is_not_taken_for_one_of_the_cluster(opening: Opening) -> None:
    """It has the name, and is of no cluster of ours: clients are not led to a cluster without instances."""
    with opening("cluster") as shop:
        spoil(shop)
        shop.client.create_db_instance(
            DBInstanceIdentifier="shop-restored-v1-2-0-2", DBInstanceClass="db.t4g.micro", Engine="postgres",
            MasterUsername="master", MasterUserPassword="of-the-lab-alone", AllocatedStorage=20,
        )  # fmt: skip

        with pytest.raises(Refused, match="shop-restored-v1-2-0-2 is there and not of shop-restored-v1-2-0"):
            shop.take_back()

        assert sorted(shop.clusters()) == ["shop", "shop-restored-v1-2-0"]
        assert shop.sql("SELECT 1") == [(1,)]
