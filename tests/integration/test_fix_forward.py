"""A fix on a real PostgreSQL: tried on a clone, told, approved, applied once. pg_dump and psql are the witnesses."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from infra.lab.postgres import Postgres
from recovery.errors import Refused
from recovery.fix_scripts import read_script
from tasks.postgres.applying import apply_fix
from tasks.postgres.fixing import read_ground
from tests.integration.mending import Mended, mended_shop
from tests.integration.small_disk import on_small_disk
from tests.integration.way_back import URL

GOOD = """-- a column, its values, and what is asked for it; 'not a statement;'
ALTER TABLE carts ADD note text DEFAULT E'it\\'s; $$new$$';
CREATE INDEX carts_by_code ON carts (code);
DO $body$ BEGIN PERFORM 1; /* ; */ END $body$;
INSERT INTO carts (id, note) VALUES (1001, 'a;b')
"""
GRANTS = """
CREATE ROLE fixer LOGIN REPLICATION PASSWORD 'a fixer''s own';
GRANT pg_monitor, pg_read_all_data TO fixer;
"""
FULL = """
import sys
from pathlib import Path
from prefect.logging import disable_run_logger
from recovery.databases import Database
from recovery.errors import Unavailable
from recovery.fix_scripts import read_script
from tasks.postgres.fixing import read_ground, rehearse_fix
from tasks.postgres.programs import give

backups = Path(sys.argv[1], "backups")
backups.mkdir(mode=0o700)
give(backups)
database = Database(url_variable="SHOP_DATABASE_URL", backups=str(backups), archive="/nowhere")
script = read_script(sys.argv[2])
with disable_run_logger():
    try:
        rehearse_fix.fn("shop", "v1.2.0", database, script, read_ground.fn("shop", database, script.digest))
    except Unavailable as error:
        print(error)
print(sorted(path.name for path in backups.iterdir()))
"""
numbers = itertools.count(1)


@pytest.fixture(name="mended")
def _mended(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mended]:
    with mended_shop(archiving, f"shop{next(numbers)}", monkeypatch) as mended:
        yield mended


def refusal(mended: Mended, script: str) -> str:
    """The sentence with which a fix is refused; the database is byte for byte what it was, and nothing is left."""
    before = mended.dump()
    with pytest.raises(Refused) as refused:
        mended.fix(script)
    assert mended.dump() == before
    assert mended.registered() == []
    assert mended.left() == []
    assert "\n" not in str(refused.value)
    return str(refused.value)


@contextmanager
def oracle(mended: Mended, script: str) -> Iterator[str]:
    """What psql makes of a script in one transaction, on a copy of the database, as pg_dump writes it."""
    copy, server = f"{mended.shop.service.name}_oracle", mended.shop.server
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE {mended.shop.service.name}".encode())
        argv = [str(server.binaries / "psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]
        argv += ["-p", str(server.port), "-U", server.user, copy]
        env = {"PGPASSFILE": str(server.passfile), "PATH": ""}
        subprocess.run(argv, input=script, capture_output=True, text=True, check=True, env=env)
        yield mended.dump(copy)
        connection.execute(f"DROP DATABASE {copy}".encode())


def test_a_fix_is_applied_once_and_leaves_what_psql_would_leave(mended: Mended) -> None:
    """Comments, quotes and dollars are cut as PostgreSQL cuts them; a repeat says when, and changes nothing."""
    with oracle(mended, GOOD) as wanted:
        said = mended.fix(GOOD)

        assert mended.dump() == wanted

    assert said == f"the database of {mended.shop.service.name} v1.2.0 is mended by fix {read_script(GOOD).digest[:12]}"
    assert mended.run("SELECT DISTINCT note FROM carts ORDER BY 1") == [("a;b",), ("it's; $$new$$",)]
    assert mended.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'carts_by_code'::regclass") == [(True,)]
    assert mended.registered() == [(mended.shop.service.name, "v1.2.0")]
    assert (mended.asked, mended.left()) == ([], [])
    after = mended.dump()
    assert mended.fix(GOOD).startswith("skipped: the fix was applied at 2")
    assert (mended.dump(), len(mended.registered())) == (after, 1)
    history = [path.name for path in mended.shop.server.archive.iterdir() if not path.name.startswith("00000001")]
    assert history == []


def test_a_rehearsal_changes_nothing_and_tells_locks_rows_and_definitions(mended: Mended) -> None:
    """Not even the register is made; what a person reads is in PostgreSQL's own words."""
    mended.run("CREATE TABLE owners (id int PRIMARY KEY); INSERT INTO owners SELECT generate_series(1, 50)")
    before = mended.dump()
    script = (
        "ALTER TABLE carts ADD owner int REFERENCES owners; ALTER TABLE orders ALTER amount TYPE bigint;\n"
        "INSERT INTO carts (id, \"owner name\") SELECT 2000 + n, 'new' FROM generate_series(1, 7) n"
    )

    said = mended.fix(script, rehearse=True)
    [plan] = mended.plans

    assert said.startswith("rehearsed, nothing was changed: 3 statements ran on a clone in ")
    assert mended.dump() == before
    assert mended.run("SELECT to_regnamespace('ripcord')") == [(None,)]
    seen = plan.rehearsal
    assert {held.table: held.mode for held in seen.held} == {
        "public.carts": "AccessExclusiveLock",
        "public.orders": "AccessExclusiveLock",
        "public.owners": "ShareRowExclusiveLock",
    }
    assert all(0 < held.seconds <= seen.seconds for held in seen.held)
    assert [(each.table, each.inserted) for each in seen.changes] == [("public.carts", 7)]
    assert (seen.rewritten, seen.gone) == (("public.orders",), ())
    assert "column public.orders.amount integer NOT NULL" in seen.removed
    assert "column public.orders.amount bigint NOT NULL" in seen.added
    [text] = mended.shown.values()
    assert "readers and writers of public.carts wait for about" in text
    assert "- ShareRowExclusiveLock on `public.owners`: writers of public.owners wait" in text


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "SELECT 1;\n\nALTER TABLE carts ADD x int;\nALTER TABLE carts ALTER x SET NOT NULL",
            "statement 3 on line 4 (ALTER TABLE carts ALTER x SET NOT NULL): "
            'column "x" of relation "carts" contains null values',
        ),
        ("ALTER TABLE carts ADD UNIQUE (code)", "is duplicated"),
        pytest.param(
            "SELECT 1;\n/* two\nlines */ INSERT INTO carts\nVALUES (0, n)",
            'statement 2 on line 4 (INSERT INTO carts VALUES (0, n)): column "n" does not exist',
            marks=pytest.mark.torture,
        ),
        pytest.param(
            "ALTER TABLE carts ADD n int REFERENCES carts INITIALLY DEFERRED; INSERT INTO carts (id, n) VALUES (0, -1)",
            "violates foreign key constraint",
            marks=pytest.mark.torture,
        ),
        pytest.param("DO $$ BEGIN COMMIT; END $$", "invalid transaction termination", marks=pytest.mark.torture),
        ("DO $$ BEGIN PERFORM set_config('lock_timeout', '1h', false); END $$", "sets lock_timeout"),
        pytest.param(
            "INSERT INTO orders (amount) VALUES (1)",
            "smoke query 'SELECT sum(amount) FROM orders' returned 5051 and not 5050",
            marks=pytest.mark.torture,
        ),
    ],
)
def test_what_fails_on_real_data_is_refused_with_its_line(script: str, said: str, mended: Mended) -> None:
    """Production never sees it."""
    assert said in refusal(mended, script)


