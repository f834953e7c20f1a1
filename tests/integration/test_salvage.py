"""What was written after the point is found, exported and taken back, on real databases.

Plain psycopg and psql are the witnesses; `contents` is every row of every table as the server itself writes it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.postgres import Postgres, postgres
from recovery.salvages import Choice
from tests.integration.salvaging import (
    NASTILY_WRITTEN,
    NASTY,
    SHOP,
    WRITTEN,
    Make,
    conflicts,
    digest,
    making,
    psql,
)

CLOSED = """DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
END $$"""


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("salvage")) as server:
        yield server


@pytest.fixture(name="make")
def _make(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    with making(server, tmp_path, monkeypatch) as make:
        yield make


def test_everything_taken_back_makes_both_databases_equal(make: Make) -> None:
    """All kinds of tables and of writing; the restored one then has what the damaged has, row by row."""
    world = make(SHOP + NASTY)
    world.sql("damaged", WRITTEN + NASTILY_WRITTEN)

    export = world.export()
    said = world.apply()

    assert world.contents("restored") == world.contents("damaged")
    assert {found.table: sum(found.counts.values()) for found in export.tables} == {
        'Odd % schema.t"able': 2, "public.base": 1, "public.child": 2, "public.customers": 4, "public.log": 4,
        "public.orders": 5, "public.part": 4, "public.parted_log": 3,
    }  # fmt: skip
    assert said == "took back 17 kinds of rows; 2 sequences moved ahead"
    assert conflicts(world) == []
    assert all(each.applied == each.found for each in world.applied().values())
    assert {key: each.there for key, each in world.stands().items()} == {
        key: each.applied for key, each in world.applied().items()
    }
    assert world.place.stat().st_mode & 0o777 == 0o700


def test_psql_alone_takes_everything_back_and_twice_is_once(make: Make) -> None:
    """The files for people are complete, quoted, in the order of the foreign keys, and look before they act."""
    world = make(SHOP + NASTY)
    world.sql("damaged", WRITTEN + NASTILY_WRITTEN)
    world.export()

    assert psql(world, "restored", world.place / "all.sql") == ""
    assert world.contents("restored") == world.contents("damaged")
    assert psql(world, "restored", world.place / "all.sql") == ""
    assert world.contents("restored") == world.contents("damaged")
    assert world.apply() == "took back 17 kinds of rows; 2 sequences moved ahead"
    assert {each.applied for each in world.applied().values()} == {0}
    assert {each.conflicts for each in world.applied().values()} == {0}


def test_a_repeat_writes_the_same_bytes(make: Make) -> None:
    """Nothing in the files is of the time or the run; one that is there is not touched."""
    world = make(SHOP + NASTY)
    world.sql("damaged", WRITTEN + NASTILY_WRITTEN)
    world.sql("damaged", CLOSED)  # else the export could lack what is written later, and is made anew
    world.export()
    first, inode = digest(world.place), world.place.stat().st_ino
    world.export()
    assert world.place.stat().st_ino == inode

    world.place.rename(world.place.with_name("old"))
    world.sql("restored", "INSERT INTO customers (name) VALUES ('a customer of the restored one')")
    world.export()

    assert digest(world.place) == first


def test_only_what_was_picked_goes_back(make: Make) -> None:
    """Inserted rows without one table, then everything: each kind of each table once."""
    world = make(SHOP)
    world.sql("damaged", WRITTEN)
    world.export()
    before = world.contents("restored")

    assert world.apply(Choice.NOTHING) == "skipped: all was taken back before; 2 sequences moved ahead"
    assert world.contents("restored") == before
    world.apply(Choice.INSERTED, ("public.orders",))

    assert world.sql("restored", "SELECT count(*) FROM customers") == [(22,)]
    assert world.contents("restored")["public.orders"] == before["public.orders"]
    assert world.sql("restored", "SELECT name FROM customers WHERE id = 7") == [("c7",)]
    world.apply(Choice.EVERYTHING)
    assert world.contents("restored") == world.contents("damaged")


def test_what_customers_wrote_meanwhile_is_left_alone_and_listed(make: Make) -> None:
    """A key that was taken, a row that was changed, one that is gone: none is overwritten, each has its reason."""
    world = make(SHOP)
    world.sql("damaged", "INSERT INTO customers (name) VALUES ('new'); DELETE FROM orders WHERE id IN (3, 4)")
    world.sql("damaged", "UPDATE customers SET name = name || '!' WHERE id IN (7, 8, 9)")
    world.sql("restored", "INSERT INTO customers (id, name) VALUES (21, 'another')")
    world.sql("restored", "UPDATE customers SET name = 'moved' WHERE id = 7; DELETE FROM customers WHERE id = 8")
    world.sql("restored", "UPDATE orders SET amount = 0 WHERE id = 3")
    world.export()

    world.apply()

    assert conflicts(world) == [
        ("public.customers", "changed", "id = 7", "it was changed meanwhile"),
        ("public.customers", "changed", "id = 8", "it is gone"),
        ("public.customers", "inserted", "id = 21", "another row has its key"),
        ("public.orders", "deleted", "id = 3", "it was changed meanwhile"),
    ]
    left = world.sql("restored", "SELECT id, name FROM customers WHERE id IN (7, 8, 9, 21) ORDER BY id")
    assert left == [(7, "moved"), (9, "c9!"), (21, "another")]
    assert world.sql("restored", "SELECT id, amount FROM orders WHERE id IN (3, 4)") == [(3, 0)]
    changed = world.applied()["public.customers changed"]
    assert (changed.found, changed.applied, changed.there, changed.conflicts) == (3, 1, 0, 2)


def test_a_delete_never_takes_along_what_customers_wrote(make: Make) -> None:
    """By ON DELETE CASCADE it would; neither our way nor psql's does."""
    world = make(SHOP)
    world.sql("damaged", "DELETE FROM customers WHERE id IN (5, 6)")
    world.sql("restored", "INSERT INTO orders (customer, amount) VALUES (5, 99)")
    world.export()

    world.apply()

    assert world.sql("restored", "SELECT amount FROM orders WHERE customer IN (5, 6)") == [(99,)]
    assert conflicts(world) == [
        ("public.customers", "deleted", "id = 5", "rows that were written meanwhile hang on it")
    ]
    assert psql(world, "restored", world.place / "all.sql") == ""
    assert world.sql("restored", "SELECT amount FROM orders WHERE customer IN (5, 6)") == [(99,)]


def test_a_repeat_takes_nothing_back_that_customers_deleted_since(make: Make) -> None:
    """The register of the restored server knows; also when the answer of the commit was lost."""
    world = make(SHOP)
    world.sql("damaged", WRITTEN)
    world.export()
    world.apply()
    world.sql("restored", "DELETE FROM customers WHERE name = 'new'")
    before, applied = world.contents("restored"), world.applied()

    assert world.apply() == "skipped: all was taken back before; 0 sequences moved ahead"

    assert world.contents("restored") == before
    assert world.applied() == applied
    assert world.stands()["public.customers inserted"].there == 1
