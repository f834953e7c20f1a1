"""What libpq says beside sessions: PgBouncer's admin console, and whether a server is there at all."""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg.pq import Conninfo, ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn as Libpq

from recovery.databases import Database, PgBouncer
from recovery.errors import Refused, Unavailable
from tasks.postgres.connection import environment
from tasks.settings import read_settings


class Console:
    """The admin console of a PgBouncer, every command with a deadline: one that hangs must not hold a recovery."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]", variable: str) -> None:
        self._libpq: Libpq = connection.pgconn
        self._variable = variable

    def command(self, text: str) -> list[dict[str, str]]:
        """Run a command; returns its rows by the names of their columns.

        Raises Unavailable when it does not end in time, Refused when PgBouncer does not take it.
        """
        self.send(text)
        rows = self.answer(read_settings().request_timeout)
        if rows is None:
            raise Unavailable(f"the PgBouncer of {self._variable} did not answer {text.split()[0]} in time")
        return rows

    def send(self, text: str) -> None:
        """Send a command that may take long."""
        try:
            self._libpq.send_query(f"{text};".encode())
        except psycopg.OperationalError as error:
            raise self._gone(str(error)) from None

    def answer(self, seconds: float) -> list[dict[str, str]] | None:
        """The answer to what was sent; None when it has not come within so many seconds."""
        deadline = time.monotonic() + seconds
        rows: list[dict[str, str]] = []
        while True:
            while self._libpq.is_busy():
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self._libpq.socket], [], [], left)[0]:
                    return None
                self._consume()
            result = self._libpq.get_result()
            if result is None:
                return rows
            if result.status == ExecStatus.FATAL_ERROR:
                raise self._failure(result.error_message.decode(errors="replace"))
            names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
            for row in range(result.ntuples):
                values = [(result.get_value(row, column) or b"").decode() for column in range(result.nfields)]
                rows.append(dict(zip(names, values, strict=True)))

    def _consume(self) -> None:
        try:
            self._libpq.consume_input()
        except psycopg.OperationalError as error:
            raise self._gone(str(error)) from None

    def _failure(self, said: str) -> Refused | Unavailable:
        if self._libpq.status != ConnStatus.OK:
            return self._gone(said)
        return Refused(f"the PgBouncer of {self._variable} does not take it: {_short(said)}")

    def _gone(self, said: str) -> Unavailable:
        return Unavailable(f"the PgBouncer of {self._variable} did not answer: {_short(said)}")


@contextmanager
def console(pooler: PgBouncer) -> Iterator[Console]:
    """Connect to the admin console. Raises Refused when it does not let us in, Unavailable when it does not answer."""
    variable, timeout = pooler.admin_variable, int(read_settings().request_timeout) or 1
    keywords = {"dbname": "pgbouncer", "connect_timeout": str(timeout), **_keywords(variable)}
    try:
        connection = psycopg.connect("", **keywords, autocommit=True)  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        said = _short(str(error))
        if any(sign in said for sign in ("authentication", "not allowed", "no such user", "password")):
            raise Refused(
                f"PgBouncer does not let us in: {said}; check {variable} and `admin_users` of PgBouncer"
            ) from None
        raise Unavailable(f"the PgBouncer of {variable} did not answer: {said}") from None
    with closing(connection):  # what was not answered is left alone
        yield Console(connection, variable)


def way_of(pooler: PgBouncer) -> dict[str, str]:
    """How PgBouncer's clients connect: as to its admin console, but for who they are and what they want."""
    theirs = ("user", "password", "dbname", "passfile")
    return {key: value for key, value in _keywords(pooler.admin_variable).items() if key not in theirs}


def is_gone(database: Database) -> bool:
    """Answer whether nothing listens at the database's address: every one that its conninfo names refuses.

    Silence is no such answer: what hangs, or is cut off from us alone, may go on committing for others.
    """
    given = environment(database)
    hosts = (given.get("PGHOSTADDR") or given.get("PGHOST") or "localhost").split(",")
    ports = (given.get("PGPORT") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return all(_refuses(host, int(port or 5432)) for host, port in zip(hosts, ports, strict=False))


def _refuses(host: str, port: int) -> bool:
    """Answer whether a connection is refused, as its own host alone does; a directory stands for a socket in it."""
    kind = socket.AF_UNIX if host.startswith("/") else None
    try:
        if kind is None:
            with socket.create_connection((host, port), timeout=read_settings().request_timeout):
                return False
        with socket.socket(kind) as local:
            local.settimeout(read_settings().request_timeout)
            local.connect(f"{host}/.s.PGSQL.{port}")
            return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except OSError:
        return False


def _keywords(variable: str) -> dict[str, str]:
    url = os.environ.get(variable, "")
    if not url:
        raise Refused(f"{variable} is not set: it must hold the conninfo of PgBouncer's admin console")
    try:
        parsed = Conninfo.parse(url.encode())
    except psycopg.Error:
        # What libpq says of it would quote a part of the secret.
        raise Refused(f"{variable} is no conninfo: write postgresql://admin:password@host:6432/pgbouncer") from None
    return {each.keyword.decode(): each.val.decode() for each in parsed if each.val is not None}


def _short(said: str) -> str:
    return " ".join(said.split())[:300]
