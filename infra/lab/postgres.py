"""A PostgreSQL server of our own: one that the machine has, else the one from PyPI.

Passwords by SCRAM on 127.0.0.1 and no other way in. `fsync` is off: what is written survives the death of
any process, but not of the machine.
"""

import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql

from infra.lab.postgres_home import Home, find_binaries, give, home
from infra.lab.process import LabError, Process, free_port, run, wait_until
from infra.lab.restart import Restartable

OWNER = "ripcord"
READY_SECONDS = 60.0
STOP_SECONDS = 10.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Files in the data directory, so that a killed server leaves nothing in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Restartable):
    """A running PostgreSQL and its superuser."""

    def __init__(self, directory: Path, where: Home, settings: Mapping[str, str]) -> None:
        super().__init__(self._serve)
        self.binaries = where.binaries
        self.data = where.data
        self.port = free_port()
        self.user = OWNER
        self.password = secrets.token_urlsafe(18)
        self.passfile = directory / "postgres.pass"
        """For libpq's programs (PGPASSFILE), so that no password is in their arguments."""
        self._directory = directory
        self._home = where
        self.archive = where.place / "archive"
        """Where finished WAL goes, when the server archives."""
        self.runs_as = where.user
        """Whose rights the server has; None means our own."""
        self.settings = {**SETTINGS, **settings}
        """What stands on its command line at the next start, where nothing overrides it."""

    def dsn(self, database: str = "postgres") -> str:
        """The address of a database with the password in it: never for argv, a log or a message."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        """Make an empty database."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def initialise(self) -> None:
        """Make the data directory and the file of the password.

        Raises LabError with what initdb said.
        """
        _write_private(self.passfile, f"127.0.0.1:*:*:{self.user}:{self.password}\n")
        secret = self._home.place / "password"
        _write_private(secret, self.password)
        give(secret, self._home.user)
        argv = [str(self.binaries / "initdb"), "-D", str(self.data), "-U", self.user, f"--pwfile={secret}"]
        argv += ["--auth-host=scram-sha-256", "--auth-local=reject", "--encoding=UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._home.place,
            user=self._home.user,
            group=self._home.group,
            extra_groups=[] if self._home.user else None,
        )
        secret.unlink()
        if done.returncode != 0:
            raise LabError(f"PostgreSQL's data directory cannot be made: {done.stderr.strip()}")

    @contextmanager
    def _serve(self) -> Iterator[Process]:
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        argv = [str(self.binaries / "postgres"), "-D", str(self.data), f"--port={self.port}", *settings]
        place, user = self._home.place, self._home.user
        with run("postgres", argv, directory=self._directory, cwd=place, user=user) as process:
            wait_until(self._answers, what="PostgreSQL", seconds=READY_SECONDS, process=process)
            yield process
            _shut_down(process)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.dsn(), connect_timeout=2):
            return True
        return False


@contextmanager
def postgres(
    directory: Path,
    *,
    settings: Mapping[str, str] | None = None,
    binaries: Path | None = None,
    archiving: bool = False,
) -> Iterator[Postgres]:
    """Run a PostgreSQL server; its log is `<directory>/postgres.log`.

    `settings` are added to the server's own; `binaries` is a directory of PostgreSQL's programs; with `archiving` every
    finished segment of WAL is copied into the server's `archive`.
    Root's rights are dropped to `postgres` or `nobody`, and the data then lies in the machine's temporary
    directory when that user cannot reach `directory`.

    Raises LabError when there is no PostgreSQL or when it does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with home(directory, binaries or find_binaries()) as where:
        server = Postgres(directory, where, {**(_archiving(where) if archiving else {}), **(settings or {})})
        try:
            server.initialise()
            server.start()
            yield server
        finally:
            server.stop()


def _archiving(where: Home) -> dict[str, str]:
    archive = where.place / "archive"
    archive.mkdir(mode=0o700)
    give(archive, where.user)
    # As PostgreSQL's documentation has it: never over a file that is there, and no half file under the final name.
    there = f"{archive}/%f"
    command = f"test ! -f '{there}' && cp '%p' '{there}.part' && mv '{there}.part' '{there}'"
    return {"archive_mode": "on", "archive_command": command}


def _shut_down(process: Process) -> None:
    """Disconnect everybody and write all down: on SIGTERM it would wait for its clients to leave."""
    process.kill(signal.SIGINT)
    with suppress(LabError):
        wait_until(lambda: not process.running(), what="the shutdown", seconds=STOP_SECONDS)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
