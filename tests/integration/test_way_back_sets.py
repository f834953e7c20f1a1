"""The sets on disk after a yes: what cannot be removed, what the register lost, what cannot be read, what fills up."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import flows.prepare_release
from infra.lab.postgres import Postgres
from recovery.errors import Refused
from recovery.restore_points import WayBack
from tasks.postgres.damaged import read_sets
from tasks.postgres.sets import expire_sets
from tests.integration.way_back import Shop, new_shop

numbers = itertools.count(1)


@pytest.fixture(name="shop")
def _shop(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(archiving, f"sets{next(numbers)}", monkeypatch) as shop:
        yield shop


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told."""
    heard: list[str] = []
    monkeypatch.setattr(flows.prepare_release, "notify", lambda identity, title, text: heard.append(text))
    return heard


def tidy_up(shop: Shop, version: str) -> None:
    """The end of a gate that has said yes."""
    flows.prepare_release.tidy_up(shop.service, version, WayBack(True, "", shop.point(version).name))


def test_a_set_that_cannot_be_removed_holds_up_no_deployment(shop: Shop, told: list[str]) -> None:
    """The way back is proved by then; the next gate that can removes it."""
    one = shop.with_(keep=1, locked=timedelta())
    for version in ("v1.2.0", "v1.3.0"):
        assert one.gate(version).proved
    old = one.point("v1.2.0").name
    inside = Path(one.database.backups, f".{old}.gone", "in the way")
    inside.mkdir(parents=True)
    with pytest.raises(Refused, match=f"{old} cannot be removed: Directory not empty; see whose it is"):
        expire_sets.fn(one.service.name, one.database)

    tidy_up(one, "v1.3.0")

    assert old in one.sets()
    inside.rmdir()
    inside.parent.rmdir()
    tidy_up(one, "v1.3.0")
    assert one.sets() == [one.point("v1.3.0").name]
    assert told == []


def test_a_set_that_the_register_has_lost_is_not_written_over(shop: Shop) -> None:
    """As where the database was made anew on the same server: the next point has another name and a set of its own."""
    shop.gate()
    first = shop.place().set
    before = {path.name: path.read_bytes() for path in first.glob("*.json")}
    shop.sql("DROP SCHEMA ripcord CASCADE")

    assert shop.gate().proved

    assert shop.place().set != first
    assert shop.point().attempt == 2
    assert {path.name: path.read_bytes() for path in first.glob("*.json")} == before


def test_a_record_that_cannot_be_read_hides_no_other_set(shop: Shop, told: list[str]) -> None:
    """A set whose proof is no proof is none; one whose record is gone is left alone by what removes sets."""
    one = shop.with_(keep=1, locked=timedelta())
    for version in ("v1.2.0", "v1.3.0", "v1.4.0"):
        one.gate(version)
    (one.place("v1.3.0").set / "proof.json").write_text("{")
    (one.place("v1.2.0").set / "then.json").write_text("{")

    assert {each.then.version: each.proved for each in read_sets.fn(one.database)} == {"v1.3.0": False, "v1.4.0": True}
    tidy_up(one, "v1.4.0")

    assert one.sets() == sorted(one.point(version).name for version in ("v1.2.0", "v1.4.0"))
    assert told == []


def test_people_are_told_of_a_slot_that_keeps_wal_for_nobody(shop: Shop, told: list[str]) -> None:
    """Long before the disk is full; not where the server sets a limit, or somebody reads."""
    shop.sql("SELECT pg_create_physical_replication_slot('journal', true)")
    try:
        shop.gate()
        tidy_up(shop, "v1.2.0")
        assert [text for text in told if "(journal)" in text and "max_slot_wal_keep_size" in text] == told
        assert len(told) == 1

        shop.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'")
        shop.sql("SELECT pg_reload_conf(); SELECT pg_sleep(0.2)")
        tidy_up(shop, "v1.2.0")
        assert len(told) == 1
    finally:
        shop.sql("SELECT pg_drop_replication_slot('journal')")
        shop.sql("ALTER SYSTEM RESET max_slot_wal_keep_size")
        shop.sql("SELECT pg_reload_conf()")
