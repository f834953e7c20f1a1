"""A shop's database on a server that archives, and the gate walked over it as the plain functions that it is."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect import Task
from prefect.logging import disable_run_logger

import flows.answering
import flows.prepare_release
from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from recovery.catalog import Service
from recovery.databases import Database, Smoke
from recovery.restore_points import RestorePoint, Then, WayBack
from recovery.sides import Stage
from tasks.postgres.places import Place, place_of
from tasks.postgres.points import recorded
from tasks.postgres.reading import read_point
from tasks.postgres.sides import open_archive, promote_side, raise_side, read_side, read_side_state

URL = "SHOP_DATABASE_URL"
SMOKE = Smoke(sql="SELECT sum(amount) FROM orders", equals="5050")


@dataclass(frozen=True)
class Shop:
    """The service, its database and its server."""

    server: Postgres
    database: Database
    service: Service

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """What plain SQL says, by a connection that is not ours."""
        with psycopg.connect(self.server.dsn(self.service.name), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def gate(self, version: str = "v1.2.0") -> WayBack:
        """Walk the gate up to its proof."""
        return flows.prepare_release.prove(self.service, version, rehearse=False)

    def point(self, version: str = "v1.2.0") -> RestorePoint:
        """What the register says."""
        found = read_point.fn(self.service.name, version, self.database)
        assert found is not None
        return found

    def place(self, version: str = "v1.2.0") -> Place:
        """Where the release's set lies."""
        return place_of(self.database, self.point(version).name)

    def then(self, version: str = "v1.2.0") -> Then:
        """What was recorded at the point."""
        return recorded(self.database, self.point(version))

    def sets(self) -> list[str]:
        """Everything in the directory of the sets, the unfinished included."""
        return sorted(path.name for path in Path(self.database.backups).iterdir())

    def with_(self, **changes: object) -> "Shop":
        """The same with another word in the catalogue."""
        database = self.database.model_copy(update=changes)
        return Shop(self.server, database, self.service.model_copy(update={"database": database}))


def set_environment(server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ripcord's environment for a server of the lab."""
    monkeypatch.setenv(URL, server.dsn(name))
    monkeypatch.setenv("RIPCORD_POSTGRES_BIN", str(server.binaries))
    monkeypatch.setenv("RIPCORD_POSTGRES_USER", server.runs_as or "")


def at(server: Postgres, port: int) -> Postgres:
    """The one of the same roles and passwords that answers on another port."""
    other = copy(server)
    other.port = port
    return other


def go_back(shop: Shop) -> Shop:
    """Raise the side of a point, prove and promote it, let it archive; the shop as it is served there."""
    database, point = shop.database, shop.point()
    raise_side.fn(database, point)
    assert read_side_state.fn(database, point).proved
    promote_side.fn(database, point)
    open_archive.fn(database, point)
    assert read_side.fn(database, point).stage is Stage.PROMOTED
    assert database.restore is not None
    return replace(shop, server=at(shop.server, database.restore.port))


@contextmanager
def place_for_sides(server: Postgres) -> Iterator[Path]:
    """A directory of the server's user whose path leaves room for a socket's, whoever runs the tests."""
    with tempfile.TemporaryDirectory(prefix="sides-", ignore_cleanup_errors=True) as made:
        give(Path(made), server.runs_as)
        yield Path(made)


@contextmanager
def new_shop(server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A database of a hundred orders, and a directory of its own for its sets."""
    server.create_database(name)
    backups = server.data.parent / f"backups-{name}"
    backups.mkdir(mode=0o700)
    give(backups, server.runs_as)
    set_environment(server, name, monkeypatch)
    monkeypatch.setattr(Task, "__call__", lambda self, *given, **named: self.fn(*given, **named))
    for module in (flows.prepare_release, flows.answering):
        monkeypatch.setattr(module, "show", lambda *said: None)
    database = Database(url_variable=URL, backups=str(backups), archive=str(server.archive), smoke=(SMOKE,))
    shop = Shop(server, database, Service(name=name, namespace="acme", repository="acme/shop", database=database))
    shop.sql("CREATE TABLE orders (id serial PRIMARY KEY, amount int NOT NULL)")
    shop.sql("INSERT INTO orders (amount) SELECT generate_series(1, 100)")
    with disable_run_logger():
        yield shop
