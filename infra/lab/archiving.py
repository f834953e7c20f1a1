"""Another archive for one of the lab's PostgreSQL servers, for a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from infra.lab.postgres import Postgres
from infra.lab.process import LabError, wait_until

READY_SECONDS = 20.0


@contextmanager
def archiving_by(server: Postgres, command: str, **settings: str) -> Iterator[None]:
    """Have a server archive by this command for the time of the block, afterwards as it did before.

    When its own is on its command line, where nothing overrides it, the server is restarted once without. It is
    restarted, too, for the `settings` that it is to have meanwhile.

    Raises LabError for a server that does not archive (`archive_mode`).
    """
    before = _show(server)
    if before["archive_mode"][0] != "on":
        raise LabError("a server that does not archive has nothing to be kept: start it with archiving=True")
    own, source = before["archive_command"]
    before_settings = {name: server.settings[name] for name in settings}
    # PostgreSQL takes a setting of its command line before any other.
    fixed = {"archive_command": server.settings.pop("archive_command")} if source == "command line" else {}
    try:
        server.settings.update(settings)
        if fixed or settings:
            server.restart()
        _archive_by(server, command)
        yield
    finally:
        server.settings.update({**before_settings, **fixed})
        with suppress(psycopg.OperationalError, LabError):  # it may be dead
            _archive_by(server, own)


def _archive_by(server: Postgres, command: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER SYSTEM SET archive_command = {}").format(sql.Literal(command)))
        connection.execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: _show(server)["archive_command"][0] == command, what="the archive_command", seconds=READY_SECONDS
    )


def _show(server: Postgres) -> Mapping[str, tuple[str, str]]:
    """How the server archives, and where each setting comes from."""
    with psycopg.connect(server.dsn()) as connection:
        rows = connection.execute("SELECT name, setting, source FROM pg_settings WHERE name LIKE 'archive_%'")
        return {name: (setting, source) for name, setting, source in rows}