@pytest.mark.parametrize(
    ("script", "losses"),
    [
        pytest.param(
            "ALTER TABLE carts DROP COLUMN code", ("line 1 drops the column carts.code",), marks=pytest.mark.torture
        ),
        pytest.param(
            "DROP TABLE carts",
            ("line 1 drops the table carts", "the 1000 rows of public.carts are gone"),
            marks=pytest.mark.torture,
        ),
        (
            "TRUNCATE carts; INSERT INTO carts (id) VALUES (1)",
            ("line 1 empties carts", "the 1000 rows of public.carts are gone"),
        ),
        pytest.param(
            "DO $$ BEGIN DELETE FROM carts WHERE id <= 10; END $$",
            ("10 rows of public.carts are deleted",),
            marks=pytest.mark.torture,
        ),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE carts'; END $$", ("the 1000 rows of public.carts are gone",)),
    ],
)
def test_what_loses_data_waits_for_a_person(script: str, losses: tuple[str, ...], mended: Mended) -> None:
    """Also where the text does not show it; a no leaves everything as it was."""
    mended.answer = False
    before = mended.dump()

    mended.fix(script)

    [asked] = mended.asked
    assert [loss for loss in losses if loss not in asked] == []
    assert asked.index("DATA IS LOST") < asked.index("Statements")
    assert mended.dump() == before
    assert mended.registered() == []
    assert "is not wanted" in " ".join(mended.told.values())


def test_a_yes_applies_what_loses_data_and_a_new_name_loses_none(mended: Mended) -> None:
    """The rows of a table that is called otherwise are still there."""
    mended.fix("ALTER TABLE carts RENAME TO baskets; ALTER TABLE baskets RENAME code TO sign")
    assert mended.asked == []

    mended.fix("ALTER TABLE baskets DROP COLUMN sign")
    assert len(mended.asked) == 1
    assert len(mended.registered()) == 2
    assert mended.run("SELECT count(*) FROM pg_attribute WHERE attname = 'sign'") == [(0,)]


