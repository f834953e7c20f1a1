"""One connection to PostgreSQL, and what its failures mean. Vendor types do not leave this file."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import Conninfo, Escaping

from recovery.databases import Database, Restore
from recovery.errors import Refused, Unavailable
from recovery.rds_catalog import Reached
from tasks.settings import read_settings

GRANTS = "see the grants in docs/runbooks/prepare_release.md"
WRITING_GRANTS = "see the grants in docs/runbooks/salvage.md"
FETCHED = 5000  # rows that a stream holds in memory
# What one row says against being written: of its data, of a constraint, or of a trigger of the team's own.
_OF_THE_ROW = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.RaiseException,
    psycopg.errors.WithCheckOptionViolation,
    psycopg.errors.GeneratedAlways,
)
_REFUSALS = ("authentication failed", "no pg_hba.conf entry", "does not exist", "permission denied", "no password")


class Session:
    """A connection in which every statement is a transaction of its own, unless in `transaction`."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement, with `%s` for each value, and return its rows."""
        cursor = self._connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: object) -> Any:
        """The one value that a statement returns."""
        return self.rows(statement, *values)[0][0]

    def numbered(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a statement with `$1` for each value: names in it may hold a percent sign."""
        return psycopg.RawCursor(self._connection).execute(statement.encode(), values).fetchall()

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query as they are read, a few thousand in memory at a time; in a transaction."""
        with self._connection.cursor(name="ripcord_stream") as cursor:
            cursor.itersize = FETCHED
            cursor.execute(statement.encode())
            yield from cursor

    def pass_over(self, statement: str) -> None:
        """Run a statement and let its rows go by one at a time: however many there are, none is kept."""
        try:
            for _ in self._connection.cursor().stream(statement.encode()):
                pass
        except psycopg.ProgrammingError as error:
            if error.sqlstate is not None:  # else it is the client's word that there were no rows
                raise

    def load(self, statement: str, blocks: Iterable[bytes]) -> None:
        """Feed a COPY ... FROM STDIN."""
        with self._connection.cursor().copy(statement.encode()) as copy:
            for block in blocks:
                copy.write(block)

    def tried(self, act: Callable[[], object]) -> str | None:
        """Do something wholly or not at all inside a transaction; what PostgreSQL says against a row, or None."""
        try:
            with self._connection.transaction():
                act()
        except _OF_THE_ROW as error:
            return error.diag.message_primary or type(error).__name__
        return None

    def literal(self, text: str) -> str:
        """Text as an SQL literal, quoted by libpq."""
        return Escaping(self._connection.pgconn).escape_literal(text.encode()).decode().strip()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of the block together, or none of them."""
        with self._connection.transaction():
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A block that only reads, and all of it what was at one moment."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield


@contextmanager
def session(database: Reached, overriding: Mapping[str, str] | None = None) -> Iterator[Session]:
    """Connect to the database of the catalogue, or to a copy that `overriding` leads to.

    Raises Refused when it does not let us in or does not allow it, Unavailable when it does not answer. No message
    holds the password.
    """
    keywords = {keyword: value for keyword, _, value in _options(database)}
    if overriding:  # a copy has the names of the original, and none of its passwords, certificates or addresses
        keywords = {key: keywords[key] for key in ("user", "dbname") if key in keywords} | dict(overriding)
    with _connected(database, keywords, f"the database of {database.url_variable}") as connected:
        yield connected


def first_role(asked: Session) -> str:
    """The name of initdb's own role, a superuser whatever the team has called it."""
    return str(asked.value("SELECT rolname FROM pg_roles WHERE oid = 10"))


@contextmanager
def as_first_role(database: Reached, way: Mapping[str, str]) -> Iterator[Session]:
    """A session as initdb's own role, at a server of ours whose socket lets everybody in who reaches it."""
    with session(database, way) as asked:
        first = first_role(asked)
    with session(database, {**way, "user": first}) as asked:
        yield asked


@contextmanager
def restored(database: Reached, address: Mapping[str, str]) -> Iterator[Session]:
    """Connect to the server that was restored beside the damaged one, with the same role and password.

    Raises like `session`.
    """
    keywords = way_at(database, address)
    which = f"the restored server {keywords['host']}:{keywords['port']}"
    with _connected(database, keywords, which, WRITING_GRANTS) as connected:
        yield connected


def way_at(database: Reached, address: Mapping[str, str]) -> dict[str, str]:
    """The conninfo of the catalogue, led to another host and port."""
    return {key: value for key, value in keywords_of(database).items() if key != "hostaddr"} | dict(address)


def led_to(database: Reached, address: Mapping[str, str] | None) -> dict[str, str] | None:
    """The same; without an address it is the conninfo's own way."""
    return way_at(database, address) if address else None


def restored_way(restore: Restore) -> dict[str, str]:
    """Where the restored server answers."""
    return {"host": restore.host, "port": str(restore.port)}


def quoted(*parts: str) -> str:
    """A name of SQL, quoted wherever it needs it."""
    return sql.Identifier(*parts).as_string()


@contextmanager
def _connected(database: Reached, keywords: Mapping[str, str], which: str, grants: str = GRANTS) -> Iterator[Session]:
    settings = {"application_name": "ripcord gate", "connect_timeout": int(read_settings().request_timeout) or 1}
    try:
        with psycopg.connect("", **{**settings, **keywords}, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute("SET TIME ZONE 'UTC'")
            yield Session(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(f"{which} does not allow it: {_short(error)}; {grants}") from None
    except psycopg.OperationalError as error:
        said = _short(error)
        if any(sign in said for sign in _REFUSALS):
            raise Refused(
                f"the database does not let us in: {said}; check the name and password in {database.url_variable}"
            ) from None
        raise Unavailable(f"{which} did not answer: {said}") from None
    except psycopg.Error as error:
        raise Refused(f"{which} does not take it: {_short(error)}") from None


def replicating(database: Database) -> None:
    """See that the role is let in for replication, which pg_basebackup needs and pg_hba.conf allows on its own.

    Raises Refused when it is not, Unavailable when the server does not answer.
    """
    keywords = {**keywords_of(database), "replication": "true", "connect_timeout": "10"}
    try:
        with psycopg.connect("", **keywords, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute("IDENTIFY_SYSTEM")
    except psycopg.OperationalError as error:
        said = _short(error)
        if "starting up" in said or "Connection refused" in said or "timeout" in said:
            raise Unavailable(f"the database of {database.url_variable} did not answer: {said}") from None
        raise Refused(f"the role of {database.url_variable} is not let in for replication: {said}; {GRANTS}") from None


def environment(database: Database, way: Mapping[str, str] | None = None) -> dict[str, str]:
    """The conninfo as libpq's programs read it: by variables, so that no secret is in their arguments.

    `way` leads to a server of ours by its socket: it has the roles of the original, and asks for no password.
    """
    given = {variable: value for _, variable, value in _options(database) if variable} | {"PGCONNECT_TIMEOUT": "10"}
    if way is None:
        return given
    kept = {name: given[name] for name in ("PGUSER", "PGDATABASE", "PGCONNECT_TIMEOUT") if name in given}
    return kept | {"PGHOST": way["host"], "PGPORT": way["port"], "PGSSLMODE": way["sslmode"]}


def keywords_of(database: Reached) -> dict[str, str]:
    """The conninfo by its keywords, password included: for a connection, never for a message."""
    return {keyword: value for keyword, _, value in _options(database)}


def _options(database: Reached) -> list[tuple[str, str, str]]:
    url = os.environ.get(database.url_variable, "")
    if not url:
        raise Refused(f"{database.url_variable} is not set: it must hold the conninfo of the database")
    try:
        parsed = Conninfo.parse(url.encode())
    except psycopg.Error:
        # What libpq says of it would quote a part of the secret.
        raise Refused(f"{database.url_variable} is no conninfo: write postgresql://user:password@host/name") from None
    given = (option for option in parsed if option.val is not None)
    return [
        (option.keyword.decode(), (option.envvar or b"").decode(), (option.val or b"").decode()) for option in given
    ]


def _short(error: BaseException) -> str:
    # psycopg names host and user, never the password; one line is enough for a message.
    return " ".join(str(error).split())[:300]
