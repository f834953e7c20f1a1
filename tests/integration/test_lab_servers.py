"""The lab's PostgreSQL and Prefect are real servers that are locked, die, come back and leave."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from infra.lab.postgres import Postgres, postgres
from infra.lab.postgres_home import find_binaries, packaged_binaries
from infra.lab.prefect import PrefectServer, prefect_server, worker
from infra.lab.process import wait_until
from tests.integration.kernel import children, cmdline, listening

ROOT = Path(__file__).parents[2]
OVERDUE_SECONDS = 5


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[PrefectServer]:
    """One Prefect server for this file."""
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server:
        yield server


@pytest.mark.parametrize("binaries", [find_binaries, packaged_binaries], ids=["found", "packaged"])
def test_postgres_keeps_what_was_committed_when_it_is_killed(tmp_path: Path, binaries: object) -> None:
    """Killed in the middle and started again on the same port, a PostgreSQL of either kind has every row."""
    assert callable(binaries)
    with postgres(tmp_path, binaries=binaries()) as server:
        server.create_database("shop")
        psql(server, "shop", "CREATE TABLE orders (id int); INSERT INTO orders VALUES (7)")
        port, first = server.port, server.process
        first.kill()
        server.restart()

        assert psql(server, "shop", "SELECT id FROM orders") == "7"
        assert server.port == port
        assert server.process.pid != first.pid
        data = server.data
    assert f"127.0.0.1:{port}" not in listening()
    assert data.is_relative_to(tmp_path) or not data.exists()


def test_postgres_lets_nobody_in_without_the_password(database: Postgres) -> None:
    """A wrong password, no password and the Unix socket all lead nowhere, and nobody else can read the right one."""
    for dsn in (
        database.dsn().replace(database.password, "guess"),
        database.dsn().replace(f":{database.password}", ""),
    ):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(dsn, passfile=os.devnull)
    assert psql(database, "postgres", "SHOW unix_socket_directories") == ""
    assert psql(database, "postgres", "SHOW password_encryption") == "scram-sha-256"
    assert database.passfile.stat().st_mode & 0o777 == 0o600
    assert database.password not in cmdline(database.process.pid)


def test_postgres_never_runs_as_root(database: Postgres) -> None:
    """The server has the rights of an ordinary user, whoever starts it."""
    status = Path(f"/proc/{database.process.pid}/status").read_text()
    [uids] = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]

    assert "0" not in uids


def test_prefect_answers_nobody_without_the_credential(prefect: PrefectServer) -> None:
    """The API wants the credential, the page that asks for it is open and calls this very server."""
    settings = httpx.get(f"{prefect.ui_url}/ui-settings", trust_env=False).json()
    page = httpx.get(prefect.ui_url, follow_redirects=True, trust_env=False)
    stranger = httpx.get(f"{prefect.api_url}/admin/version", trust_env=False)

    assert (settings["api_url"], settings["auth"]) == (prefect.api_url, "BASIC")
    assert page.headers["content-type"].startswith("text/html")
    assert stranger.status_code == 401
    with prefect.client() as client:
        assert client.get("admin/version").json() == "3.8.8"
    assert prefect.credential.partition(":")[2] not in cmdline(prefect.process.pid)


def test_prefect_knows_its_runs_after_it_was_killed(prefect: PrefectServer, database: Postgres) -> None:
    """A flow run that was created before kill -9 is read from the restarted server, and lies in PostgreSQL."""
    with prefect.client() as client:
        flow = client.post("flows/", json={"name": "kept"}).json()["id"]
        run = client.post("flow_runs/", json={"flow_id": flow, "name": "respond shop v1.2.0"}).json()["id"]
        prefect.process.kill()
        wait_until(lambda: not prefect.process.running(), what="its death", seconds=10)
        prefect.restart()

        assert client.get(f"flow_runs/{run}").json()["name"] == "respond shop v1.2.0"
    assert psql(database, "prefect", f"SELECT name FROM flow_run WHERE id = '{run}'") == "respond shop v1.2.0"


def test_a_worker_with_a_negative_prefetch_takes_only_overdue_runs(prefect: PrefectServer, tmp_path: Path) -> None:
    """A run becomes the worker's as many seconds after its time as was asked for, and is then executed."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "greet.py").write_text("from prefect import flow\n\n\n@flow\ndef greet() -> None:\n    pass\n")
    with (
        prefect.client() as client,
        worker(tmp_path, prefect, "late", query_seconds=0.5, prefetch_seconds=-OVERDUE_SECONDS),
    ):
        flow = client.post("flows/", json={"name": "greet"}).json()["id"]
        wanted = {"name": "late", "flow_id": flow, "work_pool_name": "late", "entrypoint": "greet.py:greet"}
        deployment = client.post("deployments/", json=wanted | {"path": str(code)}).json()["id"]
        due = datetime.now(UTC) + timedelta(seconds=1)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
        run = client.post(f"deployments/{deployment}/create_flow_run", json={"state": state}).json()["id"]
        wait_until(
            lambda: client.get(f"flow_runs/{run}").json()["state"]["type"] == "COMPLETED",
            what="the run",
            seconds=120,
            every=0.5,
        )
        history = client.get("flow_run_states/", params={"flow_run_id": run}).json()

    taken = min(datetime.fromisoformat(each["timestamp"]) for each in history if each["type"] == "PENDING")
    # The worker cuts fractions off, and looks twice a second.
    assert OVERDUE_SECONDS - 1 <= (taken - due).total_seconds() <= OVERDUE_SECONDS + 10


def test_both_listen_on_this_machine_only(prefect: PrefectServer, database: Postgres) -> None:
    """No port of PostgreSQL or Prefect is open to another machine."""
    for server in (prefect, database):
        assert listening(server.process.pid) == {f"127.0.0.1:{server.port}"}


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    """kill -9 of the process that runs all four servers ends them with their children; the next lab takes the data."""
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from infra.lab.alertmanager import alertmanager; from infra.lab.postgres import postgres\n"
        "from infra.lab.prefect import prefect_server; from infra.lab.prometheus import prometheus\n"
        "place = Path(sys.argv[1])\n"
        "with postgres(place) as a, prefect_server(place, a) as b, prometheus(place, {}, None) as c:\n"
        "    with alertmanager(place, 'http://127.0.0.1:9', 'x') as d:\n"
        "        pids = [s.process.pid for s in (a, b, c, d)] + [s.process.leash.pid for s in (a, b, c, d)]\n"
        "        print(a.data, *pids, flush=True); signal.pause()\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        data, *words = parent.stdout.readline().split()
        pids = [int(word) for word in words]
        everybody = {*pids, *(child for pid in pids for child in children(pid))}
        parent.send_signal(signal.SIGKILL)

    assert len(pids) == 8
    assert len(everybody) > 8, "PostgreSQL has processes of its own"
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everybody), what="the end", seconds=15)
    with postgres(tmp_path / "next"):
        assert Path(data).is_relative_to(tmp_path) or not Path(data).exists()


def psql(server: Postgres, database: str, statement: str) -> str:
    """What psql, the other client, prints for a statement."""
    env = {**os.environ, "PGPASSFILE": str(server.passfile)}
    argv = [str(server.binaries / "psql"), "-XAtq", "-h", "127.0.0.1", "-p", str(server.port)]
    argv += ["-U", server.user, "-d", database, "-c", statement]
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.strip()