def test_a_schema_that_moved_since_the_rehearsal_is_refused(mended: Mended) -> None:
    """What was approved was another fix; so is one that would take rows where it took none on the clone."""
    sly = "DO $$ BEGIN DELETE FROM carts WHERE code = 'late'; END $$"
    plan, ground = mended.rehearsed("CREATE VIEW expensive AS SELECT * FROM carts WHERE total > 500")
    other, same = mended.rehearsed(sly)
    mended.run("ALTER TABLE carts ADD late int; UPDATE carts SET code = 'late' WHERE id = 1")
    before = mended.dump()

    with pytest.raises(Refused, match="the schema has changed since the rehearsal: nothing was changed"):
        apply_fix.fn(plan, mended.shop.database, ground)
    mended.run("ALTER TABLE carts DROP late")
    with pytest.raises(Refused, match=r"it deletes 1 rows of public\.carts, and on the clone it did so with none"):
        apply_fix.fn(other, mended.shop.database, same)

    mended.run("ALTER TABLE carts ADD late int")
    assert mended.dump() == before
    assert mended.registered() == []


def test_the_script_means_on_the_clone_what_it_means_in_the_database(mended: Mended) -> None:
    """A time without a zone is read in the database's own zone, a name on its own path."""
    name = mended.shop.service.name
    mended.run(
        f"CREATE SCHEMA app; CREATE TABLE app.t (at timestamp); INSERT INTO app.t VALUES ('2026-01-01 00:00');"
        f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'; ALTER DATABASE {name} SET search_path = app, public"
    )

    mended.fix("ALTER TABLE t ALTER at TYPE timestamptz; CREATE TABLE made (id int)")

    assert mended.run("SELECT at AT TIME ZONE 'UTC' = '2025-12-31 15:00' FROM app.t") == [(True,)]
    assert mended.run("SELECT to_regclass('app.made') IS NOT NULL") == [(True,)]


def test_names_are_no_way_into_the_statements(mended: Mended) -> None:
    """A service, a version or a table may be called anything; a version that is none is refused."""
    mended.run(
        'CREATE TABLE "we""ird; DROP TABLE carts; --" (id int); INSERT INTO "we""ird; DROP TABLE carts; --" VALUES (1)'
    )
    evil = "shop'; DROP TABLE carts; --"

    mended.fix('TRUNCATE "we""ird; DROP TABLE carts; --"')
    assert 'the 1 rows of public."we""ird; DROP TABLE carts; --" are gone' in mended.asked[0]
    assert read_ground.fn(evil, mended.shop.database, evil).applied_at is None
    with pytest.raises(Refused, match="is not a release tag"):
        mended.fix("SELECT 1", version=evil)
    assert mended.run("SELECT count(*) FROM carts") == [(1000,)]


def test_a_frozen_database_is_left_alone(mended: Mended) -> None:
    """A restore has taken it out of use: what is fixed there is lost."""
    name = mended.shop.service.name
    mended.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(Refused, match="the database is frozen"):
        mended.fix("SELECT 1")
    with psycopg.connect(mended.shop.server.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        with pytest.raises(Refused, match="lets nobody in, a restore may have closed it"):
            mended.fix("SELECT 1")
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    assert mended.fix("CREATE TABLE after ()").endswith(read_script("CREATE TABLE after ()").digest[:12])


def test_an_ordinary_role_with_the_grants_of_the_runbook_suffices(
    mended: Mended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No superuser is needed; without the owner's role PostgreSQL says what is missing, on the clone."""
    name = mended.shop.service.name
    mended.run(
        GRANTS
        + f"GRANT CREATE ON DATABASE {name} TO fixer; CREATE ROLE shopkeeper; ALTER TABLE carts OWNER TO shopkeeper"
    )
    monkeypatch.setenv(URL, mended.shop.server.dsn(name).replace("ripcord:", "fixer:", 1).replace(
        mended.shop.server.password, "a%20fixer's%20own"))  # fmt: skip
    script = "ALTER TABLE carts ADD note text"
    try:
        assert "(ALTER TABLE carts ADD note text): must be owner of table carts" in refusal(mended, script)
        mended.run("GRANT shopkeeper TO fixer")
        mended.fix(script)
        assert mended.run("SELECT role FROM ripcord.fixes") == [("fixer",)]
    finally:
        mended.run("DROP OWNED BY fixer, shopkeeper CASCADE; DROP ROLE fixer, shopkeeper")


def test_a_full_disk_is_a_sentence_and_leaves_no_rest(mended: Mended) -> None:
    """It fills up in the middle of the clone."""
    done, _ = on_small_disk(12, [sys.executable, "-c", FULL, "$DISK", "SELECT 1"])

    assert done.returncode == 0, done.stderr[-2000:]
    sentence, left = done.stdout.strip().splitlines()
    assert sentence.startswith("pg_basebackup: the disk of ")
    assert left == "[]"
    assert os.environ[URL]
