"""A restore on RDS as a run on a real Prefect server: suspended for a person, answered, gone on with, told."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
import yaml
from prefect import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.states import Pending

from deployments.restoring import rehearse, start_restore
from flows.restore_rds import restore_rds
from infra.lab.aws import aws
from infra.lab.postgres import postgres
from infra.lab.prefect import prefect_server
from recovery.catalog import Service
from tests.integration.rds_shop import REGION, SMOKE, URL, RdsShop, give_password, new_rds_shop


@dataclass
class Place:
    """The shop, the API of Prefect, and where messages are kept."""

    shop: RdsShop
    api: httpx.Client
    archive: Path

    def go_on(self, run_id: str) -> str:
        """Execute a run as a worker does, in this process; returns the type of the state in which it then is."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), Pending())
            run = client.read_flow_run(UUID(run_id))
        with suppress(Pause):
            run_flow(restore_rds, flow_run=run, return_type="state")
        return str(self.api.get(f"flow_runs/{run_id}").json()["state"]["type"])

    def messages(self) -> list[str]:
        """The titles of what was told."""
        return sorted(json.loads(path.read_text())["title"] for path in self.archive.glob("messages/*.json"))


@pytest.fixture(name="place")
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    entry = {"name": "shop", "namespace": "acme", "repository": "acme/shop"}
    entry |= {"rds": {"instance": "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]}}  # type: ignore[dict-item]
    (tmp_path / "services.yaml").write_text(yaml.safe_dump({"services": [entry]}))
    for name in ("first", "second", "moto"):
        (tmp_path / name).mkdir()
    with postgres(tmp_path / "first") as damaged, postgres(tmp_path / "second") as restored:
        with psycopg.connect(damaged.dsn()) as connection:
            if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone():
                pytest.skip("Prefect's server needs the extension pg_trgm, which this PostgreSQL has not")
        give_password(restored, damaged.password)
        monkeypatch.setenv("RIPCORD_CATALOGUE", str(tmp_path / "services.yaml"))
        monkeypatch.setenv("RIPCORD_LOCK_URL", restored.dsn())
        archive = tmp_path / "archive"
        with (
            prefect_server(tmp_path / "prefect", damaged) as prefect,
            prefect.client() as api,
            aws(tmp_path / "moto") as url,
            new_rds_shop(
                (damaged, restored), Service.model_validate(entry), url, monkeypatch, str(archive), by_prefect=True
            ) as shop,
        ):
            flow = api.post("flows/", json={"name": "restore_rds"}).json()["id"]
            api.post("deployments/", json={"name": "restore_rds", "flow_id": flow}).raise_for_status()
            known = {
                PREFECT_API_URL: prefect.api_url,
                PREFECT_API_AUTH_STRING: prefect.credential,
                PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
                PREFECT_LOGGING_TO_API_ENABLED: False,  # else the process waits at its end for a server that is gone
            }
            with temporary_settings(known):
                yield Place(shop, api, archive)


def test_a_run_waits_for_a_person_and_then_restores_once(place: Place) -> None:
    """Nothing is made before the yes; after it the restored instance has the name, and people are told."""
    shop = place.shop
    shop.client.create_db_instance(
        DBInstanceIdentifier="shop", DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        MasterUsername="master", MasterUserPassword="of-the-lab-alone", BackupRetentionPeriod=7,
    )  # fmt: skip
    assert shop.gate().proved
    shop.sql("INSERT INTO orders (amount) VALUES (7)")
    shop.replay()
    assert rehearse("shop", "v1.2.0", "every total is 0").startswith("shop goes back to ")

    launched = start_restore("shop", "v1.2.0", "every total is 0")
    assert place.go_on(launched.run_id) == "PAUSED"
    assert sorted(shop.instances()) == ["shop"]

    resume = f"flow_runs/{launched.run_id}/resume"
    said = place.api.post(resume, json={"run_input": {"restore": True}}).raise_for_status().json()
    assert said["status"] == "ACCEPT"
    assert place.go_on(launched.run_id) == "COMPLETED"

    assert sorted(shop.instances()) == ["shop", "shop-damaged-v1-2-0"]
    told = place.messages()
    assert f"shop: take shop back to {shop.point().name}?" in told
    assert any(each.startswith("the database of shop is back at ") for each in told)
    artifact = place.api.get("artifacts/restored-database-shop-v1-2-0/latest").raise_for_status().json()
    assert "kept in `shop-damaged-v1-2-0`, closed at" in artifact["data"]
