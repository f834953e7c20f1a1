"""A restore that fails before the restored server takes writes leaves all as it was; each failure is a sentence."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import flows.restore_database
from infra.lab.postgres import Postgres
from infra.lab.process import wait_until
from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable
from tasks.postgres import pooler
from tests.integration.restoring import POOLER, Street, new_street
from tests.integration.way_back import URL


@pytest.fixture(name="gated", scope="module")
def _gated(archiving: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """One shop for all tests of this file, with a proved point: each leaves it as it was."""
    with (
        pytest.MonkeyPatch.context() as patch,
        new_street(archiving, "shop", tmp_path_factory.mktemp("pooler"), patch) as street,
    ):
        street.shop.sql("CREATE ROLE guest LOGIN PASSWORD 'guest'; GRANT pg_monitor TO guest")
        street.shop.gate()
        yield street


@pytest.fixture(name="street")
def _street(gated: Street) -> Iterator[Street]:
    """The shop; a test that does not leave it as it was fails."""
    yield gated
    gated.as_before()


def failure(street: Street, kind: type[RecoveryError]) -> str:
    """The sentence with which a restore fails; it holds no password."""
    with pytest.raises(kind) as failed:
        street.take_back()
    said = str(failed.value)
    assert street.shop.server.password not in said
    assert street.pooler.password not in said
    return said


def test_a_rehearsal_touches_nothing(street: Street) -> None:
    """It counts what would be lost and reads nothing else; no server is raised."""
    street.ask("INSERT INTO ledger (who) VALUES ('late')")
    plan = street.plan()

    assert plan.ask
    assert not plan.served
    assert "of which customers wait only for the end" in plan.forecast
    assert list(Path(street.restore.sides).iterdir()) == []


def test_a_wrong_password_of_the_console_is_a_sentence(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a missing one, or a role that is no admin, more than that."""
    monkeypatch.setenv(POOLER, street.pooler.dsn("pgbouncer", "pooler").replace(street.pooler.password, "hunter2"))
    assert (said := failure(street, Refused)).startswith("PgBouncer does not let us in")
    assert "hunter2" not in said
    monkeypatch.setenv(POOLER, street.pooler.dsn("pgbouncer", "shopper"))
    assert POOLER in failure(street, Refused)
    monkeypatch.delenv(POOLER)
    assert failure(street, Refused) == f"{POOLER} is not set: it must hold the conninfo of PgBouncer's admin console"


