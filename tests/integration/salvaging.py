"""Three databases on one server: at the point, damaged after it, and restored to it. Plain psycopg is the witness."""

import hashlib
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect import Task
from prefect.logging import disable_run_logger
from psycopg import sql

from infra.lab.postgres import Postgres
from recovery.databases import Database, Restore, Secret
from recovery.restore_points import RestorePoint
from recovery.salvages import Applied, Choice, Export, Parted, parted_beside
from tasks.postgres.connection import Session, session
from tasks.postgres.salvage import apply_salvage, exports, read_applied, read_back, read_export, write_export

URL, THEN_URL = "SALVAGED_URL", "THEN_URL"
POINT = RestorePoint("shop-v1.2.0-1-00000000", 1, "0/3000090")
TABLES = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema', 'ripcord')
  AND nspname !~ '^pg_(toast|temp)' ORDER BY 1
"""
SHOP = """
CREATE TABLE customers (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount numeric,
    customer int NOT NULL REFERENCES customers ON DELETE CASCADE,
    twice numeric GENERATED ALWAYS AS (amount * 2) STORED);
INSERT INTO customers (name) SELECT 'c' || i FROM generate_series(1, 20) i;
INSERT INTO orders (customer, amount) SELECT i, i * 1.5 FROM generate_series(1, 20) i;
"""
NASTY = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text); CREATE SCHEMA "Odd % schema";
CREATE TABLE "Odd % schema"."t""able" ("Key %s" uuid, "k,2" text, j json, f float8, ts timestamptz, by bytea, m mood,
    p positive, pr pair, arr text[], iv interval, ch char(5), PRIMARY KEY ("Key %s", "k,2"));
CREATE TABLE log (at timestamptz, what text);
CREATE TABLE part (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);
CREATE TABLE base (id int PRIMARY KEY, v text); CREATE TABLE child (w text, PRIMARY KEY (id)) INHERITS (base);
CREATE TABLE nothing (); CREATE TABLE parted_log (k int, v text) PARTITION BY LIST (k);
CREATE TABLE parted_log1 PARTITION OF parted_log FOR VALUES IN (1);
CREATE TABLE parted_log2 PARTITION OF parted_log FOR VALUES IN (2);
INSERT INTO "Odd % schema"."t""able" VALUES ('00000000-0000-0000-0000-000000000001', 'a', '{"a":  1}', 0.1, 'infinity',
    '\x00ff', 'ok', 1, '(1,"x y")', '{a,NULL,""}', '1 mon 3 days', 'ab');
INSERT INTO log SELECT '2020-01-01', 'x' FROM generate_series(1, 3); INSERT INTO log VALUES (NULL, NULL);
INSERT INTO part SELECT i, i, 'v' FROM generate_series(0, 19) i;
INSERT INTO base VALUES (1, 'b'); INSERT INTO child VALUES (2, 'b', 'c');
INSERT INTO parted_log SELECT k, 'same' FROM generate_series(1, 2) k, generate_series(1, 4);
"""
WRITTEN = r"""
INSERT INTO customers (name) VALUES ('new'), (E'q''uo\\te\n\t€😀'); DELETE FROM customers WHERE id = 5;
UPDATE customers SET name = name || '!' WHERE id = 7; UPDATE orders SET amount = 1.50 WHERE id = 1;
INSERT INTO orders (customer, amount) VALUES (21, 3), (22, 'NaN'); DELETE FROM orders WHERE id = 9;
"""
NASTILY_WRITTEN = r"""
UPDATE "Odd % schema"."t""able" SET f = '-0', j = '{"a":1}', arr = '{"a,b","\\"}', ch = 'z', pr = '(,"")';
INSERT INTO "Odd % schema"."t""able" ("Key %s", "k,2", f, ts)
    VALUES ('10000000-0000-0000-0000-000000000001', '', '-Infinity', '0044-03-15 BC');
INSERT INTO log VALUES ('2020-01-01', 'x'), (NULL, ''), (NULL, 'new'), (NULL, 'new');
DELETE FROM log WHERE at IS NULL AND what IS NULL; UPDATE part SET k = 15 WHERE id = 3;
DELETE FROM part WHERE id = 12; INSERT INTO part VALUES (50, 5, NULL); UPDATE base SET v = 'changed';
INSERT INTO child VALUES (3, 'x', 'y'); INSERT INTO parted_log VALUES (1, 'same'), (2, 'other');
DELETE FROM parted_log WHERE k = 2 AND ctid IN (SELECT ctid FROM parted_log WHERE k = 2 LIMIT 2);
"""
Make = Callable[[str], "Three"]
numbers = itertools.count(1)


