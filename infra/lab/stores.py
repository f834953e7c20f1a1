"""The databases of services that have a way back: a PostgreSQL that archives, behind a PgBouncer."""

import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from infra.lab.pgbouncer import PgBouncer, pgbouncer
from infra.lab.postgres import Postgres, postgres
from infra.lab.postgres_home import give
from infra.lab.process import free_port, run, wait_until


@dataclass(frozen=True)
class Stores:
    """A server with a database and a role for each service, and the pooler by which the services reach them."""

    server: Postgres
    pooler: PgBouncer
    place: Path
    """Where sets and restored servers lie, owned by the server's user."""
    ports: dict[str, int]
    """Of each service's restored server."""
    units: ExitStack = field(default_factory=ExitStack)
    """Restored servers that were taken over."""

    def dsn(self, service: str) -> str:
        """The service's own way in, with its password: by the pooler."""
        return self.pooler.dsn(service, service)

    def url_variable(self, service: str) -> str:
        """Name of the variable that holds ripcord's conninfo of a service's database."""
        return f"{_upper(service)}_DATABASE_URL"

    def environment(self) -> dict[str, str]:
        """What ripcord is told of them."""
        urls = {self.url_variable(service): self.server.dsn(service) for service in self.ports}
        return urls | {
            "POOLER_ADMIN_URL": self.pooler.admin_dsn(),
            "RIPCORD_POSTGRES_BIN": str(self.server.binaries),
            "RIPCORD_POSTGRES_USER": self.server.runs_as or "",
        }

    def entry(self, service: str) -> dict[str, object]:
        """The `database` of a service in the catalogue."""
        pooler = {
            "admin_variable": "POOLER_ADMIN_URL",
            "databases_file": str(self.pooler.databases_file),
            "alias": service,
        }
        return {
            "url_variable": self.url_variable(service),
            "backups": str(self.place / service / "sets"),
            "archive": str(self.server.archive),
            "smoke": [{"sql": "SELECT count(*) > 0 FROM products", "equals": "true"}],
            "uncounted": ["public.carts", "public.cart_lines"],  # which customers fill and empty without end
            "restore": {"sides": str(self.place / service / "sides"), "port": self.ports[service], "pgbouncer": pooler},
        }

    def take_over(self, service: str) -> None:
        """Give a restored server a unit of its own, as a team does the next day; its clients wait meanwhile.

        Until then it ends with the process that made it.
        """
        (lock,) = (self.place / service / "sides").glob("*/data/postmaster.pid")
        pid, programs = int(lock.read_text().splitlines()[0]), self.server.binaries
        self.pooler.command(f"PAUSE {service}")
        try:
            os.kill(pid, signal.SIGINT)
            wait_until(lambda: not lock.exists(), what="the restored server's end", seconds=30)
            unit, home = f"postgres-{service}", self.place.parent
            argv: list[str | Path] = [programs / "postgres", "-D", lock.parent]
            self.units.enter_context(run(unit, argv, directory=home, cwd=self.place, user=self.server.runs_as))
            wait_until(lambda: _is_ready(lock), what=f"PostgreSQL of {service}", seconds=60)
        finally:
            self.pooler.command(f"RESUME {service}")


@contextmanager
def stores(directory: Path, services: Sequence[str]) -> Iterator[Stores]:
    """Run them for the time of the block; logs lie in `directory`. Raises LabError when one does not start."""
    with postgres(directory, archiving=True) as server:
        passwords = {service: secrets.token_urlsafe(18) for service in services}
        for service, password in passwords.items():
            _found(server, service, password)
        lines = "\n".join(f"{each} = host=127.0.0.1 port={server.port} dbname={each}" for each in services)
        with pgbouncer(directory / "pooler", lines, passwords) as pooler:
            place = server.data.parent
            for service in services:
                for name in ("", "sets", "sides"):
                    folder = place / service / name
                    folder.mkdir(mode=0o700, exist_ok=True)
                    give(folder, server.runs_as)
            made = Stores(server, pooler, place, {service: free_port() for service in services})
            with made.units:
                yield made


def _is_ready(lock: Path) -> bool:
    """Answer whether a server takes sessions, by the last line of its postmaster.pid, as pg_ctl does (pidfile.h).

    It listens before that, and whoever is let in then is turned away: it is starting up.
    """
    return lock.exists() and lock.read_text().split("\n")[7:8] == ["ready   "]


def _found(server: Postgres, service: str, password: str) -> None:
    """A role that owns its database, and is nothing more."""
    server.create_database(service)
    role = sql.Identifier(service)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(role, role))


def _upper(service: str) -> str:
    return service.upper().replace("-", "_")
