"""A shop whose clients come by PgBouncer, customers who write without a pause, and the restore walked over both."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

import flows.restore_database
from infra.lab.pgbouncer import PgBouncer as LabPgBouncer
from infra.lab.pgbouncer import pgbouncer
from infra.lab.postgres import Postgres
from infra.lab.process import free_port, wait_until
from recovery.databases import PgBouncer, Restore
from recovery.incidents import Cause
from recovery.restores import RestorePlan
from tests.integration.way_back import Shop, new_shop, place_for_sides

POOLER = "SHOP_PGBOUNCER_URL"
CORRUPT = Cause(sentence="orders have the amounts of other customers")
APPLICATION, SECRET = "shopper", "of-the-shop-alone"
_names = itertools.count()
PARTS = ("show", "notify", "wait_until_recovered")


@dataclass
class Customers:
    """Clients that write a row after the other through PgBouncer, and remember what was acknowledged."""

    dsn: str
    count: int = 3
    acknowledged: list[tuple[float, float, str]] = field(default_factory=list)  # begun, acknowledged, which
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._name, self._over = next(_names), threading.Event()
        self._threads = [threading.Thread(target=self._shop, args=(number,)) for number in range(self.count)]

    def _shop(self, number: int) -> None:
        try:
            self._write(number)
        except psycopg.Error as error:
            self.errors.append(str(error))

    def _write(self, number: int) -> None:
        with psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None) as connection:
            mine = 0
            while not self._over.is_set():
                mine += 1
                which, begun = f"{self._name}-{number}-{mine}", time.monotonic()
                connection.execute("INSERT INTO ledger (who) VALUES (%s)", (which,))
                self.acknowledged.append((begun, time.monotonic(), which))
                time.sleep(0.002)

    def __enter__(self) -> "Customers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def gap(self) -> float:
        """The longest time, in seconds, that somebody waited for an acknowledgement."""
        return max(acknowledged - begun for begun, acknowledged, _ in self.acknowledged)


@dataclass(frozen=True)
class Street:
    """The shop, its PgBouncer, and the way its clients are led."""

    shop: Shop
    pooler: LabPgBouncer
    restore: Restore

    def customers(self, count: int = 3) -> Customers:
        """Clients of the shop."""
        return Customers(self.pooler.dsn(self.shop.service.name, APPLICATION), count)

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """What a client of the shop is answered, through PgBouncer."""
        with psycopg.connect(self.pooler.dsn(self.shop.service.name, APPLICATION), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def plan(self, version: str = "v1.2.0") -> RestorePlan:
        """The first two paragraphs of the flow."""
        return flows.restore_database.decide(self.shop.service, version, CORRUPT)

    def take_back(self, version: str = "v1.2.0") -> tuple[str, ...]:
        """The flow after the question."""
        return flows.restore_database.take_back(self.shop.service, self.plan(version))

    def shown(self) -> dict[str, object]:
        """What PgBouncer says of the shop."""
        return next(each for each in self.pooler.show("DATABASES") if each["name"] == self.shop.service.name)

    def led_to_side(self) -> bool:
        """Whether the clients are led to the restored server and let go."""
        row = self.shown()
        return (row["host"], row["port"], row["paused"]) == (self.restore.host, self.restore.port, 0)

    def as_before(self) -> None:
        """Nothing was changed: the clients go where they went, and nobody is held back."""
        row = self.shown()
        assert (row["port"], row["paused"]) == (self.shop.server.port, 0)
        assert self.allowed() == (True, -1)
        assert not list(Path(self.restore.sides).glob("*.restore.json"))
        assert self.ask("INSERT INTO ledger (who) VALUES ('after') RETURNING who") == [("after",)]

    def allowed(self) -> tuple[object, ...]:
        """Whether the damaged server lets anybody in, and how many."""
        with psycopg.connect(self.shop.server.dsn(), autocommit=True) as connection:
            statement = "SELECT datallowconn, datconnlimit FROM pg_database WHERE datname = %s"
            row = connection.execute(statement, (self.shop.service.name,)).fetchone()
        assert row is not None
        return row

    def where(self) -> str:
        """The conninfo of the restored server, as its superuser."""
        server = self.shop.server
        name = self.shop.service.name
        return f"postgresql://{server.user}:{server.password}@{self.restore.host}:{self.restore.port}/{name}"

    def restored(self, statement: str) -> list[tuple[object, ...]]:
        """What the restored server says, asked directly."""
        with psycopg.connect(self.where(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def end_sides(self) -> None:
        """Kill the servers that outlive us."""
        for lock in Path(self.restore.sides).glob("*/data/postmaster.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(lock.read_text().split()[0]), signal.SIGQUIT)
        wait_until(lambda: not self._running(), what="the end of the sides", seconds=20)

    def _running(self) -> list[str]:
        found = []
        for each in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                if str(each.readlink()).startswith(self.restore.sides):
                    found.append(each.parent.name)
        return found


@contextmanager
def new_street(
    server: Postgres, name: str, directory: Path, monkeypatch: pytest.MonkeyPatch, pool_mode: str = "transaction",
    words: Mapping[str, object] | None = None, forced: str = "",
) -> Iterator[Street]:  # fmt: skip
    """A shop of a hundred orders and a ledger, in front of it a PgBouncer; `words` say who keeps its backups.

    Where a user is `forced`, PgBouncer lets in whoever calls himself anything, and hands on that one.
    """
    with ExitStack() as stack:
        shop = stack.enter_context(new_shop(server, name, monkeypatch))
        sides = stack.enter_context(place_for_sides(server))
        users = {server.user: server.password, APPLICATION: SECRET}
        line = f"{name} = host=127.0.0.1 port={server.port} dbname={name} pool_size=20"
        line += f" user={forced} password='{users[forced]}'" if forced else ""
        auth = "any" if forced else "scram-sha-256"
        pooler = stack.enter_context(pgbouncer(directory, line, users, pool_mode=pool_mode, auth_type=auth))
        monkeypatch.setenv(POOLER, pooler.admin_dsn())
        way = PgBouncer(admin_variable=POOLER, databases_file=str(pooler.databases_file), alias=name)
        restore = Restore(sides=str(sides), port=free_port(), pgbouncer=way)
        if not shop.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{APPLICATION}'"):
            shop.sql(f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{SECRET}'")
        shop.sql("CREATE TABLE ledger (id serial PRIMARY KEY, who text NOT NULL)")
        shop.sql(f"GRANT ALL ON ledger, ledger_id_seq, orders TO {APPLICATION}")
        for part in PARTS:
            monkeypatch.setattr(flows.restore_database, part, lambda *said: "seen")
        street = Street(shop.with_(restore=restore, uncounted=("public.ledger",), **(words or {})), pooler, restore)
        stack.callback(street.end_sides)
        yield street
