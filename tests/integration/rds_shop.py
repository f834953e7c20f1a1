"""A shop whose database AWS runs, as far as a stand-in can: moto answers for RDS, the lab's PostgreSQL speaks the SQL.

moto keeps records and runs no database. So servers of the lab stand behind the addresses: one behind whatever RDS says
is damaged, one behind whatever has our tag, and where a test has a third, that is behind the copies which are thrown
away. What RDS would replay into the second and the third, `replay` writes into it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from prefect import Task
from prefect.logging import disable_run_logger

import flows.answering
import flows.prepare_rds
import flows.restore_rds
from infra.lab.postgres import Postgres
from recovery.catalog import Service
from recovery.databases import Smoke
from recovery.incidents import Cause
from recovery.rds import RESTORED_TO, ROLE, TimedPoint
from recovery.rds_catalog import Rds
from recovery.rds_plans import RdsPlan
from recovery.restore_points import WayBack
from tasks.postgres import timed_restores
from tasks.postgres.timed_notes import read_timed
from tasks.rds import api, reading

URL = "SHOP_DATABASE_URL"
REGION = "eu-central-1"
CORRUPT = Cause(sentence="every total is 0")
SMOKE = Smoke(sql="SELECT sum(amount) FROM orders", equals="5050")


@dataclass
class RdsShop:
    """The service, RDS as moto plays it, and the two servers behind its addresses."""

    service: Service
    client: Any
    damaged: Postgres
    restored: Postgres
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every call that was made and its parameters, as botocore's own events tell them."""

    @property
    def rds(self) -> Rds:
        """Its entry in the catalogue."""
        assert self.service.rds is not None
        return self.service.rds

    @property
    def name(self) -> str:
        """The name of the database."""
        return self.service.name

    def sql(self, statement: str, server: Postgres | None = None) -> list[tuple[Any, ...]]:
        """What plain SQL says, by a connection that is not ours; the damaged server by default."""
        with psycopg.connect((server or self.damaged).dsn(self.name), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def gate(self, version: str = "v1.2.0") -> WayBack:
        """Walk the gate up to its answer."""
        return flows.prepare_rds.prove(self.service, version, rehearse=False)

    def point(self, version: str = "v1.2.0") -> TimedPoint:
        """What the archive keeps."""
        return next(each for each in read_timed.fn(self.name) if each.version == version)

    def replay(self, marks: tuple[str, ...] = ("before",), server: Postgres | None = None) -> None:
        """Write into the restored server what RDS would have replayed: all that was committed before the point."""
        server = server or self.restored
        fill(server, self.name)
        chosen = ", ".join(f"'{mark}'" for mark in marks)
        rows = self.sql(
            f"SELECT service, version, attempt, name, mark FROM ripcord.timed_points WHERE mark IN ({chosen})"
        )
        self.sql("CREATE SCHEMA IF NOT EXISTS ripcord", server)
        self.sql(
            "CREATE TABLE IF NOT EXISTS ripcord.timed_points (service text, version text, attempt int, name text, "
            "mark text, made_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (name, mark))",
            server,
        )
        with psycopg.connect(server.dsn(self.name), autocommit=True) as connection:
            connection.cursor().executemany(
                "INSERT INTO ripcord.timed_points (service, version, attempt, name, mark) VALUES (%s, %s, %s, %s, %s)",
                rows,
            )

    def plan(self, version: str = "v1.2.0") -> RdsPlan:
        """The first two paragraphs of the flow."""
        return flows.restore_rds.decide(self.service, version, CORRUPT)

    def take_back(self, version: str = "v1.2.0") -> tuple[str, ...]:
        """The flow after the question."""
        return flows.restore_rds.take_back(self.service, self.plan(version))

    def instances(self) -> dict[str, Any]:
        """Every instance that RDS has, by its name."""
        found = self.client.describe_db_instances()["DBInstances"]
        return {each["DBInstanceIdentifier"]: each for each in found}

    def clusters(self) -> dict[str, Any]:
        """Every cluster that RDS has, by its name."""
        return {each["DBClusterIdentifier"]: each for each in self.client.describe_db_clusters()["DBClusters"]}

    def with_(self, **changes: object) -> "RdsShop":
        """The same with another word in the catalogue."""
        service = self.service.model_copy(update={"rds": self.rds.model_copy(update=changes)})
        return RdsShop(service, self.client, self.damaged, self.restored, self.calls)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of one operation."""
        return [parameters for name, parameters in self.calls if name == operation]


def fill(server: Postgres, name: str) -> None:
    """A database of a hundred orders, made as the first one was, so that nothing but time lies between the two."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
    server.create_database(name)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id serial PRIMARY KEY, amount int NOT NULL)")
        connection.execute("INSERT INTO orders (amount) SELECT generate_series(1, 100)")


