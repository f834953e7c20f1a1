"""One connection to PostgreSQL, and what its failures mean. Vendor types do not leave this file."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import Conninfo

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from tasks.settings import read_settings

GRANTS = "see the grants in docs/runbooks/prepare_release.md"
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

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of the block together, or none of them."""
        with self._connection.transaction():
            yield


@contextmanager
def session(database: Database, overriding: Mapping[str, str] | None = None) -> Iterator[Session]:
    """Connect to the database of the catalogue, or to a copy that `overriding` leads to.

    Raises Refused when it does not let us in or does not allow it, Unavailable when it does not answer. No message
    holds the password.
    """
    keywords = {keyword: value for keyword, _, value in _options(database)}
    if overriding:  # a copy has the names of the original, and none of its passwords, certificates or addresses
        keywords = {key: keywords[key] for key in ("user", "dbname") if key in keywords} | dict(overriding)
    settings = {"application_name": "ripcord gate", "connect_timeout": int(read_settings().request_timeout) or 1}
    try:
        with psycopg.connect("", **{**settings, **keywords}, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute("SET TIME ZONE 'UTC'")
            yield Session(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(f"the database of {database.url_variable} does not allow it: {_short(error)}; {GRANTS}") from None
    except psycopg.OperationalError as error:
        said = _short(error)
        if any(sign in said for sign in _REFUSALS):
            raise Refused(
                f"the database does not let us in: {said}; check the name and password in {database.url_variable}"
            ) from None
        raise Unavailable(f"the database of {database.url_variable} did not answer: {said}") from None
    except psycopg.Error as error:
        raise Refused(f"the database of {database.url_variable} does not take it: {_short(error)}") from None


def environment(database: Database) -> dict[str, str]:
    """The conninfo as libpq's programs read it: by variables, so that no secret is in their arguments."""
    return {variable: value for _, variable, value in _options(database) if variable} | {"PGCONNECT_TIMEOUT": "10"}


def _options(database: Database) -> list[tuple[str, str, str]]:
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
