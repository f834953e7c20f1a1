"""A fix as a run on a real Prefect server, started from the command line: suspended for a person, answered, resumed."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
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

from deployments.fixing import read_file, rehearse, start_fix
from flows.fix_forward import fix_forward
from infra.lab.postgres import Postgres, postgres
from infra.lab.postgres_home import give
from infra.lab.prefect import PrefectServer, prefect_server
from recovery.errors import Refused
from recovery.fix_scripts import LARGEST, read_script
from tests.integration.mending import TABLES
from tests.integration.way_back import URL, set_environment

LOSSY = "ALTER TABLE carts DROP COLUMN code"


@dataclass
class Place:
    """The server with the shop on it, the API, and where messages are kept."""

    server: Postgres
    api: httpx.Client
    archive: Path

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """What plain SQL says."""
        with psycopg.connect(self.server.dsn("shop"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def go_on(self, run_id: str) -> str:
        """Execute a run as a worker does, in this process; returns the type of the state in which it then is."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), Pending())
            run = client.read_flow_run(UUID(run_id))
        with suppress(Pause):
            run_flow(fix_forward, flow_run=run, return_type="state")
        return str(self.api.get(f"flow_runs/{run_id}").json()["state"]["type"])

    def messages(self) -> list[str]:
        """The titles of what was told."""
        return sorted(json.loads(path.read_text())["title"] for path in self.archive.glob("messages/*.json"))


def _with_prefect(directory: Path, server: Postgres) -> AbstractContextManager[PrefectServer]:
    with psycopg.connect(server.dsn()) as connection:
        if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone():
            pytest.skip("Prefect's server needs the extension pg_trgm, which this PostgreSQL has not")
    return prefect_server(directory / "prefect", server)


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("run")
    with (
        postgres(directory / "postgres", archiving=True) as server,
        _with_prefect(directory, server) as prefect,
        prefect.client() as api,
        pytest.MonkeyPatch.context() as patch,
    ):
        server.create_database("shop")
        backups = server.data.parent / "backups"
        backups.mkdir(mode=0o700)
        give(backups, server.runs_as)
        database = {"url_variable": URL, "backups": str(backups), "archive": str(server.archive)}
        entry = {"name": "shop", "namespace": "acme", "repository": "acme/shop", "database": database}
        (directory / "services.yaml").write_text(yaml.safe_dump({"services": [entry]}))
        set_environment(server, "shop", patch)
        patch.setenv("RIPCORD_CATALOGUE", str(directory / "services.yaml"))
        patch.setenv("RIPCORD_ARCHIVE", str(directory / "archive"))
        patch.setenv("RIPCORD_LOCK_URL", server.dsn())
        flow = api.post("flows/", json={"name": "fix_forward"}).json()["id"]
        api.post("deployments/", json={"name": "fix_forward", "flow_id": flow}).raise_for_status()
        known = {
            PREFECT_API_URL: prefect.api_url,
            PREFECT_API_AUTH_STRING: prefect.credential,
            PREFECT_LOCAL_STORAGE_PATH: directory / "results",
            PREFECT_LOGGING_TO_API_ENABLED: False,  # else the process waits at its end for a server that is gone
        }
        with temporary_settings(known):
            place = Place(server, api, directory / "archive")
            place.sql(TABLES)
            yield place


def test_a_run_waits_for_a_person_and_goes_on_where_it_stopped(place: Place) -> None:
    """Started twice it is one run; an empty answer is no yes; after the yes it is applied, told once, and no more."""
    launched, again = (start_fix("shop", "v1.2.0", LOSSY, "checkout fails") for _ in range(2))
    assert (launched.run_id, launched.fresh, again.fresh) == (again.run_id, True, False)
    resume = f"flow_runs/{launched.run_id}/resume"

    assert place.go_on(launched.run_id) == "PAUSED"
    place.api.post(resume, json={})
    if place.api.get(f"flow_runs/{launched.run_id}").json()["state"]["type"] != "PAUSED":
        assert place.go_on(launched.run_id) == "PAUSED"
    assert place.sql("SELECT count(code), to_regclass('ripcord.fixes') FROM carts") == [(1000, None)]

    said = place.api.post(resume, json={"run_input": {"approve": True}}).raise_for_status().json()
    assert said["status"] == "ACCEPT"
    assert place.go_on(launched.run_id) == "COMPLETED"

    name = read_script(LOSSY).digest[:12]
    assert place.sql("SELECT version FROM ripcord.fixes") == [("v1.2.0",)]
    assert place.sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'carts'::regclass AND attname = 'code'") == [
        (0,)
    ]
    assert place.messages() == [
        f"shop: fix {name} loses data and waits for a person",
        f"the database of shop v1.2.0 is mended by fix {name}",
    ]
    shown = place.api.post("artifacts/latest/filter", json={}).json()
    keys = {each["key"]: each["data"] for each in shown}
    assert "DATA IS LOST" in keys[f"plan-fix-shop-{name}"]
    assert f"fix {name} applied" in keys[f"fix-shop-{name}"]
    parameters = place.api.get(f"flow_runs/{launched.run_id}").json()["parameters"]
    assert place.server.password not in json.dumps([parameters, shown])
    # Another run of the same fix finds the register's row.
    repeat = start_fix("shop", "v1.2.0", LOSSY, "checkout fails", number=2)
    assert place.go_on(repeat.run_id) == "COMPLETED"
    assert place.sql("SELECT count(*) FROM ripcord.fixes") == [(1,)]
    assert len(place.messages()) == 2


def test_a_rehearsal_from_the_command_line_changes_nothing(place: Place, tmp_path: Path) -> None:
    """It runs in this process, and the script comes from a file."""
    path = tmp_path / "fix.sql"
    path.write_bytes(b"\xef\xbb\xbfALTER TABLE carts ADD rehearsed text -- \xc3\xa4")

    said = rehearse("shop", "v1.2.0", read_file(path), "checkout fails")

    assert said.startswith("rehearsed, nothing was changed: 1 statements ran on a clone in ")
    assert place.sql("SELECT count(*) FROM pg_attribute WHERE attname = 'rehearsed'") == [(0,)]


def test_what_is_refused_at_once_never_comes_to_prefect(place: Place, tmp_path: Path) -> None:
    """A password in a script would be stored with the run; so is a file that is none."""
    count = "flow_runs/count"
    before = place.api.post(count, json={}).json()
    with pytest.raises(Refused, match="may hold a password"):
        start_fix("shop", "v1.2.0", "CREATE ROLE x PASSWORD 'secret'", "checkout fails")
    with pytest.raises(Refused, match="no service "):
        start_fix("shop'; DROP TABLE carts; --", "v1.2.0", "SELECT 1", "checkout fails")
    with pytest.raises(Refused, match="cannot be read"):
        read_file(tmp_path / "missing.sql")
    (tmp_path / "latin.sql").write_bytes(b"SELECT '\xe4'")
    with pytest.raises(Refused, match="is not UTF-8"):
        read_file(tmp_path / "latin.sql")
    (tmp_path / "large.sql").write_bytes(b" " * (LARGEST + 100))
    with pytest.raises(Refused, match="are taken: make it several fixes"):
        read_script(read_file(tmp_path / "large.sql"))
    assert place.api.post(count, json={}).json() == before
