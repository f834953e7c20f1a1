"""A restore on CloudNativePG as a run on a real Prefect server: suspended for a person, answered, gone on with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deployments.restoring import rehearse, start_restore
from flows.restore_cnpg import restore_cnpg
from infra.lab.cnpg import cnpg
from infra.lab.kubernetes import Cluster
from infra.lab.postgres import Postgres
from tests.integration.asked_runs import AskedRuns, asked_runs, need_trigrams
from tests.integration.cnpg_shop import CnpgShop, new_cnpg_shop


@pytest.fixture(name="place")
def _place(
    cluster: Cluster, database: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CnpgShop, AskedRuns]]:
    need_trigrams(database)
    archive = tmp_path / "archive"
    monkeypatch.setenv("RIPCORD_CATALOGUE", str(tmp_path / "services.yaml"))
    monkeypatch.setenv("RIPCORD_LOCK_URL", database.dsn())
    with (
        asked_runs(restore_cnpg, tmp_path, database, archive) as runs,
        cnpg(cluster, tmp_path / "cnpg") as operator,
        new_cnpg_shop(cluster, operator, monkeypatch, str(archive), by_prefect=True) as shop,
    ):
        services = [shop.service.model_dump(mode="json", exclude_unset=True)]
        (tmp_path / "services.yaml").write_text(yaml.safe_dump({"services": services}))
        yield shop, runs


def test_a_run_waits_for_a_person_and_then_restores_once(place: tuple[CnpgShop, AskedRuns]) -> None:
    """Nothing is made before the yes; after it the clients are led to the restored Cluster, and people are told."""
    shop, runs = place
    name = shop.service.name
    shop.spoil()
    assert rehearse(name, "v1.2.0", "every total is 0").startswith(f"{name} goes back to ")

    launched = start_restore(name, "v1.2.0", "every total is 0")
    assert runs.go_on(launched.run_id) == "PAUSED"
    assert [*shop.clusters()] == [shop.name]

    runs.answer(launched.run_id, restore=True)
    assert runs.go_on(launched.run_id) == "COMPLETED"

    assert sorted(shop.clusters()) == sorted([shop.name, shop.restored])
    assert f"{shop.restored}-rw.acme.svc" in shop.led_to()
    told = runs.messages()
    assert f"{name}: take {shop.name} back to {shop.point().name}?" in told
    assert any(each.startswith(f"the database of {name} is back at ") for each in told)
    artifact = runs.api.get(f"artifacts/restored-database-{name}-v1-2-0/latest").raise_for_status().json()
    assert f"kept in `{shop.name}`, fenced at" in artifact["data"]
