"""The parachute: armed before the point, stopped exactly at it, cut off from the primary, and what may be done with it.

Plain SQL on its port and on the primary, and the kernel's table of processes, are the witnesses.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from recovery.errors import Refused
from recovery.restore_points import RestorePoint
from recovery.sides import Stage
from tasks.postgres.parachute import arm_parachute, check_parachute, pack_parachute
from tasks.postgres.sides import promote_side, raise_side
from tests.integration.sides_shop import ask, customers, kill_server, postmasters, side, sides_of, standing, with_sides
from tests.integration.way_back import Shop, new_shop

AMCHECK = "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'"
numbers = itertools.count(1)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("parachute"), archiving=True) as server:
        yield server


@pytest.fixture(name="shop")
def _shop(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with (
        new_shop(server, f"shop{next(numbers)}", monkeypatch) as shop,
        with_sides(shop.with_(uncounted=("public.ledger",)), parachute=True) as sided,
    ):
        if sided.sql(AMCHECK):
            sided.sql("CREATE EXTENSION amcheck")
        yield sided


def at_the_point(shop: Shop, version: str = "v1.2.0") -> bool:
    """Answer by plain SQL whether the parachute stands exactly at the point."""
    shown = "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn()::text"
    return ask(shop, shown) == [("paused", shop.then(version).lsn)]


def ids(shop: Shop) -> list[int]:
    """The customers' rows that the side has."""
    return [row[0] for row in ask(shop, "SELECT id FROM ledger ORDER BY id")]


def names(shop: Shop) -> list[str]:
    """What lies where the sides live, the unfinished included and the socket's directory left out."""
    return sorted(path.name for path in sides_of(shop).iterdir() if not path.name.startswith(".port-"))


def test_a_gate_leaves_a_parachute_that_stands_at_the_point(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Customers write all the time; afterwards the primary streams to nobody, and no password lies about."""
    following = "SELECT application_name, state FROM pg_stat_replication"

    def look() -> None:
        wait_until(
            lambda: shop.sql(following) == [("ripcord parachute", "streaming")], what="its following", seconds=30
        )
        assert ask(shop, "SELECT pg_is_in_recovery(), pg_get_wal_replay_pause_state()") == [(True, "not paused")]

    with customers(shop, monkeypatch, look) as seen:
        assert shop.gate().proved
    shop.sql("INSERT INTO orders (amount) VALUES (0)")

    assert at_the_point(shop)
    assert seen.fits(ids(shop))
    assert ask(shop, "SELECT count(*) FROM orders") == [(100,)]
    assert shop.sql("SELECT count(*) FROM pg_stat_replication") == [(0,)]
    assert shop.sql("SELECT count(*) FROM pg_replication_slots") == [(0,)]
    assert not (standing(shop).place / "passfile").exists()
    password = shop.server.password.encode()
    assert not [path for path in standing(shop).place.glob("*/*.conf") if password in path.read_bytes()]
    assert (side(shop).stage, side(shop).parachute, side(shop).lsn) == (Stage.PAUSED, True, shop.then().lsn)
    assert not [path for path in shop.server.archive.iterdir() if not path.name.startswith("00000001")]

    kill_server(sides_of(shop))
    said = check_parachute.fn(shop.database, shop.point())
    assert at_the_point(shop)
    assert seen.fits(ids(shop))
    assert said.endswith("pg_amcheck found no damage" if shop.sql(AMCHECK) else "there is no extension amcheck")
    assert arm_parachute.fn("shop", "v1.2.0", shop.database, shop.point()).endswith("its side is raised from the set")
    assert len(postmasters(sides_of(shop))) == 1


def test_the_next_release_takes_its_place_and_one_in_use_is_left_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one is gone; killed while it followed, the new one still comes to the point."""

    def kill() -> None:
        kill_server(sides_of(shop))

    shop.gate()
    older = standing(shop).place
    assert older.is_dir()
    with customers(shop, monkeypatch, kill) as seen:
        assert shop.gate("v1.3.0").proved

    name, service = shop.point("v1.3.0").name, shop.service.name
    assert names(shop) == [name]
    assert at_the_point(shop, "v1.3.0")
    assert seen.fits(ids(shop))
    assert pack_parachute.fn(service, "v1.2.0", shop.database).startswith("skipped: there is no parachute")

    assert shop.database.restore is not None
    way = shop.server.dsn(service).replace(f":{shop.server.port}/", f":{shop.database.restore.port}/")
    with psycopg.connect(way):
        assert "left alone: 1 clients" in pack_parachute.fn(service, "v1.3.0", shop.database)
        with pytest.raises(Refused, match="1 clients are connected"):
            arm_parachute.fn(service, "v1.4.0", shop.database, RestorePoint("shop-v1.4.0-1", 1))
    promote_side.fn(shop.database, shop.point("v1.3.0"))
    ask(shop, "INSERT INTO orders (amount) VALUES (-1)")
    with pytest.raises(Refused, match="was promoted and may hold what is nowhere else"):
        arm_parachute.fn(service, "v1.4.0", shop.database, RestorePoint("shop-v1.4.0-1", 1))
    assert "left alone: the side" in pack_parachute.fn(service, "v1.3.0", shop.database)
    with pytest.raises(Refused, match="is no parachute any more"):
        check_parachute.fn(shop.database, shop.point("v1.3.0"))
    assert ask(shop, "SELECT count(*) FROM orders WHERE amount = -1") == [(1,)]
    assert names(shop) == [name]


def test_damage_in_a_parachute_is_found_before_it_is_needed(shop: Shop) -> None:
    """An index that lost its entries counts as many rows; pg_amcheck looks into it, where it is there."""
    if not shop.sql(AMCHECK):
        pytest.skip("this PostgreSQL comes without amcheck")
    shop.gate()
    [(path,)] = ask(shop, "SELECT pg_relation_filepath('orders_pkey')")
    kill_server(sides_of(shop))
    index = Path(standing(shop).data, str(path))
    with index.open("r+b") as file:
        file.seek(8192 + 7000)
        file.write(bytes(range(256)) * 2)

    with pytest.raises(Refused, match=r"parachute: pg_amcheck failed: .*orders_pkey"):
        check_parachute.fn(shop.database, shop.point())

    assert pack_parachute.fn(shop.service.name, "v1.2.0", shop.database).startswith("took down the side ")
    assert names(shop) == []
    assert raise_side.fn(shop.database, shop.point()).startswith("the side ")
    assert at_the_point(shop)
