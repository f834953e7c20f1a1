"""Random tables of nasty types, written to on all sides: what is found and taken back is what a dict says.

The oracle reads all three databases with plain psycopg and merges them in memory, key by key.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from infra.lab.postgres import Postgres, postgres
from recovery.salvages import Choice
from tests.integration.salvaging import Three, three

TYPES = "CREATE TYPE mood AS ENUM ('sad', 'Sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);" \
    "CREATE TYPE pair AS (a int, b text)"  # fmt: skip
TEXTS = (
    "",
    " ",
    "a",
    "A",
    "ä",
    "Z",
    "é",
    "'",
    '"',
    "\\",
    "\\.",
    ",",
    "\n",
    "\r\n",
    "\t",
    "%s",
    "€",
    "😀",
    "NULL",
    "a b",
)
# As text, as they are written into the database by a cast; several of a type are equal and not the same.
KEYS: dict[str, tuple[str, ...]] = {
    "int": ("-2147483648", "-1", "0", "1", "2", "10", "2147483647"),
    "bigint": ("-9223372036854775808", "-1", "0", "9", "10", "9223372036854775807"),
    "text": TEXTS,
    "varchar(9)": TEXTS,
    "char(3)": ("", "a", "A", "b", "ä", "'"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "0000000a-0000-0000-0000-000000000000",
             "ffffffff-0000-0000-0000-000000000000"),
    "numeric": ("1", "1.0", "1.00", "-1", "0", "10", "1e20", "0.1", "NaN", "9"),
    "float8": ("0", "-0", "1", "1.5", "-1.5", "1e300", "0.1", "NaN", "Infinity"),
    "date": ("2020-01-01", "0044-03-15 BC", "infinity", "-infinity", "9999-12-31"),
    "timestamptz": ("2020-01-01 00:00:00.000001+00", "2020-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC", "infinity"),
    "bytea": ("\\x", "\\x00", "\\xff", "\\x5c"),
    "boolean": ("true", "false"),
    "mood": ("sad", "Sad", "ok"),
    "positive": ("1", "2", "10"),
    "int[]": ("{}", "{1}", "{1,2}", "{NULL}", "{{1},{2}}"),
    "pair": ("(1,a)", "(,)", '(2,"x, y")', '(2,"")'),
    "interval": ("1 mon", "30 days", "1 day", "00:00:01.5"),
}  # fmt: skip
VALUES = KEYS | {
    "json": ('{"a": 1}', '{"a":1}', '{"a":1,"a":2}', "null", '"€"'),
    "jsonb": ('{"a": 1}', '{"a": 1.0}', "null", '"\'"'),
    "text[]": ("{}", "{NULL}", '{"NULL"}', '{"a,b","\\"","\\\\"}', '{""}'),
    "real": ("0.1", "3.4e38", "-0", "NaN", "1"),
    "xml": ("<a/>", "<a>€</a>", "a"),
    "money": ("1.00", "-12345.67"),
    "inet": ("10.0.0.1", "10.0.0.1/8", "::1"),
    "bit(3)": ("101", "000"),
}
PLACES = 'SELECT ctid::text FROM odd AS o ORDER BY o::text COLLATE "C", ctid'
Row = tuple[str | None, ...]
Story = tuple[list[str], int, list[Row], list[Any], list[Any]]
EQUAL: Story = (["interval", "bigint"], 2, [("1 mon", "0"), ("1 mon", "1")], [("update", 0, 0, "30 days")], [])
QUICK = (Phase.explicit, Phase.generate)  # a failure is made smaller by the torture, which has the time


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Columns, how many of them are the key, the rows at the point, and what was written on either side after it."""
    keys = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=3))
    types = keys + draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=0 if keys else 1, max_size=4))

    def value(at: int) -> st.SearchStrategy[str | None]:
        given: st.SearchStrategy[str | None] = st.sampled_from(VALUES[types[at]])
        return given if at < len(keys) else st.none() | given

    row = st.tuples(*(value(at) for at in range(len(types))))
    change = st.integers(0, len(types) - 1).flatmap(
        lambda at: st.tuples(st.just("update"), st.integers(0, 9), st.just(at), value(at))
    )
    delete = st.tuples(st.just("delete"), st.integers(0, 9))
    written = st.lists(st.one_of(st.tuples(st.just("insert"), row), change, delete), max_size=8)
    return types, len(keys), draw(st.lists(row, max_size=12)), draw(written), draw(written)


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    directory = tmp_path_factory.mktemp("salvaging")
    with (
        pytest.MonkeyPatch.context() as patch,
        postgres(directory / "server") as server,
        three(server, directory, TYPES, patch) as world,
    ):
        world.part()
        yield world


