"""What a salvage must live with: sequences, circles, triggers, migrations, locks, rights, changed files, odd names."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra.lab.postgres import Postgres, postgres
from recovery.errors import Refused, Unavailable
from recovery.salvage_tables import Kind
from recovery.salvages import Choice
from tasks.postgres.salvage import applying, read_servers
from tests.integration.salvaging import (
    NASTY,
    POINT,
    SHOP,
    URL,
    WRITTEN,
    Make,
    conflicts,
    making,
    psql,
)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("salvage")) as server:
        yield server


@pytest.fixture(name="make")
def _make(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    with making(server, tmp_path, monkeypatch) as make:
        yield make


def test_no_number_is_handed_out_twice(make: Make) -> None:
    """Serials, identities, those that count downwards and those that were never asked; a cycle is let alone."""
    world = make(
        SHOP + "CREATE SEQUENCE down INCREMENT -5; CREATE SEQUENCE never; CREATE SEQUENCE round MAXVALUE 9 CYCLE;"
        "CREATE SEQUENCE full_up MAXVALUE 7; CREATE SEQUENCE idle"
    )
    asked = ("customers_id_seq", "orders_id_seq", "down", "never", "round", "full_up")
    handed = {name: [world.sql("damaged", f"SELECT nextval('{name}')")[0][0] for _ in range(7)] for name in asked}
    world.sql("restored", "SELECT nextval('customers_id_seq')")
    export = world.export()
    assert [each.name for each in export.sequences] == ["customers_id_seq", "down", "full_up", "never", "orders_id_seq"]

    world.apply(Choice.INSERTED)

    for name in ("customers_id_seq", "orders_id_seq", "never"):
        assert world.sql("restored", f"SELECT nextval('{name}')")[0][0] > max(handed[name])
    assert world.sql("restored", "SELECT nextval('down')")[0][0] < min(handed["down"])
    with pytest.raises(psycopg.errors.SequenceGeneratorLimitExceeded):
        world.sql("restored", "SELECT nextval('full_up')")
    before = world.sql("restored", "SELECT * FROM pg_sequences ORDER BY 1, 2")
    world.apply(Choice.INSERTED)
    assert world.sql("restored", "SELECT * FROM pg_sequences ORDER BY 1, 2") == before


def test_rows_that_wait_for_each_other_get_in(make: Make) -> None:
    """A value handed from a deleted row to a new one, circles of deferrable keys, trees, unique keys checked late."""
    world = make(
        "CREATE TABLE a (id int PRIMARY KEY, name text UNIQUE, b int);"
        "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a DEFERRABLE);"
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE;"
        "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE);"
        "CREATE TABLE late (id int PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO a VALUES (1, 'one', NULL); INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2);"
        "INSERT INTO late VALUES (1, 1), (2, 2)"
    )
    world.sql("damaged", "DELETE FROM a; INSERT INTO a VALUES (2, 'one', NULL); DELETE FROM tree")
    world.sql("damaged", "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO a VALUES (5, 'five', 6);"
              "INSERT INTO b VALUES (6, 5); COMMIT; INSERT INTO tree VALUES (9, NULL), (8, 9), (4, 8)")  # fmt: skip
    world.sql("damaged", "UPDATE late SET place = 3 - place; INSERT INTO late VALUES (3, 3)")
    world.export()

    world.apply()

    assert conflicts(world) == []
    assert world.contents("restored") == world.contents("damaged")


def test_a_row_that_the_database_does_not_take_is_told_and_the_rest_gets_in(make: Make) -> None:
    """A parent that was left out, a trigger that says no, a trigger that changes what is written."""
    world = make(
        SHOP + "CREATE TABLE notes (id int PRIMARY KEY, text text);"
        "CREATE FUNCTION censor() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.text = 'bad' THEN "
        "RAISE EXCEPTION 'not this one'; END IF; NEW.text := replace(NEW.text, 'x', '*'); RETURN NEW; END $$;"
    )
    world.sql("damaged", "INSERT INTO customers (name) VALUES ('new'); INSERT INTO orders (customer) VALUES (21), (3)")
    world.sql("damaged", "INSERT INTO notes VALUES (1, 'good'), (2, 'bad'), (3, 'xx'), (4, 'good')")
    trigger = "CREATE TRIGGER censor BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION censor()"
    for which in ("then", "restored"):
        world.sql(which, trigger)
    [notes] = [found for found in world.export().tables if found.table == "public.notes"]
    assert notes.comparison.table.triggers == ("censor",)

    world.apply(Choice.EVERYTHING, ("public.customers",))

    assert conflicts(world) == [
        ("public.notes", "inserted", "id = 2", "not this one"),
        ("public.notes", "inserted", "id = 3", "it was written, and a trigger or somebody else changed it at once"),
        ("public.orders", "inserted", "id = 21",
         'insert or update on table "orders" violates foreign key constraint "orders_customer_fkey"'),
    ]  # fmt: skip
    assert world.sql("restored", "SELECT id, text FROM notes ORDER BY id") == [(1, "good"), (3, "**"), (4, "good")]
    assert world.sql("restored", "SELECT id, customer FROM orders WHERE id > 20") == [(22, 3)]


def test_what_the_schema_lost_or_got_since_is_said(make: Make) -> None:
    """A migration ran after the point: both sides' columns are compared, and what is not in the export is named."""
    world = make(
        "CREATE TABLE wide (id int PRIMARY KEY, gone text, short varchar(3), kept text); CREATE TABLE dropped (id int);"
        "CREATE UNLOGGED TABLE cache (id int PRIMARY KEY);"
        "INSERT INTO wide VALUES (1, 'g', 's', 'k'), (2, 'g', 's', 'k')"
    )
    world.sql("damaged", "ALTER TABLE wide DROP gone, ADD fresh int DEFAULT 5, ALTER short TYPE varchar(30)")
    world.sql("damaged", "DROP TABLE dropped; CREATE TABLE late (id int, v text)")
    world.sql("damaged", "INSERT INTO late VALUES (2, 'b'), (1, '')")
    world.sql("damaged", "UPDATE wide SET kept = 'new' WHERE id = 1; INSERT INTO wide VALUES (3, 'too long', 'k', 1)")
    world.sql("damaged", "INSERT INTO cache VALUES (1); SELECT lo_create(0)")

    export = world.export()
    world.apply()

    assert [f"{found.table} {dict(found.counts)}" for found in export.tables] == [
        "public.wide {<Kind.INSERTED: 'inserted'>: 1, <Kind.CHANGED: 'changed'>: 1}"
    ]
    assert list(export.notes) == [
        "public.dropped was dropped after the point",
        "public.cache is unlogged, a restore empties it: it is not compared",
        "public.wide has fresh only since after the point: compared is what both have, as text",
        "public.wide has gone no longer: compared is what both have, as text",
        "public.late was made after the point: its 2 rows are in csv/new-001-public.late.csv alone",
        "there are 1 large objects, which are not compared: see lo_export of psql",
    ]
    rows = (world.place / "csv" / "new-001-public.late.csv").read_text().splitlines()
    assert (rows[0], sorted(rows[1:])) == ('"id","v"', ['"1",""', '"2","b"'])
    assert world.sql("restored", "SELECT * FROM wide ORDER BY id") == [(1, "g", "s", "new"), (2, "g", "s", "k")]
    assert conflicts(world) == [("public.wide", "inserted", "id = 3", "value too long for type character varying(3)")]


