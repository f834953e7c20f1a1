"""A restore as somebody does it by hand with PostgreSQL's own programs: the traps are shown on it first."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from infra.lab.process import free_port

SECONDS = 60.0


@dataclass
class Restored:
    """A restored server, or what is left of it."""

    server: Postgres
    data: Path
    log: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")

    def sql(self, statement: str, database: str) -> list[tuple[Any, ...]]:
        """What it answers, with the role and the password that came along in the data."""
        place = f"host=127.0.0.1 port={self.port} dbname={database} user={self.server.user}"
        with psycopg.connect(place, password=self.server.password, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def asks(self, statement: str, wanted: object, database: str = "postgres") -> bool:
        """Wait until it answers this; False when it ended before."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(psycopg.OperationalError):
                if self.sql(statement, database) == [(wanted,)]:
                    return True
            time.sleep(0.05)
        return False

    def opened(self) -> bool:
        """Whether it came to take writes."""
        return self.asks("SELECT pg_is_in_recovery()", False)

    def paused(self) -> bool:
        """Whether it came to wait at its target."""
        return self.asks("SELECT pg_get_wal_replay_pause_state()", "paused")

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(SECONDS)


def as_server(server: Postgres) -> dict[str, Any]:
    """The rights of the server's user, for a program of PostgreSQL's."""
    if server.runs_as is None:
        return {}
    entry = pwd.getpwnam(server.runs_as)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def owned(server: Postgres, path: Path) -> Path:
    """Everything below a path as the server's user's own."""
    for each in (path, *path.rglob("*")):
        give(each, server.runs_as)
    return path


def options(settings: Mapping[str, object]) -> list[str]:
    """Settings as arguments of `postgres`."""
    return [f"--{name}={value}" for name, value in settings.items()]


@contextmanager
def laid_out(server: Postgres, backup: Path) -> Iterator[Path]:
    """A copy of a base backup without WAL or the original's own settings, to be recovered; removed at the end."""
    place = server.data.parent / f"by-hand-{free_port()}"
    data = place / "data"
    try:
        place.mkdir()
        subprocess.run(["cp", "--archive", str(backup), str(data)], check=True)
        shutil.rmtree(data / "pg_wal")
        (data / "pg_wal").mkdir(mode=0o700)
        (data / "recovery.signal").touch()
        (data / "postgresql.auto.conf").write_text("")
        owned(server, place)
        yield data
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def by_hand(server: Postgres, backup: Path, wal: Path, **settings: object) -> Iterator[Restored]:
    """Start a copy of a backup with WAL from a directory and with these settings, as `postgres` itself does it."""
    with laid_out(server, backup) as data, started(server, data, restoring(wal) | settings) as restored:
        yield restored


def restoring(wal: Path) -> dict[str, object]:
    """What every restore by hand says."""
    enough = {"max_connections": 200, "max_prepared_transactions": 5}
    return {"restore_command": f"cp {wal}/%f %p", "archive_mode": "off", "hot_standby": "on", **enough}


@contextmanager
def started(server: Postgres, data: Path, settings: Mapping[str, object]) -> Iterator[Restored]:
    """Run `postgres` on a data directory; killed with all its children at the end."""
    port, log = free_port(), data.parent / "log"
    own = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    quiet = {"dynamic_shared_memory_type": "mmap", "shared_buffers": "16MB", "log_timezone": "UTC"}
    argv: Sequence[str] = [str(server.binaries / "postgres"), "-D", str(data), *options({**own, **quiet, **settings})]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=data.parent, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=plain(), **as_server(server)
        )
    try:
        yield Restored(server, data, log, port, process)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGQUIT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def plain() -> dict[str, str]:
    """An environment that says nothing of this machine."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
