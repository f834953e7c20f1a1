"""The journal: what the damage changed or deleted of rows that are younger than the point, by their identity.

The customers' own memory, plain SQL and Python's reader of CSV are the witnesses.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

import flows.prepare_release
from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.journals import journal_name
from recovery.restore_points import RestorePoint, WayBack
from recovery.salvages import Export, parted_beside
from tasks.postgres import journals
from tasks.postgres.journals import arm_journal, drop_journals
from tasks.postgres.salvage import find_point, read_export, read_servers, write_export
from tests.integration.restoring import Street, new_street

SLOTS = "SELECT slot_name::text FROM pg_replication_slots ORDER BY 1"
BOUNDED = {"wal_level": "logical", "max_slot_wal_keep_size": "1GB"}
DECODING = "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'"  # contrib, as test_decoding


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Postgres]:
    with postgres(tmp_path / "server", settings=BOUNDED, archiving=True) as server:
        yield server


@pytest.fixture(name="street")
def _street(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    with new_street(server, "journalled", tmp_path, monkeypatch) as street:
        if not street.shop.sql(DECODING):
            pytest.skip("this PostgreSQL comes without test_decoding")
        restore = street.restore.model_copy(update={"journal": True})
        yield replace(street, shop=street.shop.with_(restore=restore), restore=restore)


def slots(street: Street) -> list[str]:
    """The slots there are, by plain SQL."""
    return [str(row[0]) for row in street.shop.sql(SLOTS)]


def name_of(street: Street, version: str = "v1.2.0") -> str:
    """The slot that a release's journal has."""
    return journal_name(street.shop.service.name, version, street.shop.point(version).name)


def exported(street: Street, version: str = "v1.2.0") -> Export:
    """What a salvage finds."""
    database, name = street.shop.database, street.shop.service.name
    damaged, _ = read_servers(database)
    point = find_point(name, version, database, damaged)
    write_export(name, version, database, point)
    return read_export(parted_beside(database, point.name))