def test_a_key_that_is_equal_and_written_otherwise_is_the_same_row(make: Make) -> None:
    """As `1 mon` and `30 days` are: the row was changed, not deleted and put in anew."""
    world = make(
        "CREATE DOMAIN price AS numeric; CREATE TABLE terms (term interval, at price, v text, PRIMARY KEY (term, at));"
        "INSERT INTO terms VALUES ('1 mon', 1, 'kept'), ('1 mon', 2, 'old'), ('30 days', 3, 'gone'), ('1 day', 1, 'k')"
    )
    world.sql("damaged", "UPDATE terms SET term = '30 days', v = 'new' WHERE at = 2; DELETE FROM terms WHERE at = 3")
    world.sql("damaged", "UPDATE terms SET at = 1.0 WHERE term = '1 day'; INSERT INTO terms VALUES ('2 mon', 1, 'put')")

    export = world.export()
    world.apply()

    assert [dict(found.counts) for found in export.tables] == [{Kind.INSERTED: 1, Kind.CHANGED: 2, Kind.DELETED: 1}]
    assert world.contents("restored") == world.contents("damaged")


def test_a_key_of_another_type_is_no_longer_a_key_but_a_wider_number_is(make: Make) -> None:
    """A migration made the number wider, and of a text a uuid; what the old type cannot hold stays out and is said."""
    ids = [f"00000000-0000-0000-0000-00000000000{at}" for at in range(4)]
    world = make(
        "CREATE TABLE wider (id int PRIMARY KEY, v text); INSERT INTO wider VALUES (1, 'a'), (2, 'b'), (3, 'c');"
        "CREATE TABLE typed (id text PRIMARY KEY, v text);"
        f"INSERT INTO typed VALUES ('{ids[0]}', 'a'), ('{ids[1]}', 'b')"
    )
    world.sql("damaged", "ALTER TABLE wider ALTER id TYPE bigint; ALTER TABLE typed ALTER id TYPE uuid USING id::uuid")
    world.sql("damaged", "INSERT INTO wider VALUES (4, 'd'), (3000000000, 'e'); UPDATE wider SET v = 'B' WHERE id = 2")
    world.sql("damaged", f"DELETE FROM wider WHERE id = 3; INSERT INTO typed VALUES ('{ids[2]}', 'c')")
    world.sql("damaged", f"UPDATE typed SET v = 'B' WHERE id = '{ids[1]}'")

    export = world.export()
    world.apply()

    assert {found.table: dict(found.counts) for found in export.tables} == {
        "public.typed": {Kind.INSERTED: 2, Kind.DELETED: 1},
        "public.wider": {Kind.INSERTED: 2, Kind.CHANGED: 1, Kind.DELETED: 1},
    }
    assert world.sql("restored", "SELECT * FROM wider ORDER BY id") == [(1, "a"), (2, "B"), (4, "d")]
    assert world.sql("restored", "SELECT * FROM typed ORDER BY id") == list(zip(ids, "aBc", strict=False))
    too_large = 'value "3000000000" is out of range for type integer'
    assert conflicts(world) == [("public.wider", "inserted", "id = 3000000000", too_large)]
    assert "public.typed has no key: its rows are known by all that is in them" in export.notes


