"""`ripcord check` of a database: each thing that a way back needs is tried, and nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra.lab.postgres import Postgres, postgres
from recovery.errors import Refused, Unavailable
from tasks.postgres.checking import check_database
from tests.integration.restoring import new_street
from tests.integration.test_way_back import GRANTS
from tests.integration.way_back import URL, Shop, new_shop


@pytest.fixture(name="shop", scope="module")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose gate was walked once."""
    with (
        postgres(tmp_path_factory.mktemp("archiving"), archiving=True) as server,
        pytest.MonkeyPatch.context() as patch,
        new_shop(server, "checked", patch) as shop,
    ):
        assert shop.gate().proved
        yield shop


@pytest.fixture(name="role")
def _role(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The role of the runbook, whose conninfo is ripcord's meanwhile."""
    name = shop.service.name
    shop.sql(GRANTS)
    shop.sql(f"GRANT CREATE ON DATABASE {name} TO gate")
    monkeypatch.setenv(URL, f"host=127.0.0.1 port={shop.server.port} user=gate dbname={name} password='a gate\\'s own'")
    yield name
    with psycopg.connect(shop.server.dsn(name), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY gate CASCADE; DROP ROLE gate"))


def test_it_says_what_there_is(shop: Shop, role: str) -> None:
    """The runbook's role suffices; server, archive, newest set, and that a catastrophe is left to people."""
    before = (shop.sets(), shop.sql("SELECT * FROM ripcord.restore_points"))

    said = check_database(shop.service)

    assert said.startswith("PostgreSQL ")
    assert "archiving" in said
    assert f"newest proved set {shop.point().name}, " in said
    assert said.endswith("a catastrophe is left to people, there is no `restore`")
    assert (shop.sets(), shop.sql("SELECT * FROM ripcord.restore_points")) == before


@pytest.mark.parametrize(
    ("taken", "given", "named"),
    [
        ("REVOKE EXECUTE ON FUNCTION pg_switch_wal() FROM gate", "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO gate",
         r"lacks EXECUTE ON FUNCTION pg_switch_wal\(\)"),
        ("ALTER ROLE gate NOREPLICATION", "ALTER ROLE gate REPLICATION", "lacks REPLICATION"),
        ("REVOKE pg_read_all_data FROM gate", "GRANT pg_read_all_data TO gate", "lacks pg_read_all_data"),
        ("REVOKE CREATE ON DATABASE checked FROM gate", "GRANT CREATE ON DATABASE checked TO gate",
         "lacks CREATE ON DATABASE"),
    ],
)  # fmt: skip
def test_a_right_that_is_missing_is_named(shop: Shop, role: str, taken: str, given: str, named: str) -> None:
    """Each one alone, with the page where the grants stand."""
    shop.sql(taken)
    with pytest.raises(Refused, match=rf"{named}.*docs/runbooks/prepare_release\.md"):
        check_database(shop.service)
    shop.sql(given)

    assert check_database(shop.service)


def test_a_role_that_may_replicate_and_is_not_let_in_is_told(shop: Shop, role: str) -> None:
    """pg_hba.conf names replication on its own; pg_basebackup would fail at the night of the release."""
    rules = Path(shop.server.data, "pg_hba.conf")
    before = rules.read_text()
    rules.write_text("host replication all 127.0.0.1/32 reject\n" + before)
    try:
        shop.sql("SELECT pg_reload_conf()")
        with pytest.raises(Refused, match=r"is not let in for replication: .*pg_hba"):
            check_database(shop.service)
    finally:
        rules.write_text(before)
        shop.sql("SELECT pg_reload_conf()")


def test_a_server_that_is_not_there_is_unavailable(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a service without a database has nothing to be checked."""
    monkeypatch.setenv(URL, shop.server.dsn("checked").replace(f":{shop.server.port}/", ":1/"))
    with pytest.raises(Unavailable, match="did not answer"):
        check_database(shop.service)
    assert check_database(shop.service.model_copy(update={"database": None})) == "none in the catalogue"


def test_what_a_restore_would_need_is_tried_too(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right to fence, the directory of the restored servers, and PgBouncer with the file it reads."""
    with new_street(archiving, "rights", tmp_path, monkeypatch) as street:
        said = check_database(street.shop.service)
        port = street.shop.server.port
        assert said.endswith(f"the damaged server could be fenced, and PgBouncer leads rights to 127.0.0.1:{port}")
        assert street.led_to_side() is False

        assert street.restore.pgbouncer is not None
        another = street.restore.pgbouncer.model_copy(update={"databases_file": str(tmp_path / "other.ini")})
        other = street.restore.model_copy(update={"pgbouncer": another})
        (tmp_path / "other.ini").write_text("[databases]\n")
        with pytest.raises(Refused, match="name the file that its %include takes in"):
            check_database(street.shop.with_(restore=other).service)

        journalled = street.restore.model_copy(update={"journal": True})
        with pytest.raises(Refused, match="`journal` needs wal_level logical"):
            check_database(street.shop.with_(restore=journalled).service)

        street.shop.sql(GRANTS)
        street.shop.sql("GRANT CREATE ON DATABASE rights TO gate")
        words = f"host=127.0.0.1 port={port} user=gate dbname=rights password='a gate\\'s own'"
        monkeypatch.setenv(URL, words)
        try:
            with pytest.raises(Refused, match=r"cannot close rights: GRANT ripcord TO it.*GRANT pg_signal_backend"):
                check_database(street.shop.service)
        finally:
            street.shop.sql("DROP OWNED BY gate CASCADE; DROP ROLE gate")
