"""A restore on RDS as a run on a real Prefect server: suspended for a person, answered, gone on with, told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deployments.restoring import rehearse, start_restore
from flows.restore_rds import restore_rds
from infra.lab.aws import aws
from infra.lab.postgres import postgres
from recovery.catalog import Service
from tests.integration.asked_runs import AskedRuns, asked_runs, need_trigrams
from tests.integration.rds_shop import REGION, SMOKE, URL, RdsShop, give_password, new_rds_shop


@pytest.fixture(name="place")
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RdsShop, AskedRuns]]:
    entry = {"name": "shop", "namespace": "acme", "repository": "acme/shop"}
    entry |= {"rds": {"instance": "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]}}  # type: ignore[dict-item]
    (tmp_path / "services.yaml").write_text(yaml.safe_dump({"services": [entry]}))
    for name in ("first", "second", "moto"):
        (tmp_path / name).mkdir()
    with postgres(tmp_path / "first") as damaged, postgres(tmp_path / "second") as restored:
        need_trigrams(damaged)
        give_password(restored, damaged.password)
        monkeypatch.setenv("RIPCORD_CATALOGUE", str(tmp_path / "services.yaml"))
        monkeypatch.setenv("RIPCORD_LOCK_URL", restored.dsn())
        archive, service = tmp_path / "archive", Service.model_validate(entry)
        with (
            asked_runs(restore_rds, tmp_path, damaged, archive) as runs,
            aws(tmp_path / "moto") as url,
            new_rds_shop((damaged, restored), service, url, monkeypatch, str(archive), by_prefect=True) as shop,
        ):
            yield shop, runs


def test_a_run_waits_for_a_person_and_then_restores_once(place: tuple[RdsShop, AskedRuns]) -> None:
    """Nothing is made before the yes; after it the restored instance has the name, and people are told."""
    shop, runs = place
    shop.client.create_db_instance(
        DBInstanceIdentifier="shop", DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        MasterUsername="master", MasterUserPassword="of-the-lab-alone", BackupRetentionPeriod=7,
    )  # fmt: skip
    assert shop.gate().proved
    shop.sql("INSERT INTO orders (amount) VALUES (7)")
    shop.replay()
    assert rehearse("shop", "v1.2.0", "every total is 0").startswith("shop goes back to ")

    launched = start_restore("shop", "v1.2.0", "every total is 0")
    assert runs.go_on(launched.run_id) == "PAUSED"
    assert sorted(shop.instances()) == ["shop"]

    runs.answer(launched.run_id, restore=True)
    assert runs.go_on(launched.run_id) == "COMPLETED"

    assert sorted(shop.instances()) == ["shop", "shop-damaged-v1-2-0"]
    told = runs.messages()
    assert f"shop: take shop back to {shop.point().name}?" in told
    assert any(each.startswith("the database of shop is back at ") for each in told)
    artifact = runs.api.get("artifacts/restored-database-shop-v1-2-0/latest").raise_for_status().json()
    assert "kept in `shop-damaged-v1-2-0`, closed at" in artifact["data"]