def give_password(server: Postgres, password: str) -> None:
    """Give a server the password of another: what RDS restores has the roles of what it is restored from."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {server.user} PASSWORD '{password}'".encode())
    server.password = password


def is_restored(found: Mapping[str, Any]) -> bool:
    """Whether a description has our tag."""
    return any(each["Key"] == RESTORED_TO for each in found.get("TagList") or ())


def is_copy(found: Mapping[str, Any]) -> bool:
    """Whether a description has the tag of a copy that is thrown away."""
    return any(each["Key"] == ROLE for each in found.get("TagList") or ())


def policy(page: Path, kind: str) -> set[str]:
    """The actions of RDS that a page's policy allows for a kind of database."""
    [text] = re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    found = [each for each in json.loads(text)["Statement"] if each["Sid"].startswith(kind)]
    return {action.removeprefix("rds:") for each in found for action in each["Action"]}


def forget_snapshots(copy: str) -> None:
    """moto's automated snapshots outlive their cluster, and are in the way of the next of its name."""
    client, now = boto3.session.Session().client("rds", region_name=REGION), datetime.now(UTC)
    for minute in (now, now - timedelta(minutes=1)):
        with suppress(client.exceptions.DBClusterSnapshotNotFoundFault):
            client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"rds:{copy}-{minute:%Y-%m-%d-%H-%M}")


Hook = Callable[[str, dict[str, Any]], None]


@contextmanager
def new_rds_shop(
    servers: tuple[Postgres, Postgres],
    service: Service,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    archive: str,
    hooks: Mapping[str, Hook] | None = None,
    *,
    by_prefect: bool = False,
    copies: Postgres | None = None,
) -> Iterator[RdsShop]:
    """The shop of a service whose `rds` names what stands in moto; every record of moto's is made anew.

    `hooks` are called before and after each call of ours (`before`, `after`) with its operation and parameters. Tasks
    are plain functions, unless it is Prefect that runs them. `copies` is what answers for copies that are thrown away.
    """
    damaged, restored = servers
    fill(damaged, service.name)
    monkeypatch.setenv("RIPCORD_ARCHIVE", archive)
    monkeypatch.setenv(URL, damaged.dsn(service.name))
    for name, value in (("ENDPOINT_URL", url), ("ACCESS_KEY_ID", "of-nobody"), ("SECRET_ACCESS_KEY", "for-nothing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(flows.restore_rds, "wait_until_recovered", lambda *said: "said")
    if not by_prefect:
        monkeypatch.setattr(Task, "__call__", lambda self, *given, **named: self.fn(*given, **named))
        for part in ("show", "notify"):
            monkeypatch.setattr(flows.restore_rds, part, lambda *said: "said")
        for module in (flows.prepare_rds, flows.answering):
            monkeypatch.setattr(module, "show", lambda *said: None)
    monkeypatch.setattr(api, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(timed_restores, "POLL_SECONDS", 0.01)

    def address_of(found: Mapping[str, Any], port: int) -> tuple[str, int]:
        ours = copies if copies and is_copy(found) else restored
        return "127.0.0.1", (ours if is_restored(found) else damaged).port

    monkeypatch.setattr(reading, "address_of", address_of)
    client = boto3.session.Session().client("rds", region_name=REGION)
    shop = RdsShop(service, client, damaged, restored)
    _listen(shop, monkeypatch, hooks or {})
    with nullcontext() if by_prefect else disable_run_logger():
        yield shop


def _listen(shop: RdsShop, monkeypatch: pytest.MonkeyPatch, hooks: Mapping[str, Hook]) -> None:
    connect = api.connect

    def connected(rds: Rds) -> Any:
        client = connect(rds)

        def before(params: dict[str, Any], model: Any, **_: object) -> None:
            shop.calls.append((model.name, dict(params)))
            if "before" in hooks:
                hooks["before"](model.name, params)

        def after(model: Any, **_: object) -> None:
            if "after" in hooks:
                hooks["after"](model.name, {})

        client.meta.events.register("provide-client-params.rds.*", before)
        client.meta.events.register("after-call.rds.*", after)
        return client

    monkeypatch.setattr(api, "connect", connected)
