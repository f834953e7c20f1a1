"""The drill on RDS: moto answers for the API, the lab's PostgreSQL stands behind the copy's address."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.postgres import Postgres, postgres
from recovery.catalog import Service
from recovery.drills import Finding
from recovery.rds import DRILLED, RESTORED_TO, ROLE
from tasks.postgres.drilling import read_drills
from tasks.rds import drilling, raise_drill
from tests.integration.drill_talk import drill, failed, listen
from tests.integration.rds_shop import (
    REGION,
    SMOKE,
    URL,
    RdsShop,
    forget_snapshots,
    give_password,
    new_rds_shop,
    policy,
)
from tests.integration.test_restore_rds import make_cluster, make_instance

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "drill.md"
COPY = "shop-drill-v1-2-0"
Opening = Callable[..., AbstractContextManager[RdsShop]]


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    with postgres(tmp_path_factory.mktemp("serving")) as serving, postgres(tmp_path_factory.mktemp("copy")) as copy:
        give_password(copy, serving.password)
        yield serving, copy


@pytest.fixture(name="opening")
def _opening(servers: tuple[Postgres, Postgres], moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opening:
    listen(monkeypatch)

    def before(operation: str, _: dict[str, Any]) -> None:
        if operation == "RestoreDBClusterToPointInTime":
            forget_snapshots(COPY)

    @contextmanager
    def opening(kind: str) -> Iterator[RdsShop]:
        httpx.post(f"{moto}/moto-api/reset", trust_env=False)
        rds = {kind: "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]}
        service = {"name": "shop", "namespace": "acme", "repository": "acme/shop", "rds": rds}
        archive, hooks = str(tmp_path / "archive"), {"before": before}
        with new_rds_shop(servers, Service.model_validate(service), moto, monkeypatch, archive, hooks) as shop:
            make_instance(shop) if kind == "instance" else make_cluster(shop)
            assert shop.gate().proved
            shop.replay()
            shop.calls.clear()
            yield shop

    return opening


def names(shop: RdsShop) -> tuple[list[str], list[str]]:
    """What RDS has."""
    return sorted(shop.instances()), sorted(shop.clusters())


def test_a_copy_is_restored_compared_and_removed(opening: Opening) -> None:
    """With the point's second, deletable and in one zone; what serves is asked and not changed."""
    with opening("instance") as shop:
        before = names(shop)

        said = drill(shop.service)

        [done] = read_drills.fn(shop.service)
        assert (done.finding, done.point) == (Finding.HELD, shop.point().name)
        assert done.phases
        assert done.phases.each.keys() == {"copy", "verify"}
        assert f"{shop.point().name} was restored in" in said
        assert names(shop) == before
        [told] = shop.asked("RestoreDBInstanceToPointInTime")
        assert (told["TargetDBInstanceIdentifier"], told["RestoreTime"]) == (COPY, shop.point().at)
        assert (told["MultiAZ"], told["DeletionProtection"]) == (False, False)
        assert {each["Key"]: each["Value"] for each in told["Tags"]}.items() >= {ROLE: DRILLED}.items()
        assert shop.asked("DeleteDBInstance") == [
            {"DBInstanceIdentifier": COPY, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True}
        ]
        assert {operation for operation, _ in shop.calls} == policy(PAGE, "Instances")


def test_a_cluster_is_drilled_by_one_instance(opening: Opening) -> None:
    """RDS restores a cluster without any; the instance goes first, and then the cluster."""
    with opening("cluster") as shop:
        before = names(shop)

        drill(shop.service)

        assert names(shop) == before
        assert [told["DBInstanceIdentifier"] for told in shop.asked("CreateDBInstance")] == [f"{COPY}-1"]
        deleting = [name for name, _ in shop.calls if name.startswith("Delete")]
        assert deleting == ["DeleteDBInstance", "DeleteDBCluster"]
        assert {operation for operation, _ in shop.calls} <= policy(PAGE, "Clusters")


@pytest.mark.parametrize("kind", ["instance", "cluster"])
def test_what_a_killed_drill_has_left_is_removed_first(opening: Opening, kind: str) -> None:
    """It is not gone on with: a restore is timed whole."""
    with opening(kind) as shop:
        before = names(shop)
        raise_drill.fn(shop.rds, shop.point())

        drill(shop.service)

        restores = [name for name, _ in shop.calls if name.endswith("ToPointInTime")]
        assert len(restores) == 2
        assert names(shop) == before


def test_a_copy_that_is_not_what_was_fails_and_is_removed_all_the_same(opening: Opening) -> None:
    """An instance is paid for while it lasts; what is wrong with it stands in the line that is kept."""
    with opening("instance") as shop:
        shop.replay(("before", "after"))

        done = failed(shop.service)

        assert done.finding is Finding.BROKEN
        assert "it is of a later time" in done.said
        assert sorted(shop.instances()) == ["shop"]


def test_a_copy_that_does_not_come_up_is_removed(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """RDS says that it cannot be restored: nobody waits for it, and nobody pays for it."""
    with opening("instance") as shop:
        monkeypatch.setattr(drilling, "HOPELESS", {"available"})

        done = failed(shop.service)

        assert (done.finding, done.point) == (Finding.BROKEN, shop.point().name)
        assert f"{COPY} is available: look at its events in the RDS console" in done.said
        assert sorted(shop.instances()) == ["shop"]


def test_what_is_somebody_elses_is_never_removed(opening: Opening) -> None:
    """The name alone makes nothing ours, nor does the tag of a restore."""
    with opening("instance") as shop:
        shop.client.create_db_instance(
            DBInstanceIdentifier=COPY, DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
            Tags=[{"Key": RESTORED_TO, "Value": shop.point().name}],
        )  # fmt: skip

        done = failed(shop.service)

        assert "no drill of ours" in done.said
        assert sorted(shop.instances()) == ["shop", COPY]
        assert shop.asked("DeleteDBInstance") == []


def test_without_a_point_or_with_another_promise_it_fails(opening: Opening) -> None:
    """No point of this very instance, too slow, too old, or an RDS that does not have it: each by its own name."""
    with opening("instance") as shop:
        assert failed(shop.with_(rto=timedelta(microseconds=1)).service).finding is Finding.SLOW
        assert failed(shop.with_(rpo=timedelta(0)).service).finding is Finding.OLD
        gone = failed(shop.with_(instance="nowhere").service)
        assert gone.finding is Finding.NO_SET
        assert "has no point to which RDS could restore" in gone.said


@pytest.mark.parametrize(("asked", "drilled"), [(False, False), (True, True)])
def test_the_weekly_drill_makes_no_instance_that_nobody_asked_for(asked: bool, drilled: bool) -> None:
    """It costs money: the catalogue says so, or a person names the service."""
    rds = {"instance": "shop", "region": REGION, "url_variable": URL, "drill": asked}
    entry = {"name": "shop", "namespace": "acme", "repository": "acme/shop", "rds": rds}
    assert Service.model_validate(entry).drilled is drilled
