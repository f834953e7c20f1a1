"""Hold the clients back in PgBouncer, and lead them to another server.

PgBouncer holds a client that is between two transactions without an error, so a change of servers is a pause and no
outage. Its databases stand in a file of ours; what it really does its admin console says, and that counts.
Source: https://www.pgbouncer.org/usage.html, "Process controlling commands".
"""

import os
import tempfile
import time
from pathlib import Path

from prefect import task

from recovery.databases import Database, PgBouncer
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.routes import Route, read_line, reroute
from recovery.sides import restore_of
from tasks.postgres.consoles import Console, console
from tasks.retry import LOOKING_AGAIN, spoken

PAUSE_SECONDS = 10.0  # what a transaction under way gets to end by itself; PgBouncer lets nobody wait beyond 120 s
STILL_SECONDS = 10.0
POLL_SECONDS = 0.05


@task(name="read pooler", **LOOKING_AGAIN)
def read_pooler(database: Database) -> Route:
    """Where PgBouncer leads the clients of the alias.

    Raises Refused when it could not be led elsewhere: the alias is not there, the file is not the one it reads, or we
    may not write it. Unavailable when PgBouncer does not answer.
    """
    pooler = pooler_of(database)
    route = look(pooler)
    written = read_line(_read(pooler), pooler.alias)
    restore = restore_of(database)
    if written is None or written not in ((route.host, route.port), (restore.host, restore.port)):
        shown = f"{written[0]}:{written[1]}" if written else "nothing"
        raise Refused(
            f"{pooler.databases_file} leads {pooler.alias} to {shown} and PgBouncer to {route}: name the file that its "
            "%include takes in, and RELOAD it"
        )
    if not os.access(Path(pooler.databases_file).parent, os.W_OK):
        raise Refused(f"{pooler.databases_file} cannot be replaced by us: let ripcord's user write its directory")
    return route


@task(name="pause clients", **LOOKING_AGAIN)
@spoken
def pause_clients(database: Database) -> str:
    """Have PgBouncer hold back the clients of the alias.

    Who is in a transaction gets PAUSE_SECONDS to end it; who has not ended it by then is cut off by the fence that
    follows, and `wait_until_still` sees to it. Raises Unavailable when PgBouncer does not answer.
    """
    pooler, route = pooler_of(database), look(pooler_of(database))
    if _is_led(database, route):
        return f"skipped: the clients of {pooler.alias} are led to {route} already"
    if route.paused:
        return f"skipped: the clients of {pooler.alias} are held back already"
    with console(pooler) as admin:
        admin.send(f"PAUSE {pooler.alias}")
        if admin.answer(PAUSE_SECONDS) is None:
            busy = f"those whose transaction takes longer than {PAUSE_SECONDS:g} s"
            return f"the clients of {pooler.alias} are held back, but for {busy}"
    return f"the clients of {pooler.alias} are held back, none is in a transaction"


@task(name="wait until still", **LOOKING_AGAIN)
@spoken
def wait_until_still(database: Database) -> str:
    """Wait until PgBouncer has no connection to the server any more; cut its clients off when that takes too long.

    Raises Unavailable when there are connections still, or when the clients are not held back after all.
    """
    pooler, route = pooler_of(database), look(pooler_of(database))
    if _is_led(database, route):
        return f"skipped: the clients of {pooler.alias} are led to {route} already"
    with console(pooler) as admin:
        if _wait_until_empty(admin, pooler.alias):
            return f"no client of {pooler.alias} is connected to the server"
        admin.command(f"KILL {pooler.alias}")
        if _wait_until_empty(admin, pooler.alias):
            return f"cut off the clients of {pooler.alias}, whose sessions did not end"
    raise Unavailable(f"PgBouncer still has connections of {pooler.alias} to the server: look at SHOW SERVERS")


