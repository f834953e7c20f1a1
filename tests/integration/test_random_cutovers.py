"""Cutovers at moments drawn at random, customers writing all the while: each acknowledged row is where it belongs.

The witnesses are the customers' own memory and plain SQL on both servers; the salvage's CSV is read by Python's reader.
"""

import csv
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from infra.lab.postgres import Postgres
from infra.lab.process import wait_until
from recovery.salvages import parted_beside
from tasks.postgres.salvage import find_point, read_export, read_servers, write_export
from tests.integration.restoring import Customers, Street, new_street

USUALLY, TORTURE = 30, int(os.environ.get("RIPCORD_CUTOVERS", "1000"))
SEED = int(os.environ.get("RIPCORD_SEED", "1"))
ROUNDS_OF_A_GATE = 10  # the first of them comes down by the parachute, the others cold from the same set


@pytest.fixture(name="street")
def _street(archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    with new_street(archiving, "cutovers", tmp_path, monkeypatch) as street:
        restore = street.restore.model_copy(update={"parachute": True})
        yield replace(street, shop=street.shop.with_(restore=restore), restore=restore)


@pytest.mark.timeout(1800)
def test_no_row_is_lost_doubled_or_out_of_place(street: Street) -> None:
    """Thirty cutovers: from before the point all is there, from after it all is in the salvage, and nothing else."""
    walk(street, USUALLY)


@pytest.mark.torture
@pytest.mark.timeout(6 * 3600)
def test_a_thousand_cutovers(street: Street) -> None:
    """The same, a thousand times; RIPCORD_CUTOVERS and RIPCORD_SEED take a slice of them."""
    walk(street, TORTURE)


def walk(street: Street, rounds: int) -> None:
    """Gate, cut over, look, and put all back as it was, so often."""
    drawn, version, known = random.Random(SEED), "", set[str]()
    for number in range(rounds):
        where = f"round {number} of seed {SEED}"
        if number % ROUNDS_OF_A_GATE == 0:
            forget(street)
            version = f"v1.{2 + number // ROUNDS_OF_A_GATE}.0"
            known = gate(street, version, drawn)
        lines = street.pooler.databases_file.read_text()
        with street.customers(drawn.randint(1, 6)) as writing:
            wait(writing, drawn.randint(1, 200))
            taken_back = street.take_back(version)
            wait(writing, len(writing.acknowledged) + drawn.randint(1, 100))
        assert writing.errors == [], where
        assert (number % ROUNDS_OF_A_GATE == 0) == taken_back[0].startswith("skipped: "), (where, taken_back[0])
        look(street, version, known, writing, where)
        put_back(street, lines)


def gate(street: Street, version: str, drawn: random.Random) -> set[str]:
    """Prove a new point while customers write; the rows that a server at the point has."""
    with street.customers(3) as before:
        wait(before, drawn.randint(1, 100))
        settled = {which for _, _, which in list(before.acknowledged)}
        assert street.shop.gate(version).proved
        begun = len(before.acknowledged)
        wait(before, begun + 20)
    assert before.errors == []
    at_point = {str(row[0]) for row in street.restored("SELECT who FROM ledger")}  # the parachute lets one read
    assert settled <= at_point
    assert at_point.isdisjoint(which for _, _, which in before.acknowledged[begun + before.count :])
    return at_point


def forget(street: Street) -> None:
    """Take away the sets and the WAL of the rounds before, which a thousand of would fill the disk."""
    for each in Path(street.shop.database.backups).iterdir():
        shutil.rmtree(each)
    for each in street.shop.server.archive.iterdir():
        each.unlink(missing_ok=True)


def look(street: Street, version: str, known: set[str], writing: Customers, where: str) -> None:
    """Each acknowledged row of the round is on one of the two servers, and what is not on the restored is salvaged."""
    acknowledged = [which for _, _, which in writing.acknowledged]
    restored = [str(row[0]) for row in street.restored("SELECT who FROM ledger")]
    damaged = {str(row[0]) for row in street.shop.sql("SELECT who FROM ledger")}
    assert len(restored) == len(set(restored)), where
    assert known <= set(restored), where
    assert set(restored) - known <= set(acknowledged), where
    left = set(acknowledged) - set(restored)
    assert left, where
    assert left <= damaged, where
    assert (set(restored) - known).isdisjoint(damaged), where
    assert acknowledged[-1] in restored, where
    assert damaged - known <= salvaged(street, version), where


def salvaged(street: Street, version: str) -> set[str]:
    """Who is in the salvage's CSV of the ledger, as inserted after the point."""
    shop = street.shop
    damaged, _ = read_servers(shop.database)
    point = find_point(shop.service.name, version, shop.database, damaged)
    write_export(shop.service.name, version, shop.database, point)
    export = read_export(parted_beside(shop.database, point.name))
    (path,) = Path(export.directory).glob("csv/*ledger*.csv")
    with path.open(newline="") as file:
        found = {value for row in csv.reader(file) for value in row if value.count("-") == 2}
    shutil.rmtree(export.directory)
    return found


def put_back(street: Street, lines: str) -> None:
    """The world before the cutover: the damaged server in use, and no other."""
    street.pooler.command(f"PAUSE {street.shop.service.name}")
    street.end_sides()
    for each in Path(street.restore.sides).iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    name = street.shop.service.name
    with psycopg.connect(street.shop.server.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
        connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1".encode())
    street.pooler.databases_file.write_text(lines)
    for what in ("RELOAD", f"RECONNECT {name}", f"RESUME {name}"):
        street.pooler.command(what)


def wait(writing: Customers, count: int) -> None:
    """Until so many rows are acknowledged."""
    wait_until(lambda: len(writing.acknowledged) >= count or writing.errors, what=f"{count} rows", seconds=60)
