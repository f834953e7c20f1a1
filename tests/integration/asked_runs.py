"""A flow that asks a person, as a run on a real Prefect server: suspended, answered, gone on with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from prefect import Flow, get_client
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

from infra.lab.postgres import Postgres
from infra.lab.prefect import prefect_server


@dataclass
class AskedRuns:
    """The flow, the API of Prefect, and where messages are kept."""

    flow: Flow[..., Any]
    api: httpx.Client
    archive: Path

    def go_on(self, run_id: str) -> str:
        """Execute a run as a worker does, in this process; returns the type of the state in which it then is."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), Pending())
            run = client.read_flow_run(UUID(run_id))
        with suppress(Pause):
            run_flow(self.flow, flow_run=run, return_type="state")
        return str(self.api.get(f"flow_runs/{run_id}").json()["state"]["type"])

    def why(self, run_id: str) -> str:
        """What the state of a run says."""
        return str(self.api.get(f"flow_runs/{run_id}").json()["state"]["message"])

    def answer(self, run_id: str, **form: bool | str) -> None:
        """Fill in the form of a suspended run, as a person does."""
        said = self.api.post(f"flow_runs/{run_id}/resume", json={"run_input": form}).raise_for_status().json()
        assert said["status"] == "ACCEPT"

    def messages(self) -> list[str]:
        """The titles of what was told."""
        return sorted(json.loads(path.read_text())["title"] for path in self.archive.glob("messages/*.json"))


def need_trigrams(database: Postgres) -> None:
    """Skip the test where Prefect's server cannot run on this PostgreSQL."""
    with psycopg.connect(database.dsn()) as connection:
        if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone():
            pytest.skip("Prefect's server needs the extension pg_trgm, which this PostgreSQL has not")


@contextmanager
def asked_runs(flow: Flow[..., Any], directory: Path, database: Postgres, archive: Path) -> Iterator[AskedRuns]:
    """A Prefect server on which a flow is deployed, for the time of the block."""
    with prefect_server(directory / "prefect", database) as prefect, prefect.client() as api:
        made = api.post("flows/", json={"name": flow.name}).json()["id"]
        api.post("deployments/", json={"name": flow.name, "flow_id": made}).raise_for_status()
        known = {
            PREFECT_API_URL: prefect.api_url,
            PREFECT_API_AUTH_STRING: prefect.credential,
            PREFECT_LOCAL_STORAGE_PATH: directory / "results",
            PREFECT_LOGGING_TO_API_ENABLED: False,  # else the process waits at its end for a server that is gone
        }
        with temporary_settings(known):
            yield AskedRuns(flow, api, archive)