@task(name="lead clients", **LOOKING_AGAIN)
@spoken
def lead_clients(database: Database) -> str:
    """Lead the clients of the alias to the restored server and let them go; read back what PgBouncer does.

    Raises Incomplete when it does not do it: the restored server takes writes by now, so there is only forward.
    """
    pooler, restore = pooler_of(database), restore_of(database)
    route = look(pooler)
    if route.leads_to(restore.host, restore.port) and not route.paused:
        return f"skipped: PgBouncer leads {pooler.alias} to {route} already"
    text = _read(pooler)
    led = reroute(text, pooler.alias, restore.host, restore.port)
    if led != text:
        _replace(Path(pooler.databases_file), led)
    with console(pooler) as admin:
        if not _is_led(database, route):
            admin.command("RELOAD")
            _assert_led(look(pooler), pooler, restore.host, restore.port)
        if not route.paused:  # it was restarted meanwhile, and may hold what a client has opened since
            admin.command(f"RECONNECT {pooler.alias}")
    _resume(pooler)
    now = look(pooler)
    _assert_led(now, pooler, restore.host, restore.port)
    return f"PgBouncer leads {pooler.alias} to {now}, and lets the clients go"


def let_clients_go(database: Database) -> str:
    """Undo a pause, on the way that the clients were on; says what was done."""
    pooler = pooler_of(database)
    return f"let the clients of {pooler.alias} go again" if _resume(pooler) else "skipped: no client was held back"


def pooler_of(database: Database) -> PgBouncer:
    """The PgBouncer of a database. Raises Refused when it has none."""
    pooler = restore_of(database).pgbouncer
    if pooler is None:
        raise Refused("the catalogue names no `pgbouncer` of this database")
    return pooler


def look(pooler: PgBouncer) -> Route:
    """What SHOW DATABASES says of the alias."""
    with console(pooler) as admin:
        return _shown(admin, pooler.alias)


def _shown(admin: Console, alias: str) -> Route:
    row = _row(admin, alias)
    mode = row.get("pool_mode") or _setting(admin, "pool_mode")
    return Route("PgBouncer", row["host"], int(row["port"]), row["paused"] == "1", mode == "session")


def _row(admin: Console, alias: str) -> dict[str, str]:
    row = next((each for each in admin.command("SHOW DATABASES") if each["name"] == alias), None)
    if row is None:
        raise Refused(f"PgBouncer has no database {alias}: name it as it stands in its [databases] section")
    return row


def _setting(admin: Console, key: str) -> str:
    return next((each["value"] for each in admin.command("SHOW CONFIG") if each["key"] == key), "")


def _wait_until_empty(admin: Console, alias: str) -> bool:
    deadline = time.monotonic() + STILL_SECONDS
    while True:
        row = _row(admin, alias)
        if row["paused"] != "1":
            raise Unavailable(f"PgBouncer does not hold back the clients of {alias} any more: was it restarted?")
        if int(row["current_connections"]) == 0:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)


def _resume(pooler: PgBouncer) -> bool:
    with console(pooler) as admin:
        if not _shown(admin, pooler.alias).paused:
            return False
        admin.command(f"RESUME {pooler.alias}")
        return True


def _is_led(database: Database, route: Route) -> bool:
    restore = restore_of(database)
    return route.leads_to(restore.host, restore.port)


def _assert_led(route: Route, pooler: PgBouncer, host: str, port: int) -> None:
    if not route.leads_to(host, port):
        raise Incomplete(
            f"{pooler.databases_file} leads {pooler.alias} to {host}:{port} and PgBouncer still to {route}: see that "
            "its %include takes in that file, then run this again"
        )


def _read(pooler: PgBouncer) -> str:
    try:
        return Path(pooler.databases_file).read_text()
    except OSError as error:
        raise Refused(f"{pooler.databases_file} cannot be read: {error.strerror}; name PgBouncer's %include") from None


def _replace(path: Path, text: str) -> None:
    """Another file under the same name, with its owner and rights: PgBouncer must be able to read it."""
    was = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), was.st_mode & 0o777)
            if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise Unavailable(f"{path} cannot be replaced: {error.strerror}; make room there") from None
