"""What else a night brings: a server that is dead, sessions that do not end, a role with few rights, a person's no."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import flows.restore_database
from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from recovery.catalog import Service
from recovery.errors import Incomplete, Unavailable
from tasks.postgres.freezing import read_begun
from tasks.postgres.pooler import lead_clients
from tests.integration.restoring import CORRUPT, Street, new_street
from tests.integration.way_back import URL

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "restore_database.md"
GATE = """
CREATE ROLE gate LOGIN REPLICATION PASSWORD 'of-the-gate';
GRANT pg_monitor, pg_read_all_data TO gate;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO gate;
"""
GRANTS = """
GRANT shop_owner TO gate;
GRANT pg_signal_backend TO gate;
"""


@pytest.fixture(name="archiving")
def _archiving(tmp_path: Path) -> Iterator[Postgres]:
    """A server of the test's own: of two restored beside one, both would archive a timeline 2."""
    with postgres(tmp_path / "server", archiving=True) as server:
        yield server


@pytest.fixture(name="street")
def _street(archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    with new_street(archiving, "night", tmp_path, monkeypatch) as street:
        yield street


def test_the_damaged_server_lets_superusers_read_and_nobody_write(street: Street) -> None:
    """It is evidence; its position when it was frozen is remembered."""
    street.shop.gate()
    street.ask("INSERT INTO ledger (who) VALUES ('late')")
    street.take_back()

    assert street.allowed() == (True, 0)
    name, port = street.shop.service.name, street.shop.server.port
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        psycopg.connect(f"postgresql://shopper:of-the-shop-alone@127.0.0.1:{port}/{name}")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        street.shop.sql("DELETE FROM ledger")
    assert street.shop.sql("SELECT who FROM ledger") == [("late",)]
    begun = read_begun.fn(street.shop.database, street.plan().point)
    assert begun is not None
    assert begun.frozen
    [(behind,)] = street.shop.sql(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{begun.end}') >= 0")
    assert behind is True


def test_a_dead_server_is_left_behind_and_closed_when_it_comes_back(street: Street) -> None:
    """Its losses are unknown and said so; nothing waits for it; when it is started again, a repeat closes it."""
    street.shop.gate()
    street.shop.server.process.kill(signal.SIGKILL)
    wait_until(lambda: not street.shop.server.process.running(), what="its end", seconds=10)
    try:
        plan = street.plan()
        assert "the damaged server does not answer" in plan.damaged
        assert plan.losses == ()
        assert any("what is lost is unknown" in note for note in plan.notes)

        said = street.take_back()

        assert "see that it is not started for clients" in "; ".join(said)
        assert street.led_to_side()
        assert street.ask("INSERT INTO ledger (who) VALUES ('after') RETURNING who") == [("after",)]
    finally:
        street.shop.server.restart()
    assert street.allowed() == (True, -1)

    street.take_back()

    assert street.allowed() == (True, 0)
    assert street.led_to_side()


def test_clients_of_session_pooling_are_cut_off_in_time(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PAUSE alone would wait for ever: they hold their connection until they leave. The plan says so beforehand.

    Nor is the user lost whom PgBouncer hands on in the place of all, which `auth_type = any` needs.
    """
    monkeypatch.setattr("tasks.postgres.pooler.PAUSE_SECONDS", 1.0)
    with new_street(archiving, "sessions", tmp_path, monkeypatch, pool_mode="session", forced="shopper") as street:
        street.shop.gate()
        assert any("pools by session" in note for note in street.plan().notes)
        with psycopg.connect(street.pooler.dsn("sessions", "shopper"), autocommit=True) as client:
            client.execute("SELECT 1")

            street.take_back()

            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
        assert street.led_to_side()
        assert street.ask("SELECT count(*) FROM orders") == [(100,)]
        anybody = street.pooler.dsn("sessions", "shopper").replace("shopper:", "anybody:")
        with psycopg.connect(anybody, autocommit=True) as client:
            assert client.execute("SELECT session_user, inet_server_port()").fetchone() == (
                "shopper", street.restore.port,
            )  # fmt: skip


def test_a_role_without_superuser_suffices(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exactly the grants of the gate's page and of the restore's; who owns the database is no superuser either."""
    name, server = street.shop.service.name, street.shop.server
    street.shop.sql(f"CREATE ROLE shop_owner; ALTER DATABASE {name} OWNER TO shop_owner")
    street.shop.sql(GATE + GRANTS)
    monkeypatch.setenv(URL, f"postgresql://gate:of-the-gate@127.0.0.1:{server.port}/{name}")
    street.shop.gate()
    with street.customers() as customers:
        wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
        street.take_back()
        served = len(customers.acknowledged)
        wait_until(lambda: len(customers.acknowledged) > served + 20, what="customers", seconds=20)

    assert customers.errors == []
    assert street.led_to_side()
    assert street.allowed() == (True, 0)
    page = PAGE.read_text()
    for line in GRANTS.strip().splitlines():
        assert line in page


def test_after_the_promotion_there_is_only_forward(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure says what stands, nobody is let back to the damaged server, and a repeat goes on unasked."""

    def fail(*given: object) -> str:
        raise Unavailable("PgBouncer did not answer")

    street.shop.gate()
    monkeypatch.setattr(flows.restore_database, "lead_clients", fail)
    with street.customers() as customers:
        wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
        with pytest.raises(Incomplete, match=r"PgBouncer did not answer; the restored server takes writes.*it goes on"):
            street.take_back()
        assert street.shown()["paused"] == 1
        assert street.allowed()[0] is False
        assert not street.plan().ask

        monkeypatch.setattr(flows.restore_database, "lead_clients", lead_clients)
        street.take_back()
        served = len(customers.acknowledged)
        wait_until(lambda: len(customers.acknowledged) > served + 20, what="customers", seconds=20)

    assert customers.errors == []
    assert street.led_to_side()


@pytest.mark.parametrize("answer", [pytest.param(True, marks=pytest.mark.torture), False])
def test_nothing_is_touched_before_a_person_has_answered(
    answer: bool, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A no leaves everything as it is; a yes restores and tells it once under one identity."""
    told: list[tuple[str, ...]] = []
    street.shop.gate()
    module = flows.restore_database

    def ask(plan: object) -> bool:
        assert street.allowed() == (True, -1)
        assert list(Path(street.restore.sides).iterdir()) == []
        return answer

    def read(name: str) -> Service:
        return street.shop.service

    def tell(*said: str) -> str:
        told.append(said)
        return said[1]

    monkeypatch.setattr(module, "agreed", ask)
    monkeypatch.setattr(module, "read_service", read)
    monkeypatch.setattr(module, "notify", tell)

    said = module.restore_database.fn(street.shop.service.name, "v1.2.0", CORRUPT, rehearse=False)

    point = street.shop.then().name if not answer else street.plan().name
    assert street.led_to_side() is answer
    assert len(told) == 1
    kind = "database" if answer else "declined/restore"
    assert told[0][0] == f"{kind}/{street.shop.service.name}/{point}"
    assert (f"is back at {point}" in said) is answer


def test_two_services_of_one_server_go_back_beside_each_other(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both archive into the one directory: the second takes a timeline that the first has not taken."""
    with new_street(archiving, "first", tmp_path / "a", monkeypatch) as first:
        first.shop.gate()
        first.take_back()
        with new_street(archiving, "second", tmp_path / "b", monkeypatch) as second:
            second.shop.gate()
            second.take_back()

            assert (first.led_to_side(), second.led_to_side()) == (True, True)
            which = "SELECT left(last_archived_wal, 8), failed_count FROM pg_stat_archiver"
            assert first.restored(which) == [("00000002", 0)]
            assert second.restored(which) == [("00000003", 0)]