@dataclass(frozen=True)
class Three:
    """The three databases, and where exports go."""

    server: Postgres
    name: str
    database: Database

    def sql(self, which: str, statement: str) -> list[tuple[Any, ...]]:
        """What plain SQL says, by a connection that is not ours."""
        with psycopg.connect(self.server.dsn(f"{self.name}_{which}"), autocommit=True) as plain:
            cursor = plain.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def part(self) -> None:
        """The point: from here on there are three."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as plain:
            for which in ("then", "restored"):
                names = (sql.Identifier(f"{self.name}_{each}") for each in (which, "damaged"))
                plain.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))

    def export(self) -> Export:
        """Compare and write down."""
        write_export.fn("shop", "v1.2.0", self.database, POINT)
        return read_export.fn(self.parted)

    def apply(self, choice: Choice = Choice.EVERYTHING, left_out: tuple[str, ...] = ()) -> str:
        """Take back."""
        return apply_salvage.fn("shop", "v1.2.0", self.parted, choice, left_out)

    def applied(self) -> dict[str, Applied]:
        """What the register says, by table and kind."""
        return {f"{each.table} {each.kind}": each for each in read_applied.fn(self.parted)}

    def stands(self) -> dict[str, Applied]:
        """What a new look says."""
        return {f"{each.table} {each.kind}": each for each in read_back.fn(self.parted)}

    def contents(self, which: str) -> dict[str, list[str]]:
        """All rows of all tables, as the server writes them, in an order of their own."""
        tables = [str(row[0]) for row in self.sql(which, TABLES)]
        return {
            each: sorted(str(row[0]) for row in self.sql(which, f"SELECT t::text FROM {each} t")) for each in tables
        }

    @property
    def place(self) -> Path:
        """Where the export lies."""
        return Path(self.parted.directory)

    @property
    def parted(self) -> Parted:
        """As ripcord has the two of them."""
        return parted(self.database, f"{self.name}_restored")


def parted(database: Database, restored: str) -> Parted:
    """A damaged database and a restored one on the same server, which have other names there."""
    found = parted_beside(database, POINT.name)
    return replace(found, restored={**found.restored, "dbname": restored})


def lead(database: Database, patch: pytest.MonkeyPatch) -> None:
    """Lead ripcord to a database of the same server, where it would go to a copy of the set."""
    then = database.model_copy(update={"url_variable": THEN_URL})

    @contextmanager
    def at_the_point(*given: object) -> Iterator[Session]:
        with session(then) as asked:
            yield asked

    patch.setattr(exports, "at_the_point", at_the_point)


@contextmanager
def three(server: Postgres, directory: Path, schema: str, patch: pytest.MonkeyPatch) -> Iterator[Three]:
    """A damaged database with a schema; `part` makes the two others."""
    name = f"salvage{next(numbers)}"
    server.create_database(f"{name}_damaged")
    patch.setenv(URL, server.dsn(f"{name}_damaged"))
    patch.setenv(THEN_URL, server.dsn(f"{name}_then"))
    restore = Restore(sides=str(directory / name), port=server.port, secret=Secret(name="shop"))
    database = Database(url_variable=URL, backups=str(directory), archive="/nowhere", restore=restore)
    lead(database, patch)
    patch.setattr(Task, "__call__", lambda self, *given, **named: self.fn(*given, **named))
    found = Three(server, name, database)
    found.sql("damaged", schema)
    try:
        with disable_run_logger():
            yield found
    finally:
        with psycopg.connect(server.dsn(), autocommit=True) as plain:
            for which in ("damaged", "then", "restored"):
                gone = sql.Identifier(f"{name}_{which}")
                plain.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(gone))


@contextmanager
def making(server: Postgres, directory: Path, patch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A function that makes the three databases of a schema; the point is right after it."""
    with ExitStack() as stack:

        def make(schema: str) -> Three:
            world = stack.enter_context(three(server, directory, schema, patch))
            world.part()
            return world

        yield make


def psql(world: Three, which: str, file: Path) -> str:
    """Run a file with psql as a person would."""
    environment = os.environ | {"PGPASSFILE": str(world.server.passfile)}
    argv = [str(world.server.binaries / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={file}", "--quiet"]
    argv += ["--host=127.0.0.1", f"--port={world.server.port}", f"--username={world.server.user}"]
    done = subprocess.run(
        [*argv, f"{world.name}_{which}"], capture_output=True, text=True, check=False, env=environment
    )
    return done.stderr


def digest(directory: Path) -> str:
    """A digest of every file below a directory, names included."""
    total = hashlib.sha256()
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        total.update(f"{path.relative_to(directory)}\n".encode() + path.read_bytes())
    return total.hexdigest()


def conflicts(world: Three) -> list[tuple[str, ...]]:
    """What was left alone, as a person reads it."""
    return world.sql("restored", "SELECT relation, kind, key, why FROM ripcord.salvage_conflicts ORDER BY 1, 2, 3")
