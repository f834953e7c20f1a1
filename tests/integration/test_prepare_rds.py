"""The gate on RDS: what is marked, kept and waited for; moto answers for the API, the lab's PostgreSQL for the SQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

import flows.asking
from infra.lab.postgres import Postgres
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.rds import Managed
from recovery.rds_gates import TimedChoice
from tasks.postgres import timed_points
from tasks.postgres.timed_notes import read_timed
from tasks.postgres.timed_points import read_attempts
from tasks.rds.checking import check_rds
from tasks.rds.snapshots import wait_until_reached
from tests.integration.rds_shop import REGION, SMOKE, URL, RdsShop, new_rds_shop
from tests.integration.restore_talk import decline


@pytest.fixture(name="shop")
def _shop(database: Postgres, moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RdsShop]:
    httpx.post(f"{moto}/moto-api/reset", trust_env=False)
    rds = {"instance": "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]}
    service = {"name": "gated", "namespace": "acme", "repository": "acme/shop", "rds": rds}
    entry, archive = Service.model_validate(service), str(tmp_path / "archive")
    with new_rds_shop((database, database), entry, moto, monkeypatch, archive) as shop:
        shop.client.create_db_instance(
            DBInstanceIdentifier="shop", DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
            MasterUsername="master", MasterUserPassword="of-the-lab-alone", BackupRetentionPeriod=7,
        )  # fmt: skip
        yield shop


def test_the_point_is_a_second_between_two_commits(shop: RdsShop) -> None:
    """By the server's own clock, so that recovery, which reads that one, has the first commit and not the second."""
    way = shop.gate()

    point = shop.point()
    rows = dict(shop.sql("SELECT mark, made_at FROM ripcord.timed_points"))
    assert way.proved
    assert point.at.microsecond == 0
    assert timedelta(seconds=1) <= point.at - rows["before"] <= timedelta(seconds=3)
    assert rows["after"] - point.at >= timedelta(seconds=1)
    assert point.before.counts == {"public.orders": 100}
    assert shop.gate().point == point.name
    assert len(read_timed.fn("gated")) == 1
    assert check_rds(shop.service).startswith("shop is available and keeps 7 days of backups, can be restored up to ")


def test_a_gate_that_died_between_the_commits_leaves_no_point(shop: RdsShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one takes another name: of the first nobody knows whether its second commit came."""
    wait = timed_points._wait_past
    monkeypatch.setattr(timed_points, "_wait_past", lambda *said: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        shop.gate()
    assert read_timed.fn("gated") == ()
    monkeypatch.setattr(timed_points, "_wait_past", wait)

    way = shop.gate()

    assert read_attempts.fn("gated", "v1.2.0", shop.rds)[0] == 2
    assert shop.point().attempt == 2
    assert way.point == shop.point().name


def test_two_gates_at_once_do_not_share_a_name(shop: RdsShop) -> None:
    """The register lets one in."""
    seen = Managed("shop", "available", "h", 5432, "db-1", 7, None)
    choice = TimedChoice("gated-v1.2.0-1-0a1b2c3d", 1, "there is no point for it yet")
    timed_points.mark_point.fn("gated", "v1.2.0", shop.rds, choice, seen)

    with pytest.raises(Refused, match=r"another gate has marked gated-v1\.2\.0-1-0a1b2c3d meanwhile"):
        timed_points.mark_point.fn("gated", "v1.2.0", shop.rds, choice, seen)


def test_an_rds_that_lags_is_waited_for_no_longer_than_was_said(shop: RdsShop) -> None:
    """And the refusal says how far it has come."""
    shop.gate()
    late = replace(shop.point(), at=shop.point().at + timedelta(hours=1))

    with pytest.raises(Refused, match=r"RDS can restore up to .* and the point is at .*; or allow a longer `lag`"):
        wait_until_reached.fn(shop.with_(lag=timedelta(seconds=0.1)).rds, late)


def test_one_that_keeps_no_backups_is_refused_before_anything_is_written(shop: RdsShop) -> None:
    """By the gate and by `ripcord check`."""
    shop.client.modify_db_instance(DBInstanceIdentifier="shop", BackupRetentionPeriod=0, ApplyImmediately=True)

    for look in (shop.gate, lambda: check_rds(shop.service)):
        with pytest.raises(Refused, match="shop keeps no automated backups"):
            look()

    assert shop.sql("SELECT to_regclass('ripcord.timed_points')") == [(None,)]


def test_a_person_is_asked_unless_the_catalogue_says_otherwise(shop: RdsShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is lost above the form; nothing is restored before the answer."""
    shop.gate()
    shop.sql("INSERT INTO orders (amount) VALUES (7)")
    asked = decline(monkeypatch)

    assert not flows.asking.agreed_on_rds(shop.plan())
    assert "| public.orders | 100 | 101 |" in asked[0]
    assert flows.asking.agreed_on_rds(shop.with_(approval="none").plan())
    assert len(asked) == 1
    assert not shop.asked("RestoreDBInstanceToPointInTime")