class Side:
    """One of the three databases, by plain psycopg."""

    def __init__(self, server: Postgres, database: str, types: list[str], keys: int) -> None:
        self._plain = psycopg.connect(server.dsn(database), autocommit=True)
        self._plain.execute("SET TIME ZONE 'UTC'; SET bytea_output = hex")
        self._types, self._keys = types, keys
        names = [sql.Identifier(f"Col % {at}") for at in range(len(types))]
        self._names = names
        columns = [sql.SQL("{} {}").format(name, sql.SQL(kind)) for name, kind in zip(names, types, strict=True)]
        key = [sql.SQL("PRIMARY KEY ({})").format(sql.SQL(", ").join(names[:keys]))] if keys else []
        self._plain.execute("DROP TABLE IF EXISTS odd; DROP SCHEMA IF EXISTS ripcord CASCADE")
        self._plain.execute(sql.SQL("CREATE TABLE odd ({})").format(sql.SQL(", ").join(columns + key)))

    def write(self, act: tuple[Any, ...]) -> None:
        """Insert a row, or change or delete the n-th; what breaks the key is not done."""
        try:
            if act[0] == "insert":
                row = sql.SQL(", ").join(self._value(at, text) for at, text in enumerate(act[1]))
                self._plain.execute(sql.SQL("INSERT INTO odd VALUES ({})").format(row))
                return
            places = self._plain.execute(
                'SELECT ctid::text FROM odd AS o ORDER BY o::text COLLATE "C", ctid'
            ).fetchall()
            if act[1] >= len(places):
                return
            place = sql.Literal(places[act[1]][0])
            if act[0] == "delete":
                self._plain.execute(sql.SQL("DELETE FROM odd WHERE ctid = {}::tid").format(place))
            else:
                change = sql.SQL("UPDATE odd SET {} = {} WHERE ctid = {}::tid")
                self._plain.execute(change.format(self._names[act[2]], self._value(act[2], act[3]), place))
        except psycopg.errors.UniqueViolation:
            pass

    def _value(self, at: int, text: str | None) -> sql.Composed:
        return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(self._types[at]))

    def rows(self) -> list[tuple[Any, Row]]:
        """Each row: its key so that equal is equal in Python, too, and what is in it."""
        key = sql.SQL(", ").join(
            sql.SQL(_comparable(kind)).format(name)
            for kind, name in zip(self._types[: self._keys], self._names, strict=False)
        )
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in self._names)
        read = sql.SQL("SELECT {}, {} FROM odd") if self._keys else sql.SQL("SELECT {}{} FROM odd")
        return [(row[: self._keys], row[self._keys :]) for row in self._plain.execute(read.format(key, texts))]

    def close(self) -> None:
        """Leave."""
        self._plain.close()


def _comparable(kind: str) -> str:
    # By hash functions of PostgreSQL's own: equal keys have the same, whatever they look like. A number's has no sign.
    hashes = {"numeric": "concat(sign({0}), ' ', hash_numeric_extended({0}, 1))", "float8": "hashfloat8extended({}, 1)",
              "interval": "interval_hash_extended({}, 1)"}  # fmt: skip
    return hashes.get(kind, "{}::text")


def merged(then: dict[Any, Any], later: dict[Any, Any], here: dict[Any, Any]) -> dict[Any, Any]:
    """What must stand there in the end: the damaged side's word where it wrote and we did not."""
    result = {}
    for key in {*then, *later, *here}:
        was, became, now = then.get(key), later.get(key), here.get(key)
        result[key] = became if was != became and now == was else now
    return {key: value for key, value in result.items() if value is not None}


def of(side: Side, keyed: bool) -> dict[Any, Any]:
    """All rows by key, or how often each stands there."""
    rows = side.rows()
    return dict(rows) if keyed else dict(Counter(row for _, row in rows))


def check(world: Three, story: Story) -> None:
    """Play a story, export, take all back, and compare with the dict."""
    types, keys, rows, damaged, customers = story
    shutil.rmtree(world.place, ignore_errors=True)
    then, later, here = sides = [
        Side(world.server, f"{world.name}_{which}", types, keys) for which in ("then", "damaged", "restored")
    ]
    try:
        for side in sides:
            for row in rows:
                side.write(("insert", row))
        for act in damaged:
            later.write(act)
        was, became = of(then, keys > 0), of(later, keys > 0)
        differences = sum(was.get(key) != became.get(key) for key in {*was, *became})

        assert world.export().rows == differences

        for act in customers:
            here.write(act)
        expected = merged(was, became, of(here, keys > 0))
        world.apply(Choice.EVERYTHING)
        assert of(here, keys > 0) == expected
        counted = world.applied().values()
        assert sum(each.found for each in counted) == differences
        assert all(each.found == each.applied + each.there + each.conflicts for each in counted)
        world.apply(Choice.EVERYTHING)
        assert of(here, keys > 0) == expected
    finally:
        for side in sides:
            side.close()


@settings(max_examples=30, deadline=None, derandomize=True, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(story=stories())
@example(story=EQUAL)
def test_what_is_taken_back_is_what_a_dict_says(world: Three, story: Any) -> None:
    """A seeded sample; whatever customers wrote meanwhile is left alone."""
    check(world, story)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=stories())
def test_torture_of_what_is_taken_back(world: Three, story: Any) -> None:
    """The same at length, each time anew."""
    check(world, story)