def lines(export: Export, name: str) -> list[dict[str, str]]:
    """A file of the journal."""
    with Path(export.directory, "journal", f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_that_the_damage_took_is_found_by_its_identity(street: Street) -> None:
    """Customers write before the point, after it, and until the end; the damage deletes and overwrites what is new."""
    with street.customers() as customers:
        wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
        early = {which for _, _, which in list(customers.acknowledged)}
        assert street.shop.gate().proved
        assert slots(street) == [name_of(street)]
        begun = len(customers.acknowledged)
        wait_until(lambda: len(customers.acknowledged) > begun + 50, what="customers", seconds=20)
        late = {which for _, _, which in customers.acknowledged[begun + customers.count :]}
        with psycopg.connect(street.shop.server.dsn(street.shop.service.name)) as damage:
            damage.execute("DELETE FROM ledger WHERE id % 2 = 0")
            damage.execute("UPDATE ledger SET who = 'nobody'")
            row = damage.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
            assert row is not None
        before = len(customers.acknowledged)
        wait_until(lambda: len(customers.acknowledged) > before + 20, what="customers", seconds=20)
        street.take_back()
    assert customers.errors == []
    kept = {str(row[0]) for row in street.shop.sql("SELECT who FROM ledger")}
    there = {str(row[0]) for row in street.ask("SELECT who FROM ledger")}
    assert late - kept - there, "the damage took nothing of what is new"

    export = exported(street)

    inserted = {found[1] for each in lines(export, "changes") if (found := INSERTED.match(each["change"]))}
    acknowledged = {which for _, _, which in customers.acknowledged}
    assert late <= inserted
    assert acknowledged <= inserted | there
    assert inserted.isdisjoint(there)
    assert inserted.isdisjoint(early)
    [note] = [note for note in export.notes if "the journal has" in note]
    assert f"the largest transaction is {row[0]} of " in note
    [worst] = [each for each in lines(export, "transactions") if each["xid"] == row[0]]
    assert worst["table"] == "public.ledger"
    assert int(worst["DELETE"]) > 0
    assert int(worst["UPDATE"]) > 0
    assert not [each for each in lines(export, "changes") if "ripcord." in each["change"]]
    assert slots(street) == [name_of(street)]
    assert not export.directory.endswith("part")


INSERTED = re.compile(r"table public\.ledger: INSERT: id\[integer\]:\d+ who\[text\]:'([^']+)'")


def test_a_journal_goes_with_its_watch_and_with_the_next_release(street: Street) -> None:
    """Killed after it and run again there is one; the next gate takes the older one away only once it is proved."""
    shop = street.shop
    shop.gate()
    first = name_of(street)
    assert arm_journal.fn(shop.service.name, "v1.2.0", shop.database, shop.point()) == (
        f"skipped: the journal {first} is kept"
    )
    way = shop.gate("v1.3.0")
    second = name_of(street, "v1.3.0")
    assert slots(street) == sorted([first, second])

    flows.prepare_release.tidy_up(shop.service, "v1.3.0", way)
    assert slots(street) == [second]
    assert "skipped: " in drop_journals.fn(shop.service.name, shop.database, "v1.2.0")
    assert arm_journal.fn(shop.service.name, "v1.2.0", shop.database, shop.point()).endswith("is not there any more")
    assert drop_journals.fn(shop.service.name, shop.database, "v1.3.0") == f"dropped the journals {second}"
    assert slots(street) == []

    shop.gate("v1.4.0")
    without = shop.with_(restore=street.restore.model_copy(update={"journal": False}))
    flows.prepare_release.tidy_up(without.service, "v1.5.0", WayBack(True, "", "another"))
    assert slots(street) == []


def test_a_server_that_could_fill_its_disk_keeps_no_journal(street: Street) -> None:
    """Refused before anything is taken: no limit, no logical WAL."""
    shop = street.shop
    with psycopg.connect(shop.server.dsn(), autocommit=True) as plain:
        plain.execute("ALTER SYSTEM SET max_slot_wal_keep_size = -1")
    street.shop.server.settings.pop("max_slot_wal_keep_size")
    shop.server.settings["wal_level"] = "replica"
    shop.server.restart()

    with pytest.raises(Refused, match=r"needs wal_level logical and it is replica.*max_slot_wal_keep_size sets no"):
        shop.gate()

    assert shop.sets() == []
    assert slots(street) == []


def test_a_transaction_that_does_not_end_is_told(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot waits for it; the gate says so, leaves none, and goes on when it has ended."""
    monkeypatch.setattr(journals, "BUILD_SECONDS", 1)
    shop = street.shop
    with psycopg.connect(shop.server.dsn(shop.service.name)) as open_one:
        open_one.execute("SELECT pg_current_xact_id()")
        with pytest.raises(Unavailable, match="a journal begins when every open transaction has ended"):
            shop.gate()
        assert slots(street) == []

    assert shop.gate().proved
    assert slots(street) == [name_of(street)]


def test_a_server_without_contrib_is_told(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that is not installed is no outage: nobody waits for it."""
    monkeypatch.setattr(journals, "PLUGIN", "not_installed")
    with pytest.raises(Refused, match="needs not_installed, which the server has not: install PostgreSQL's contrib"):
        street.shop.gate()
    assert slots(street) == []


def test_a_journal_that_outgrew_its_limit_or_is_gone_is_said(street: Street) -> None:
    """The rest of the salvage is whole all the same; the server's disk was never at risk."""
    shop = street.shop
    shop.gate()
    with psycopg.connect(shop.server.dsn(), autocommit=True) as plain:
        plain.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    shop.server.settings["max_slot_wal_keep_size"] = "1MB"
    shop.server.restart()
    for _ in range(6):
        shop.sql("INSERT INTO ledger (who) SELECT 'filler' FROM generate_series(1, 2000); SELECT pg_switch_wal()")
    shop.sql("CHECKPOINT")
    wait_until(
        lambda: shop.sql("SELECT wal_status FROM pg_replication_slots") == [("lost",)], what="its loss", seconds=30
    )
    street.take_back()

    export = exported(street)

    assert any("is lost: more was written than max_slot_wal_keep_size" in note for note in export.notes)
    assert export.rows == 12_000
    street.shop.sql(f"SELECT pg_drop_replication_slot('{name_of(street)}')")
    Path(export.directory).rename(f"{export.directory}-1")
    assert any("there is no journal" in note for note in exported(street).notes)


def test_without_the_word_of_the_catalogue_there_is_none(street: Street) -> None:
    """Neither slot nor note."""
    plain: Database = street.shop.database.model_copy(
        update={"restore": street.restore.model_copy(update={"journal": False})}
    )
    said = arm_journal.fn("shop", "v1.2.0", plain, RestorePoint("shop-v1.2.0-1", 1))
    assert said == "skipped: the catalogue wants no journal"
    assert slots(street) == []
