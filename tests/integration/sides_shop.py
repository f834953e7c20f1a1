"""A shop whose catalogue says where restored servers live, customers who write meanwhile, and the servers' ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import TypeAdapter

import flows.prepare_release
from infra.lab.postgres import Postgres
from infra.lab.process import free_port, wait_until
from recovery.databases import Restore, Secret
from recovery.restore_points import RestorePoint
from recovery.sides import Side
from tasks.postgres.building import standing_of
from tasks.postgres.sides import read_side
from tasks.postgres.standing import Standing
from tests.integration.small_disk import ROOT
from tests.integration.way_back import Shop, place_for_sides

RAISE = """
import sys
from pydantic import TypeAdapter
from prefect.logging import disable_run_logger
from recovery.databases import Database
from recovery.restore_points import RestorePoint
from tasks.postgres.sides import raise_side

with disable_run_logger():
    given = (TypeAdapter(Database).validate_json(sys.argv[1]), TypeAdapter(RestorePoint).validate_json(sys.argv[2]))
    print(raise_side.fn(*given))
"""


def postmasters(sides: Path) -> dict[str, int]:
    """Living postmasters of the sides by their data directories, as the kernel's table of processes has them."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (each / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"postgres") and b"-D" in argv and str(sides).encode() in argv[argv.index(b"-D") + 1]:
                found[argv[argv.index(b"-D") + 1].decode()] = int(each.name)
    return found


def kill_server(sides: Path) -> None:
    """Kill -9 the only postmaster of the sides."""
    [pid] = postmasters(sides).values()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not postmasters(sides), what="its end", seconds=20)


@contextmanager
def with_sides(shop: Shop, **words: Any) -> Iterator[Shop]:
    """The shop with a place of its own for restored servers; whatever still runs there is killed at the end."""
    with sides_on(shop.server, **words) as restore:
        yield shop.with_(restore=restore)


@contextmanager
def sides_on(server: Postgres, **words: Any) -> Iterator[Restore]:
    """A catalogue's words of a place for restored servers; whatever still runs there is killed at the end."""
    with place_for_sides(server) as sides:
        try:
            yield Restore(sides=str(sides), port=free_port(), secret=Secret(name="shop"), **words)
        finally:
            for pid in postmasters(sides).values():
                os.kill(pid, signal.SIGQUIT)
            wait_until(lambda: not postmasters(sides), what="the end of all sides", seconds=20)


def sides_of(shop: Shop) -> Path:
    """Where the restored servers live."""
    assert shop.database.restore is not None
    return Path(shop.database.restore.sides)


def side(shop: Shop, version: str = "v1.2.0") -> Side:
    """What is read of the release's side; by what the register says of the point, and the register may be gone."""
    return read_side.fn(shop.database, shop.point(version))


def ask(shop: Shop, statement: str) -> list[tuple[Any, ...]]:
    """What plain SQL says on the side's port, with the password of the original."""
    assert shop.database.restore is not None
    port = shop.database.restore.port
    address = shop.server.dsn(shop.service.name).replace(f":{shop.server.port}/", f":{port}/")
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def as_arguments(shop: Shop, version: str = "v1.2.0") -> list[str]:
    """The database and the point as words of a command line; no secret is among them."""
    point = shop.point(version)
    return [shop.database.model_dump_json(), TypeAdapter(RestorePoint).dump_json(point).decode()]


def in_a_process(shop: Shop, version: str = "v1.2.0") -> "subprocess.Popen[str]":
    """Raise the side in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RAISE, *as_arguments(shop, version)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Customers:
    """Writers who commit rows one by one, and what they know of them."""

    last: int = 0  # acknowledged
    floor: int = 0  # acknowledged before the point was begun
    ceiling: int = 0  # begun before the point was made
    over: threading.Event = field(default_factory=threading.Event)

    def fits(self, ids: list[int]) -> bool:
        """Answer whether these rows are all up to one moment while the point was made."""
        return ids == list(range(1, len(ids) + 1)) and self.floor <= len(ids) <= self.ceiling


@contextmanager
def customers(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, also: Callable[[], None] = lambda: None
) -> Iterator[Customers]:
    """Write for the time of the block, remembering where the point was made; `also` is done right before that."""
    shop.sql("CREATE TABLE IF NOT EXISTS ledger (id int PRIMARY KEY)")
    [(there,)] = shop.sql("SELECT count(*) FROM ledger")
    seen = Customers(last=int(there))
    made = getattr(flows.prepare_release, "make_point")  # noqa: B009 - it is not exported there

    def write() -> None:
        with psycopg.connect(shop.server.dsn(shop.service.name), autocommit=True) as connection:
            while not seen.over.wait(0.002):
                connection.execute("INSERT INTO ledger VALUES (%s)", (seen.last + 1,))
                seen.last += 1

    def noting(*given: Any) -> str:
        also()
        wait_until(lambda: seen.last > int(there), what="a customer", seconds=20)
        seen.floor = seen.last
        said = str(made(*given))
        seen.ceiling = seen.last + 1
        return said

    monkeypatch.setattr(flows.prepare_release, "make_point", noting)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield seen
    finally:
        seen.over.set()
        thread.join(timeout=20)
        monkeypatch.setattr(flows.prepare_release, "make_point", made)


def standing(shop: Shop, version: str = "v1.2.0") -> Standing:
    """Where the release's side stands."""
    return standing_of(shop.database, shop.point(version).name)
