"""A Prefect server on PostgreSQL, and workers for it."""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg

from infra.lab.postgres import Postgres
from infra.lab.process import LabError, Process, free_port, run, wait_until
from infra.lab.restart import Restartable

DATABASE = "prefect"
CREDENTIAL_FILE = "prefect.credential"
# Importing the server alone takes 8 s of CPU time; on a busy machine that is half a minute.
READY_SECONDS = 120.0
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # A client that misses the server must say so, and not start one of its own on SQLite.
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_COLORS": "false",
    "PREFECT_CLI_PROMPT": "false",
}


class PrefectServer(Restartable):
    """A running Prefect server. Its UI asks for a password: that is `credential`, as a whole."""

    def __init__(self, directory: Path, postgres: Postgres, port: int, credential: str) -> None:
        super().__init__(self._serve)
        self.port = port
        self.credential = credential
        self.ui_url = f"http://127.0.0.1:{port}"
        self.api_url = f"{self.ui_url}/api"
        self._directory = directory
        self._postgres = postgres

    @property
    def environment(self) -> dict[str, str]:
        """All that a client or a worker needs, to be added to its environment."""
        return {
            **QUIET,
            "PREFECT_HOME": str(self._directory / "prefect-home"),
            # Not in the home of one process: whoever retries a run must find the results of its first attempt.
            "PREFECT_LOCAL_STORAGE_PATH": str(self._directory / "prefect-results"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_API_AUTH_STRING": self.credential,
        }

    def client(self) -> httpx.Client:
        """A plain HTTP client of the API, with the credential."""
        user, _, password = self.credential.partition(":")
        return httpx.Client(base_url=f"{self.api_url}/", auth=(user, password), timeout=30, trust_env=False)

    @contextmanager
    def _serve(self) -> Iterator[Process]:
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        argv += ["--port", str(self.port)]
        environment = _clean_environment() | self._settings()
        with run("prefect", argv, directory=self._directory, env=environment) as process:
            wait_until(self._answers, what="the Prefect server", seconds=READY_SECONDS, process=process, every=0.2)
            yield process

    def _settings(self) -> dict[str, str]:
        url = self._postgres.dsn(DATABASE).replace("postgresql://", "postgresql+asyncpg://")
        return {
            **QUIET,
            "PREFECT_HOME": str(self._directory / "prefect-server-home"),
            "PREFECT_SERVER_API_AUTH_STRING": self.credential,
            # --port alone leaves the pages calling the API on port 4200.
            "PREFECT_SERVER_UI_API_URL": self.api_url,
            # By default the pages are copied into the installed package, which need not be ours to write to.
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(self._directory / "prefect-pages"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": url,
            # The default keeps leases in memory, and a restart then loses who holds a slot.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        }

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/ready", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def prefect_server(directory: Path, postgres: Postgres, *, port: int | None = None) -> Iterator[PrefectServer]:
    """Run a Prefect server on its own database of `postgres`; its log is `<directory>/prefect.log`.

    Entered again with the same directory, database and `port`, it is the same server to its clients: the
    credential is kept in the directory, readable by us alone.

    Raises LabError when it does not answer in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if not _exists(postgres):
        postgres.create_database(DATABASE)
    server = PrefectServer(directory, postgres, port or free_port(), _credential(directory / CREDENTIAL_FILE))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def worker(
    directory: Path,
    server: PrefectServer,
    pool: str,
    env: Mapping[str, str] | None = None,
    *,
    name: str = "worker",
    query_seconds: float = 1.0,
    prefetch_seconds: int | None = None,
    at_once: int | None = None,
    cwd: Path | None = None,
) -> Iterator[Process]:
    """Run a process worker that has said hello to the server; its log is `<directory>/<name>.log`.

    A negative `prefetch_seconds` makes it take only runs that are overdue by as much; it executes `at_once` of them.
    `env` is added to the server's environment.

    Raises LabError when the server does not see it in time.
    """
    argv = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    argv += ["--pool", pool, "--name", name]
    if prefetch_seconds is not None:
        argv.append(f"--prefetch-seconds={prefetch_seconds}")
    if at_once is not None:
        argv.append(f"--limit={at_once}")
    # A worker keeps code in <temporary>/runner_storage, and fails where another user's worker has made that.
    own = {"PREFECT_WORKER_QUERY_SECONDS": str(query_seconds), "TMPDIR": str(_temporary(directory).resolve())}
    environment = _clean_environment() | server.environment | own | dict(env or {})
    with ExitStack() as stack:
        process = stack.enter_context(run(name, argv, directory=directory, env=environment, cwd=cwd))
        client = stack.enter_context(server.client())
        wait_until(
            lambda: _is_online(client, pool, name),
            what=f"the worker {name}",
            seconds=READY_SECONDS,
            process=process,
            every=0.2,
        )
        yield process


def _is_online(client: httpx.Client, pool: str, name: str) -> bool:
    answer = client.post(f"work_pools/{pool}/workers/filter", json={})
    if not answer.is_success:  # the worker makes the pool when there is none
        return False
    return any(seen["name"] == name and seen["status"] == "ONLINE" for seen in answer.json())


def _temporary(directory: Path) -> Path:
    made = directory / "tmp"
    made.mkdir(exist_ok=True)
    return made


def _clean_environment() -> dict[str, str]:
    """Our environment without the Prefect settings of whoever started the lab."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def _exists(postgres: Postgres) -> bool:
    with psycopg.connect(postgres.dsn()) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        return connection.execute(query, (DATABASE,)).fetchone() is not None


def _credential(path: Path) -> str:
    """The credential of this directory's server, made at the first start.

    Raises LabError when the file cannot be written.
    """
    try:
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(f"ripcord:{secrets.token_urlsafe(18)}")
        return path.read_text()
    except OSError as error:
        raise LabError(f"the Prefect server's credential cannot be kept in {path}: {error}") from error
