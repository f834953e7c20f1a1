"""A run started from the command line and told to its end, on a real Prefect server; plain HTTP plays the run."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)

from deployments import following
from deployments.following import follow_run, start
from infra.lab.postgres import Postgres
from infra.lab.prefect import PrefectServer, prefect_server
from recovery.errors import Refused, Unavailable
from tasks.fence import LostServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="prefect", scope="module")
def _prefect(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[PrefectServer]:
    """A server of this file's own, with the flow deployed: it is killed here."""
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server, server.client() as client:
        flow = client.post("flows/", json={"name": "respond"}).json()["id"]
        client.post("deployments/", json={"name": "respond", "flow_id": flow}).raise_for_status()
        yield server


@pytest.fixture(name="api")
def _api(prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """The server's API, which the command line finds in its settings."""
    monkeypatch.setenv("RIPCORD_CATALOGUE", str(ROOT / "deployments" / "services.yaml"))
    monkeypatch.setattr(following, "POLL_SECONDS", 0.1)
    known = {PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: prefect.credential}
    with temporary_settings(known), prefect.client() as client:
        yield client


def new_run(api: httpx.Client) -> str:
    """A run that goes on until it is told to end."""
    flow = api.post("flows/", json={"name": "respond"}).json()["id"]
    run = api.post("flow_runs/", json={"flow_id": flow, "state": {"type": "RUNNING"}})
    return str(run.raise_for_status().json()["id"])


def take_step(api: httpx.Client, run: str, name: str) -> None:
    """One task of a run, begun and ended."""
    wanted = {"flow_run_id": run, "task_key": name, "dynamic_key": "0", "name": name, "state": {"type": "RUNNING"}}
    step = api.post("task_runs/", json=wanted).raise_for_status().json()["id"]
    end(api, f"task_runs/{step}", "COMPLETED")


def end(api: httpx.Client, what: str, state: str, message: str = "") -> None:
    """End a run or a step of it."""
    wanted = {"state": {"type": state, "message": message}, "force": True}
    api.post(f"{what}/set_state", json=wanted).raise_for_status()


def test_an_incident_is_one_run_however_often_it_is_started(api: httpx.Client) -> None:
    """The second start finds the first one's run; a higher number asks for another on purpose."""
    first, second = (start("shop", "v1.2.0", "checkout fails", 1) for _ in range(2))
    repeat = start("shop", "v1.2.0", "checkout fails", 2)

    assert (first.fresh, second.fresh, repeat.fresh) == (True, False, True)
    assert first.run_id == second.run_id != repeat.run_id
    made = api.get(f"flow_runs/{first.run_id}").json()
    assert (made["name"], made["state_type"]) == ("respond shop v1.2.0", "SCHEDULED")
    assert made["parameters"]["because"]["sentence"] == "checkout fails"
    assert made["parameters"]["because"]["seen_at"]
    assert first.url.endswith(f"/runs/flow-run/{first.run_id}")


@pytest.mark.parametrize(("service", "version"), [("shpo", "v1.2.0"), ("shop", "latest")])
def test_what_is_no_service_or_no_release_is_refused(api: httpx.Client, service: str, version: str) -> None:
    """Before a run is made."""
    before = api.post("flow_runs/count", json={}).json()

    with pytest.raises(Refused):
        start(service, version, "checkout fails", 1)
    assert api.post("flow_runs/count", json={}).json() == before


@pytest.mark.parametrize(("state", "message"), [("COMPLETED", "all is well"), ("FAILED", "the push was refused")])
def test_a_run_is_followed_to_its_end(
    api: httpx.Client, capsys: pytest.CaptureFixture[str], state: str, message: str
) -> None:
    """Each step is told once, in the order in which they ended; the end comes with its message."""
    run = new_run(api)
    take_step(api, run, "undo rollout")

    def go_on() -> None:
        time.sleep(0.5)
        take_step(api, run, "push revert [main]")
        end(api, f"flow_runs/{run}", state, message)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(go_on)
        assert follow_run(run, quiet=False) == (state, message)
        done.result()

    told = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert told == ["undo rollout", "push revert [main]"]


def test_a_crash_is_not_the_end_while_it_may_be_revived(
    api: httpx.Client, database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started again within the time that the monitor takes, it is followed on; left crashed, it has ended so.

    The server's clock is an hour behind.
    """
    revived, left = new_run(api), new_run(api)
    end(api, f"flow_runs/{revived}", "CRASHED", "the Prefect server did not answer")
    with psycopg.connect(database.dsn("prefect"), autocommit=True) as connection:
        earlier = "UPDATE flow_run_state SET timestamp = timestamp - interval '1 hour' WHERE flow_run_id = %s"
        assert connection.execute(earlier, [revived]).rowcount >= 1

    def revive() -> None:
        time.sleep(2.5)
        end(api, f"flow_runs/{revived}", "RUNNING")
        end(api, f"flow_runs/{revived}", "COMPLETED", "all is well")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(revive)
        assert follow_run(revived, quiet=True) == ("COMPLETED", "all is well")
        done.result()

    monkeypatch.setattr(following, "REVIVAL_SECONDS", 1.0)
    end(api, f"flow_runs/{left}", "CRASHED", "the Prefect server did not answer")
    assert follow_run(left, quiet=True) == ("CRASHED", "the Prefect server did not answer")


def test_quiet_tells_no_steps(api: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Machines read standard output."""
    run = new_run(api)
    take_step(api, run, "undo rollout")
    end(api, f"flow_runs/{run}", "COMPLETED")

    assert follow_run(run, quiet=True) == ("COMPLETED", "")
    assert capsys.readouterr().out == ""


def test_a_server_that_is_away_for_a_while_is_waited_for(
    api: httpx.Client, prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed and comes back within our patience."""
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 180.0)  # a busy machine takes its time to start it
    run = new_run(api)

    def die_and_come_back() -> None:
        time.sleep(0.5)
        prefect.process.kill()
        prefect.restart()
        end(api, f"flow_runs/{run}", "COMPLETED", "all is well")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(die_and_come_back)
        assert follow_run(run, quiet=True) == ("COMPLETED", "all is well")
        done.result()


def test_a_server_that_stops_answering_ends_the_waiting_and_not_the_run(
    api: httpx.Client, prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After our patience it is Unavailable, as it is for whoever wants to start a run."""
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 1.0)
    run = new_run(api)
    with ExitStack() as stack:
        prefect.stop()
        stack.callback(prefect.start)

        with pytest.raises(Unavailable, match=r"stopped answering .*; the run goes on"):
            follow_run(run, quiet=True)
        with pytest.raises(Unavailable, match="did not answer"):
            start("shop", "v1.2.0", "checkout fails", 3)

    assert api.get(f"flow_runs/{run}").json()["state_type"] == "RUNNING"


def test_a_server_that_is_lost_in_a_gate_is_unavailable() -> None:
    """The flow that runs in this very process crashed; its caller gets a sentence and an exit code."""
    with (
        pytest.raises(Unavailable, match=r"^the Prefect server did not answer \(refused\): set"),
        following.known_server(),
    ):
        raise LostServer("refused")


def test_without_a_server_the_setting_is_named(api: httpx.Client) -> None:
    """No server of one's own on SQLite is started."""
    with (
        temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}, restore_defaults={PREFECT_API_URL}),
        pytest.raises(Unavailable, match=r"the Prefect server did not answer .*set PREFECT_API_URL"),
    ):
        start("shop", "v1.2.0", "checkout fails", 1)
