"""A run that failed of nothing but Prefect's server is revived, and no person is woken; HTTP is the witness."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.postgres import Postgres
from infra.lab.prefect import PrefectServer, prefect_server

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="prefect", scope="module")
def _prefect(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server, server.client() as client:
        client.post("work_pools/", json={"name": "lost", "type": "process"}).raise_for_status()
        yield server


def fails_of(prefect: PrefectServer, what: str, archive: Path) -> str:
    """Run the flow in a process of its own, as a worker does; the state type of the run when it is over."""
    with prefect.client() as api:
        flow = api.post("flows/", json={"name": "failing"}).json()["id"]
        entrypoint = "tests.integration.failing_flow.failing"
        deployment = api.post(
            "deployments/",
            json={"name": what, "flow_id": flow, "entrypoint": entrypoint, "work_pool_name": "lost"},
        ).raise_for_status()
        made = api.post(
            f"deployments/{deployment.json()['id']}/create_flow_run",
            json={"parameters": {"service": "shop", "version": "v1.2.0"}},
        )
        run_id = str(made.raise_for_status().json()["id"])
        env = os.environ | prefect.environment | {
            "FAILS_OF": what, "RIPCORD_ARCHIVE": str(archive), "PYTHONPATH": str(ROOT), "PREFECT__FLOW_RUN_ID": run_id,
        }  # fmt: skip
        argv = [sys.executable, "-m", "prefect.engine", run_id]
        subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, check=False, timeout=120)
        return str(api.get(f"flow_runs/{run_id}").raise_for_status().json()["state_type"])


def told(archive: Path) -> list[str]:
    """What people were told."""
    return sorted(path.read_text() for path in archive.glob("messages/*"))


def test_a_run_that_lost_its_server_counts_as_crashed(prefect: PrefectServer, tmp_path: Path) -> None:
    """Crashed is what the monitor revives."""
    assert fails_of(prefect, "server", tmp_path) == "CRASHED"
    assert told(tmp_path) == []


def test_any_other_failure_wakes_a_person(prefect: PrefectServer, tmp_path: Path) -> None:
    """It stays failed, and somebody is told which run it is."""
    assert fails_of(prefect, "refusal", tmp_path) == "FAILED"
    [message] = told(tmp_path)
    assert "failing shop v1.2.0 needs a person" in message
