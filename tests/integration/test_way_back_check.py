"""`ripcord check` of a database: each thing that a way back needs is tried, and nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra.lab.postgres import postgres
from recovery.errors import Refused, Unavailable
from tasks.postgres.checking import check_database
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