def test_a_row_that_somebody_holds_changes_nothing_and_may_be_tried_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Customers are never queued behind us for long; the next try takes all back."""
    world = make(SHOP)
    world.sql("damaged", WRITTEN)
    world.export()
    before = world.contents("restored")
    monkeypatch.setattr(applying, "_WRITING", applying._WRITING.replace("'10s'", "'200ms'"))
    with psycopg.connect(world.server.dsn(f"{world.name}_restored")) as other:
        other.execute("SELECT FROM customers WHERE id = 7 FOR UPDATE")

        with pytest.raises(Unavailable, match="lock timeout"):
            world.apply()

        assert world.contents("restored") == before
        assert world.sql("restored", "SELECT to_regclass('ripcord.salvages')") == [(None,)]
    world.apply()
    assert world.contents("restored") == world.contents("damaged")


def test_a_file_that_was_changed_by_hand_is_not_taken_for_the_export(make: Make) -> None:
    """What a person reviewed is what goes back; who edits runs the SQL himself."""
    world = make(SHOP)
    world.sql("damaged", WRITTEN)
    world.export()
    csv = next(world.place.glob("csv/*customers.csv"))
    csv.write_text(csv.read_text().replace("new", "mine"))

    with pytest.raises(Refused, match=r"csv/001-public\.customers\.csv in .* was changed by hand"):
        world.apply()

    (world.place / "summary.json").unlink()
    with pytest.raises(Refused, match="is not a whole export"):
        world.apply()


def test_a_role_with_the_runbooks_grants_suffices(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No superuser; without the right to write it is told, and rows that a policy hides are an error, never a gap."""
    world = make(SHOP)
    world.sql("damaged", WRITTEN)
    try:
        world.sql(
            "damaged",
            "CREATE ROLE salvor LOGIN PASSWORD 'a salvor''s own'; GRANT pg_monitor, pg_read_all_data TO salvor",
        )
        world.sql("restored", f"GRANT CREATE ON DATABASE {world.name}_restored TO salvor")
        for variable, which in ((URL, "damaged"), ("THEN_URL", "then")):
            dsn = f"host=127.0.0.1 port={world.server.port} user=salvor dbname={world.name}_{which}"
            monkeypatch.setenv(variable, f"{dsn} password='a salvor\\'s own'")
        world.export()
        with pytest.raises(Refused, match=r"does not allow it: permission denied for .*runbooks/salvage\.md"):
            world.apply()
        world.sql("damaged", "GRANT pg_write_all_data TO salvor")

        world.apply()

        assert world.contents("restored") == world.contents("damaged")
        world.sql("damaged", f"ALTER DATABASE {world.name}_damaged CONNECTION LIMIT 0")
        with pytest.raises(Refused, match="lets superusers in alone, name one in SALVAGED_URL"):
            read_servers.fn(world.database)
        world.sql("damaged", f"ALTER DATABASE {world.name}_damaged CONNECTION LIMIT -1")
        world.place.rename(world.place.with_name("old"))
        world.sql("damaged", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
        with pytest.raises(Refused, match="row-level security"):
            world.export()
    finally:
        for which in ("damaged", "then", "restored"):
            world.sql(which, "DROP OWNED BY salvor CASCADE")
        world.sql("damaged", "DROP ROLE salvor")


def test_an_empty_salvage_is_said_and_takes_nothing(make: Make) -> None:
    """Nobody wrote anything: no table, no file of rows, nothing to take back."""
    world = make(SHOP + NASTY)

    export = world.export()

    assert (export.rows, export.tables, export.sequences) == (0, (), ())
    assert sorted(path.name for path in world.place.rglob("*") if path.is_file()) == ["all.sql", "summary.json"]
    assert export.point == POINT.name
    assert world.apply() == "skipped: all was taken back before; 0 sequences moved ahead"


def test_a_name_that_is_an_attack_is_a_name(make: Make) -> None:
    """Tables, columns, keys and values that would be SQL if they were not quoted."""
    evil = "x'; DROP TABLE customers; --"
    world = make(SHOP)
    for which in ("damaged", "then", "restored"):
        with psycopg.connect(world.server.dsn(f"{world.name}_{which}"), autocommit=True) as plain:
            names = [sql.Identifier(evil + text) for text in (" table\n\\! id", ' "key', " %s value")]
            plain.execute(sql.SQL("CREATE TABLE {} ({} text PRIMARY KEY, {} text)").format(*names))
            if which == "damaged":
                row = [sql.Literal(evil), sql.Literal("\\'; DROP TABLE orders; --\n\\! id\n\\.\n")]
                plain.execute(sql.SQL("INSERT INTO {} VALUES ({}, {})").format(names[0], *row))
    world.export()

    assert psql(world, "restored", world.place / "all.sql") == ""
    assert world.contents("restored") == world.contents("damaged")
    world.apply()
    assert world.contents("restored") == world.contents("damaged")
