"""The restore on RDS: moto answers for the API, the lab's PostgreSQL stands behind the addresses."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.lab.aws import aws
from infra.lab.postgres import Postgres, postgres
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.rds import RESTORED_TO
from tests.integration.rds_shop import REGION, SMOKE, URL, RdsShop, give_password, new_rds_shop


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    first, second = tmp_path_factory.mktemp("damaged"), tmp_path_factory.mktemp("restored")
    with postgres(first) as damaged, postgres(second) as restored:
        give_password(restored, damaged.password)
        yield damaged, restored


@pytest.fixture(name="moto", scope="module")
def _moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with aws(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture(name="shop")
def _shop(
    servers: tuple[Postgres, Postgres], moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RdsShop]:
    httpx.post(f"{moto}/moto-api/reset", trust_env=False)
    service = Service.model_validate(
        {
            "name": "shop", "namespace": "acme", "repository": "acme/shop",
            "rds": {"instance": "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]},
        }
    )  # fmt: skip
    with new_rds_shop(servers, service, moto, monkeypatch, str(tmp_path / "archive")) as shop:
        shop.client.create_db_parameter_group(
            DBParameterGroupName="shop-tuned", DBParameterGroupFamily="postgres16", Description="ours"
        )
        shop.client.create_db_instance(
            DBInstanceIdentifier="shop", DBInstanceClass="db.t4g.medium", Engine="postgres", EngineVersion="16.4",
            MasterUsername="master", MasterUserPassword="of-the-lab-alone", AllocatedStorage=100, DBName="shop",
            DBParameterGroupName="shop-tuned", BackupRetentionPeriod=7, DeletionProtection=True, MultiAZ=True,
            Port=5439, Tags=[{"Key": "team", "Value": "shop"}], MonitoringInterval=30,
            MonitoringRoleArn="arn:aws:iam::123456789012:role/rds-monitoring", StorageType="gp3",
            PreferredBackupWindow="02:00-02:30", PreferredMaintenanceWindow="sun:04:00-sun:04:30",
            EnableCloudwatchLogsExports=["postgresql"], CopyTagsToSnapshot=True,
        )  # fmt: skip
        yield shop


def test_the_restored_instance_takes_the_name_and_the_damaged_one_is_kept(shop: RdsShop) -> None:
    """One of each, by the names that were said; what was written since is closed away, not lost."""
    way = shop.gate()
    shop.sql("UPDATE orders SET amount = 0 WHERE id <= 50")
    shop.sql("INSERT INTO orders (amount) VALUES (7)")
    shop.replay()

    said = shop.take_back()

    assert way.proved
    found = shop.instances()
    assert sorted(found) == ["shop", "shop-damaged-v1-2-0"]
    tags = {each["Key"]: each["Value"] for each in found["shop"]["TagList"]}
    assert tags == {"team": "shop", RESTORED_TO: shop.point().name}
    assert found["shop-damaged-v1-2-0"]["DeletionProtection"]
    assert shop.sql("SELECT sum(amount) FROM orders", shop.restored) == [(5050,)]
    assert shop.sql("SELECT nextval('orders_id_seq') > 101", shop.restored) == [(True,)]
    with pytest.raises(Exception, match="not currently accepting connections"):
        shop.sql("SELECT 1")
    assert any("takes writes" in each for each in said)


def test_a_copy_of_a_later_moment_is_not_led_to(shop: RdsShop) -> None:
    """It has the commit after the point, so it has what hurt, too; everybody goes on as before."""
    shop.gate()
    shop.replay(("before", "after"))

    with pytest.raises(Refused, match=r"the commit after shop-v1\.2\.0-\S+ is in it: it is of a later time"):
        shop.take_back()

    assert sorted(shop.instances()) == ["shop", "shop-restored-v1-2-0"]
    assert shop.sql("SELECT 1") == [(1,)]
