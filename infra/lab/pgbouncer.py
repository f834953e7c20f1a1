"""A PgBouncer of our own, in front of the lab's PostgreSQL.

Passwords by SCRAM on 127.0.0.1 and no other way in. Its databases stand in a file of their own, taken in by
%include, which whoever leads its clients elsewhere rewrites. It refuses to run as root, whose rights are dropped.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from infra.lab.pgbouncer_home import find_pgbouncer, library_path
from infra.lab.postgres_home import Home, give, home
from infra.lab.process import Process, free_port, run, wait_until
from infra.lab.restart import Restartable

ADMIN = "pooler"
READY_SECONDS = 20.0


class PgBouncer(Restartable):
    """A running PgBouncer, and the user of its admin console."""

    def __init__(self, directory: Path, where: Home, users: Mapping[str, str], pool_mode: str, auth_type: str) -> None:
        super().__init__(self._serve)
        self.port = free_port()
        self.admin, self.password = ADMIN, secrets.token_urlsafe(18)
        self.databases_file = where.place / "databases.ini"
        """The [databases] section."""
        self._directory, self._home = directory, where
        self._users = {**users, self.admin: self.password}
        self._pool_mode, self._auth_type = pool_mode, auth_type

    def admin_dsn(self) -> str:
        """The address of the admin console, with its password."""
        return self.dsn("pgbouncer", self.admin)

    def dsn(self, alias: str, user: str) -> str:
        """The address of a database for one of the users, with the password in it."""
        return f"postgresql://{user}:{self._users[user]}@127.0.0.1:{self.port}/{alias}"

    def show(self, what: str) -> list[dict[str, object]]:
        """What the admin console shows, by a connection that is not ours."""
        with psycopg.connect(self.admin_dsn(), autocommit=True, connect_timeout=5) as console:
            cursor = console.execute(f"SHOW {what}".encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def command(self, what: str) -> None:
        """Give the admin console a command, such as `PAUSE shop`."""
        with psycopg.connect(self.admin_dsn(), autocommit=True, connect_timeout=5) as console:
            console.execute(what.encode())

    def configure(self, databases: str) -> None:
        """Write its configuration; `databases` are the lines of that section."""
        place = self._home.place
        users = "".join(f'"{name}" "{password}"\n' for name, password in self._users.items())
        settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "",
            "auth_type": self._auth_type, "auth_file": place / "users.txt", "admin_users": self.admin,
            "pool_mode": self._pool_mode, "max_client_conn": 200, "default_pool_size": 20,
            # What psycopg sends when it connects, and a pooler cannot keep apart.
            "ignore_startup_parameters": "extra_float_digits", "server_login_retry": 1,
        }  # fmt: skip
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        _write(place / "users.txt", users, self._home.user)
        _write(self.databases_file, f"[databases]\n{databases}\n", self._home.user)
        _write(place / "pgbouncer.ini", f"[pgbouncer]\n{lines}%include {self.databases_file}\n", self._home.user)

    @contextmanager
    def _serve(self) -> Iterator[Process]:
        programs, place = self._home.binaries, self._home.place
        libraries = library_path(programs)
        env = dict(os.environ) | ({"LD_LIBRARY_PATH": libraries} if libraries else {})
        argv = [programs / "pgbouncer", place / "pgbouncer.ini"]
        with run("pgbouncer", argv, directory=self._directory, cwd=place, env=env, user=self._home.user) as process:
            wait_until(self._answers, what="PgBouncer", seconds=READY_SECONDS, process=process)
            yield process

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            return bool(self.show("VERSION"))
        return False


@contextmanager
def pgbouncer(
    directory: Path, databases: str, users: Mapping[str, str], *, pool_mode: str = "transaction",
    auth_type: str = "scram-sha-256",
) -> Iterator[PgBouncer]:  # fmt: skip
    """Run a PgBouncer for the time of the block; its log is `<directory>/pgbouncer.log`.

    `databases` are lines such as `shop = host=127.0.0.1 port=5432 dbname=shop`; `users` are those whom it knows, with
    their passwords, which it hands on to the server.

    Raises LabError when there is none to be had or when it does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with home(directory, find_pgbouncer()) as where:
        server = PgBouncer(directory, where, users, pool_mode, auth_type)
        try:
            server.configure(databases)
            server.start()
            yield server
        finally:
            server.stop()


def _write(path: Path, text: str, user: str | None) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    give(path, user)
