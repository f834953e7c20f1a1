"""A run that failed of nothing but Prefect's server is revived, and no person is woken; HTTP is the witness."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.logging import disable_run_logger
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)

from flows.monitor import raise_the_dead
from infra.lab.postgres import Postgres
from infra.lab.prefect import PrefectServer, prefect_server
from recovery.revivals import ATTEMPTS

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="prefect", scope="module")
def _prefect(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server, server.client() as client:
        client.post("work_pools/", json={"name": "lost", "type": "process"}).raise_for_status()
        yield server


def fails_of(prefect: PrefectServer, what: str, archive: Path) -> list[str]:
    """Run the flow in a process of its own, as a worker does; the types of all states that the run had."""
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
        states = api.get("flow_run_states/", params={"flow_run_id": run_id}).raise_for_status().json()
        return [state["type"] for state in sorted(states, key=lambda each: str(each["timestamp"]))]


def told(archive: Path) -> list[str]:
    """What people were told."""
    return sorted(path.read_text() for path in archive.glob("messages/*"))


def test_a_run_that_lost_its_server_crashes(prefect: PrefectServer, tmp_path: Path) -> None:
    """Crashed is what the monitor revives; it was never Failed, which whoever follows it takes for the end."""
    assert fails_of(prefect, "server", tmp_path)[-2:] == ["RUNNING", "CRASHED"]
    assert told(tmp_path) == []


@pytest.mark.parametrize("what", ["other system", "refusal"])
def test_any_other_failure_wakes_a_person(prefect: PrefectServer, tmp_path: Path, what: str) -> None:
    """It stays failed, and somebody is told which run it is."""
    assert fails_of(prefect, what, tmp_path)[-2:] == ["RUNNING", "FAILED"]
    [message] = told(tmp_path)
    assert "failing shop v1.2.0 needs a person" in message


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_the_dead_are_revived_and_one_that_died_too_often_wakes_a_person(
    prefect: PrefectServer, database: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that crashed once is due again; one that crashed five times is Failed once people were told."""
    monkeypatch.setenv("RIPCORD_ARCHIVE", str(tmp_path))
    monkeypatch.setenv("RIPCORD_LOCK_URL", database.dsn("postgres"))
    known = {
        PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: prefect.credential,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    }  # fmt: skip
    with prefect.client() as api, temporary_settings(known), disable_run_logger():
        once, often = crashed(api, "once", 1), crashed(api, "often", ATTEMPTS)

        def states() -> list[str]:
            return [api.get(f"flow_runs/{run}").raise_for_status().json()["state_type"] for run in (once, often)]

        with monkeypatch.context() as unheard:
            unheard.setenv("RIPCORD_NOTIFY_URLS", "json://127.0.0.1:1")
            raise_the_dead()
        assert states() == ["SCHEDULED", "CRASHED"]
        for _ in range(2):
            raise_the_dead()
        assert states() == ["SCHEDULED", "FAILED"]

    [message] = told(tmp_path)
    assert "respond often needs a person" in message
    assert "died 5 times" in message


def crashed(api: httpx.Client, name: str, times: int) -> str:
    """A recovery's run that began and crashed so many times."""
    flow = api.post("flows/", json={"name": "respond"}).json()["id"]
    body = {"name": name, "flow_id": flow, "work_pool_name": "lost"}
    deployment = api.post("deployments/", json=body).raise_for_status().json()["id"]
    run = api.post(f"deployments/{deployment}/create_flow_run", json={"name": f"respond {name}"}).json()["id"]
    for state in ("RUNNING", "CRASHED") * times:
        wanted = {"state": {"type": state}, "force": True}
        api.post(f"flow_runs/{run}/set_state", json=wanted).raise_for_status()
    return str(run)