def test_a_pooler_that_is_dead_or_hangs_is_unavailable(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is frozen that could not be let go again."""
    monkeypatch.setenv("RIPCORD_REQUEST_TIMEOUT", "2")
    street.pooler.stop()
    assert "did not answer" in failure(street, Unavailable)
    street.pooler.start()


def test_a_server_that_hangs_is_not_taken_for_a_dead_one(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel takes connections that nobody answers, and whoever was in it may go on committing."""
    monkeypatch.setenv("RIPCORD_REQUEST_TIMEOUT", "2")
    with psycopg.connect(street.shop.server.dsn("shop"), autocommit=True) as inside:
        os.kill(street.shop.server.process.pid, signal.SIGSTOP)
        try:
            inside.execute("INSERT INTO ledger (who) VALUES ('committed while it hangs')")
            assert "it may hang and go on committing: stop it" in failure(street, Refused)
        finally:
            os.kill(street.shop.server.process.pid, signal.SIGCONT)


def test_a_database_that_cannot_be_opened_again_is_said_and_its_clients_are_let_go(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They get the server's own answer and no endless wait; the restore stays begun, and the way out is named."""

    def fail(*given: object) -> str:
        os.kill(street.shop.server.process.pid, signal.SIGSTOP)
        raise Unavailable("the restored server does not answer")

    monkeypatch.setenv("RIPCORD_REQUEST_TIMEOUT", "2")
    monkeypatch.setattr(flows.restore_database, "promote_restored", fail)
    try:
        assert "run ALTER DATABASE shop ALLOW_CONNECTIONS true on the damaged server" in failure(street, Incomplete)
        assert street.shown()["paused"] == 0
        assert list(Path(street.restore.sides).glob("*.restore.json"))
    finally:
        os.kill(street.shop.server.process.pid, signal.SIGCONT)

    monkeypatch.setattr(flows.restore_database, "promote_restored", lambda *given: stop())
    assert failure(street, Unavailable) == "far enough"


def stop() -> str:
    """Fail before the promotion, so that all is opened again."""
    raise Unavailable("far enough")


def test_a_file_that_pgbouncer_does_not_read_is_refused(street: Street, tmp_path: Path) -> None:
    """Found before anybody is held back: after the promotion it would be too late."""
    other = tmp_path / "databases.ini"
    other.write_text("[databases]\nshop = host=10.0.0.9 port=5432\n")
    way = street.restore.pgbouncer
    assert way is not None
    restore = street.restore.model_copy(update={"pgbouncer": way.model_copy(update={"databases_file": str(other)})})
    with pytest.raises(Refused, match=r"leads shop to 10\.0\.0\.9:5432 and PgBouncer to 127\.0\.0\.1"):
        Street(street.shop.with_(restore=restore), street.pooler, restore).plan()
    other.write_text("[databases]\n")
    with pytest.raises(Refused, match="leads shop to nothing"):
        Street(street.shop.with_(restore=restore), street.pooler, restore).plan()


def test_a_copy_that_is_not_what_was_is_never_promoted(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """The customers never notice: nobody was held back yet."""
    then = street.shop.then()
    path = street.shop.place().set / "then.json"
    was = path.read_text()
    path.write_text(was.replace(f'"public.orders": {then.after.counts["public.orders"]}', '"public.orders": 99'))
    try:
        with street.customers() as customers:
            assert "table public.orders has 100 rows and not 99" in failure(street, Refused)
        assert customers.errors == []
    finally:
        path.write_text(was)


def test_a_failure_while_customers_are_held_back_lets_them_go(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """They waited, none of them saw an error, and everything they wrote is there."""

    def fail(*given: object) -> str:
        assert street.shown()["paused"] == 1
        assert street.allowed()[0] is False
        raise Unavailable("the restored server does not answer")

    monkeypatch.setattr(flows.restore_database, "promote_restored", fail)
    with street.customers() as customers:
        wait_until(lambda: len(customers.acknowledged) > 20, what="customers", seconds=20)
        assert failure(street, Unavailable) == "the restored server does not answer"
        served = len(customers.acknowledged)
        wait_until(lambda: len(customers.acknowledged) > served + 20, what="customers", seconds=20)

    assert customers.errors == []
    there = {str(row[0]) for row in street.ask("SELECT who FROM ledger")}
    assert {which for _, _, which in customers.acknowledged} <= there


def test_a_transaction_without_end_is_cut_off_and_nobody_else(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its time; then its server connection is ended, and the pause is complete. Direct connections, too."""
    monkeypatch.setattr(pooler, "PAUSE_SECONDS", 1.0)
    seen = {}

    def look(*given: object) -> str:
        seen["connected"] = street.shop.server, connected(street)
        raise Unavailable("far enough")

    monkeypatch.setattr(flows.restore_database, "promote_restored", look)
    with (
        psycopg.connect(street.pooler.dsn("shop", "shopper")) as endless,
        psycopg.connect(street.shop.server.dsn("shop")) as direct,
        street.customers() as customers,
    ):
        endless.execute("INSERT INTO ledger (who) VALUES ('never committed')")
        direct.execute("SELECT 1")
        failure(street, Unavailable)
        with pytest.raises(psycopg.OperationalError):
            endless.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            direct.execute("SELECT 1")

    assert seen["connected"][1] == []
    assert customers.errors == []
    assert street.ask("SELECT count(*) FROM ledger WHERE who = 'never committed'") == [(0,)]


def connected(street: Street) -> list[tuple[object, ...]]:
    """Who is in the damaged database, as the server itself tells in another one."""
    with psycopg.connect(street.shop.server.dsn(), autocommit=True) as asked:
        return asked.execute("SELECT pid FROM pg_stat_activity WHERE datname = 'shop'").fetchall()


def test_a_role_that_may_not_fence_is_refused_by_name(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is held back, with the grants that are missing."""
    monkeypatch.setenv(URL, f"postgresql://guest:guest@127.0.0.1:{street.shop.server.port}/shop")

    said = failure(street, Refused)

    assert "the role cannot close shop: GRANT ripcord TO it" in said
    assert "GRANT pg_signal_backend TO it" in said


def test_a_later_release_with_its_own_point_is_in_the_way(street: Street) -> None:
    """Whoever goes back further than the last point must have said so."""
    set_, then = street.shop.place().set, street.shop.then()
    later = set_.parent / "later"
    shutil.copytree(set_, later)
    text = (later / "then.json").read_text().replace('"v1.2.0"', '"v1.3.0"').replace(then.name, "later")
    (later / "then.json").write_text(text.replace(f'"lsn": "{then.lsn}"', '"lsn": "9/0"'))
    try:
        with pytest.raises(
            Refused, match=r"v1\.3\.0 of shop has a point of its own.*restore v1\.3\.0, or move .*later"
        ):
            street.plan()
        with pytest.raises(Refused, match=r"no proved set of shop v0\.1\.0, proved are v1\.3\.0, v1\.2\.0"):
            street.plan("v0.1.0")
    finally:
        shutil.rmtree(later)


def test_a_port_in_use_is_refused_first(street: Street) -> None:
    """By name, before anybody is held back."""
    restore = street.restore.model_copy(update={"port": street.shop.server.port})
    shop = street.shop.with_(restore=restore)
    with pytest.raises(Refused, match=r"is taken|led to .* already"):
        Street(shop, street.pooler, restore).plan()


def test_the_console_answers_in_time_or_not_at_all(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PgBouncer that stands still holds up nobody for ever: it wakes up and finds all as it was."""
    monkeypatch.setenv("RIPCORD_REQUEST_TIMEOUT", "1")
    street.pooler.process.kill(signal.SIGSTOP)
    waker = threading.Timer(4.0, lambda: street.pooler.process.kill(signal.SIGCONT))
    waker.start()
    began = time.monotonic()
    try:
        failure(street, Unavailable)
        assert time.monotonic() - began < 4
    finally:
        waker.join()
