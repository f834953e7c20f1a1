"""The judgement over a fix: what one transaction cannot hold, what loses data, whom a lock keeps waiting."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.backups import Room, Server
from recovery.databases import Database
from recovery.errors import Refused
from recovery.fix_scripts import LARGEST, read_script
from recovery.fix_wording import ask_for_fix, show_fix, show_hold
from recovery.fixes import (
    LOCK_TIMEOUT,
    Change,
    FixPlan,
    Ground,
    Held,
    Holder,
    Rehearsal,
    in_the_way,
    judge_changes,
    judge_ground,
    plan_fix,
    show_holders,
    strongest,
    who_waits,
    why_frozen,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVER = Server(
    version=15, programs=15, system_id="1", timeline=1, segment_size=1 << 24, in_recovery=False, wal_level="replica",
    archive_mode="off", archive_command="", archived_at=None, failed_at=None, failed_segment="", size=10**9,
    data_directory="/var/lib/postgresql/data", tablespaces=(), unlogged=(), prepared=0, now=NOW,
)  # fmt: skip
DATABASE = Database(url_variable="URL", backups="/var/backups/shop", archive="/var/archive")
GROUND = Ground("fixer", ())
CALM = Rehearsal(before="a", after="b", copied=1.0, seconds=0.5)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("BEGIN; SELECT 1; COMMIT", "line 1 begins or ends a transaction: leave it out"),
        ("SELECT 1;\nSAVEPOINT a", "line 2 begins or ends a transaction"),
        ("PREPARE TRANSACTION 'a'", "begins or ends a transaction"),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", "is CONCURRENTLY, which no transaction holds"),
        ("CREATE UNIQUE INDEX CONCURRENTLY ON t (a)", "is CONCURRENTLY"),
        ("DROP INDEX CONCURRENTLY i", "is CONCURRENTLY"),
        ("REINDEX TABLE CONCURRENTLY t", "is CONCURRENTLY"),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "is CONCURRENTLY"),
        ("VACUUM t", "is VACUUM, which no transaction holds"),
        ("COPY t FROM STDIN", "write INSERT statements"),
        ("COPY t FROM STDIN;\n1\t2\n\\.\n", "write INSERT statements"),
        ("COPY t FROM PROGRAM 'curl x'", "copies from or to a file or program"),
        ("COPY t TO '/tmp/x'", "copies from or to a file or program"),
        ("\\i other.sql", "has a command of psql in it (\\i other.sql)"),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "write it between $$ and $$"),
        ("ALTER SYSTEM SET work_mem = '1GB'", "changes the server's configuration"),
        ("DROP DATABASE shop", "drops a database"),
        ("CREATE DATABASE shop", "makes a database"),
        ("ALTER DATABASE shop SET work_mem = '1GB'", "changes a database as a whole"),
        ("CREATE ROLE x PASSWORD 'secret'", "may hold a password"),
        ("ALTER ROLE x PASSWORD 'secret'", "may hold a password"),
        ("CREATE USER MAPPING FOR x SERVER s OPTIONS (password 'secret')", "may hold a password"),
        ("CREATE SUBSCRIPTION s CONNECTION 'password=secret' PUBLICATION p", "reaches beyond the database"),
        ("SET ROLE admin", "changes who it acts as"),
        ("SET SESSION AUTHORIZATION admin", "changes who it acts as"),
        ("SET LOCAL lock_timeout = 0", "sets lock_timeout"),
        ("SET statement_timeout = 0", "sets statement_timeout"),
        ("SET synchronous_commit = off", "sets synchronous_commit"),
        ("RESET ALL", "sets everything back"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "sets transaction"),
        ("DISCARD ALL", "throws away the session's settings"),
        ("LOAD 'auto_explain'", "loads a library"),
        ("SELECT dblink_exec('x', 'y')", "calls dblink_exec()"),
        ("SELECT pg_catalog.pg_terminate_backend(1)", "calls pg_terminate_backend()"),
        ("WITH a AS (SELECT lo_import('/etc/passwd')) SELECT * FROM a", "calls lo_import()"),
        ("SELEC 1", "on line 1 has words that are no SQL"),
        ("SELECT 1;\n-- a\nnonsense 1;\nSELECT 2", "on line 3 has words that are no SQL"),
        ("SELECT 1;\nSELECT 2 nonsense nonsense", "on line 2 cannot be read as PostgreSQL's SQL"),
        ("SELECT 1;\n\nSELECT 'open", "cannot be read as PostgreSQL's SQL"),
        ("CREATE TABLE ${schema}.t ()", "has a NUL or a placeholder in it"),
        ("SELECT '\0'", "has a NUL"),
        ("SELECT 1;\0 DROP TABLE t", "has a NUL"),
        ("/* never /* closed */ SELECT 1", "the script"),
        ("", "has no statement"),
        ("-- nothing\n/* at all */ ;;", "has no statement"),
        ("SELECT 1;" * (LARGEST // 9 + 1), "are taken: make it several fixes"),
    ],
)  # fmt: skip
def test_what_one_transaction_cannot_hold_is_refused_by_name(script: str, said: str) -> None:
    """In one line, with the way out; and no secret of the script is repeated."""
    with pytest.raises(Refused) as refused:
        read_script(script)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_everything_wrong_is_named_at_once() -> None:
    """Nobody mends a script line by line at night."""
    with pytest.raises(Refused) as refused:
        read_script("BEGIN;\nVACUUM t;\nSET ROLE x;\nSELECT 1")
    assert [f"line {line} " in str(refused.value) for line in (1, 2, 3, 4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("script", "losses"),
    [
        ("DROP TABLE a, s.b", ["drops the table a, s.b"]),
        ("DROP TABLE a CASCADE", ["drops the table a and all that depends on it"]),
        ("DROP SCHEMA s", ["drops the schema s"]),
        ("DROP MATERIALIZED VIEW m", ["drops the materialized view m"]),
        ("DROP SEQUENCE s", ["drops the sequence s"]),
        ("DROP VIEW v CASCADE", ["drops the view v and all that depends on it"]),
        ("DROP FUNCTION f(int) CASCADE", ["drops the function f and all that depends on it"]),
        ("DROP EXTENSION hstore", ["drops the extension hstore"]),
        ("DROP OWNED BY x", ["drops everything that a role owns"]),
        ("ALTER TABLE t DROP a, DROP b", ["drops the column t.a", "drops the column t.b"]),
        ("ALTER TYPE t DROP ATTRIBUTE a", ["drops the column t.a"]),
        ("ALTER TABLE t ALTER a TYPE int", ["changes the type of t.a, which may cut values"]),
        ("ALTER TABLE t SET UNLOGGED", ["makes t unlogged, which a crash then empties"]),
        ("TRUNCATE a, s.b", ["empties a, s.b"]),
        ("DELETE FROM t WHERE a = 1", ["deletes rows of t"]),
        ("UPDATE t SET a = 1", ["overwrites rows of t"]),
        ("WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x", ["deletes rows of t"]),
        ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1",
         ["overwrites rows that are there (ON CONFLICT DO UPDATE)"]),
        ("MERGE INTO t USING u ON t.i = u.i WHEN MATCHED THEN DELETE", ["may overwrite or delete rows of t"]),
        ("EXPLAIN ANALYZE DELETE FROM t", ["deletes rows of t"]),
        ("CREATE TABLE t (id int); CREATE INDEX ON t (id); INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", []),
        ("DROP INDEX i; DROP VIEW v; DROP TRIGGER x ON t; DROP FUNCTION f(int)", []),
        ("ALTER TABLE t ADD a int, ALTER b SET NOT NULL, ADD CHECK (b > 0); ANALYZE t", []),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY m; SET search_path = a; SET work_mem = '1GB'", []),
        ("SELECT 'DROP TABLE a'; -- DELETE FROM t\nCOMMENT ON TABLE t IS 'TRUNCATE t'", []),
    ],
)  # fmt: skip
def test_what_loses_data_is_named_by_the_text(script: str, losses: list[str]) -> None:
    """Loudly: each table and column by its name, each statement by its line."""
    assert list(read_script(script).losses) == [f"line 1 {loss}" for loss in losses]


def test_statements_are_cut_as_postgresql_cuts_them() -> None:
    """Semicolons in strings, dollars and comments end nothing; a line is that of the first word."""
    script = read_script(
        "-- a; b\nSELECT ';', E'\\';', $$;$$, $x$ $$;$$ $x$, U&'\\003B';\n\n/* ; /* ; */ */ SELECT 2;\n"
        "DO $do$ BEGIN PERFORM ';'; END $do$; SELECT \"a;b\" FROM c;;"
    )
    assert [step.line for step in script.steps] == [2, 4, 5, 5]
    assert script.steps[2].line_at(None) == 5
    assert read_script("\n\nSELECT 1,\n  nope").steps[0].line_at(13) == 4


BEFORE = ["", "\n\n", "/* ;\n */ ", "-- ;SELECT 0\n", "/* a /* SELECT 0; */ ' */", ";\n;", "/* SELECT 1 */;"]
SENT = ["SELECT 1", "SELECT ';\n'", "SELECT $a$;$a$ -- ;\n", "SELECT /* ;\n */ 2", 'SELECT 1 AS "-- ;"']


@given(st.lists(st.tuples(st.sampled_from(BEFORE), st.sampled_from(SENT)), min_size=1))
def test_the_steps_are_the_script_and_nothing_else(parts: list[tuple[str, str]]) -> None:
    """No statement is lost, cut or sent twice, whatever stands before it; its line is that of its first word."""
    text, lines = "", []
    for before, sent in parts:
        text += before
        lines.append(text.count("\n") + 1)
        text += f"{sent};"

    steps = read_script(text).steps

    assert [(step.line, step.text.strip()) for step in steps] == [
        (line, sent.strip()) for line, (_, sent) in zip(lines, parts, strict=True)
    ]


@pytest.mark.parametrize(
    ("server", "frozen", "free", "said"),
    [
        ({"programs": 16}, None, 10**10, "name those of the server in RIPCORD_POSTGRES_BIN"),
        ({"tablespaces": ("/mnt/fast",)}, None, 10**10, "a clone would share the tablespaces /mnt/fast"),
        ({"data_directory": "/var/backups"}, None, 10**10, "lie in one another: part them"),
        ({}, None, 10**9, "/var/backups/shop has 1000 MB free and the clone needs 1233"),
        ({}, "the database is frozen", 10**10, "the database is frozen"),
    ],
)
def test_a_ground_that_does_not_bear_is_refused(
    server: dict[str, object], frozen: str | None, free: int, said: str
) -> None:
    """Before anything is copied."""
    values = {name: getattr(SERVER, name) for name in Server.__slots__} | server
    with pytest.raises(Refused) as refused:
        judge_ground(DATABASE, Ground("fixer", (), frozen), Server(**values), Room(free, taken=False))
    assert said in str(refused.value)


def test_a_ground_that_bears_says_as_whom() -> None:
    """Archiving is the gate's business: a database whose archiver fails can be mended all the same."""
    assert judge_ground(DATABASE, GROUND, SERVER, Room(10**10, taken=False)).endswith("the fix runs as fixer")


def test_losses_are_those_of_the_text_and_those_that_were_counted() -> None:
    """A block that deletes is found by its rows; a smoke query that fails or too long a time refuses the fix."""
    script = read_script("DO $$ BEGIN PERFORM f(); END $$")
    seen = Rehearsal(
        "a", "b", 1.0, 0.5, changes=(Change("public.t", 5, 2, 3), Change("public.u", 9)), gone=(("public.v", 7),)
    )

    plan = plan_fix("shop", "v1.2.0", script, seen)

    assert plan.losses == (
        "the 7 rows of public.v are gone", "3 rows of public.t are deleted", "2 rows of public.t are overwritten",
    )  # fmt: skip
    with pytest.raises(Refused, match="and afterwards it broke; nothing was changed"):
        plan_fix("shop", "v1.2.0", script, Rehearsal("a", "b", 1.0, 0.5, smoke=("it broke",)))
    with pytest.raises(Refused, match="it took 301 s and 5m are allowed"):
        plan_fix("shop", "v1.2.0", script, Rehearsal("a", "b", 1.0, 301))


def test_rows_taken_in_earnest_and_not_on_the_clone_are_refused() -> None:
    """What a person approved was that nothing, or these tables, lose rows."""
    clone = [Change("t", 1, 0, 2), Change("u", 0, 5, 0)]
    assert judge_changes(clone, [Change("t", 9, 0, 7), Change("u", 0, 1, 0), Change("new", 4)]) is None
    assert judge_changes(clone, [Change("t", 0, 1, 0)]) == (
        "it overwrites 1 rows of t, and on the clone it did so with none"
    )
    assert (
        judge_changes(clone, [Change("v", 0, 0, 1)]) == "it deletes 1 rows of v, and on the clone it did so with none"
    )


def test_locks_conflict_as_the_manual_has_it() -> None:
    """The table of PostgreSQL's documentation, 13.3.1, read crosswise: it is symmetric."""
    conflicts = {
        "AccessShareLock": "00000001", "RowShareLock": "00000011", "RowExclusiveLock": "00001111",
        "ShareUpdateExclusiveLock": "00011111", "ShareLock": "00110111", "ShareRowExclusiveLock": "00111111",
        "ExclusiveLock": "01111111", "AccessExclusiveLock": "11111111",
    }  # fmt: skip
    for wanted, row in conflicts.items():
        for held, conflict in zip(conflicts, row, strict=True):
            holder = Holder("t", held, 1, "app", NOW, 60)
            assert bool(in_the_way([Held("t", wanted, 1)], [holder], timedelta())) is (conflict == "1"), (wanted, held)
    assert strongest(["RowExclusiveLock", "ShareLock", "AccessShareLock"]) == "ShareLock"
    assert [who_waits(mode) for mode in conflicts] == [None, None, None, None, *["writers"] * 3, "readers and writers"]


def test_only_the_old_and_the_conflicting_are_in_the_way() -> None:
    """The traffic of others comes and goes; a report of an hour does not."""
    wanted = [Held("public.t", "AccessExclusiveLock", 0.1)]
    report = Holder("public.t", "AccessShareLock", 7, "report", NOW, 3600)
    young = Holder("public.t", "RowExclusiveLock", 8, "shop", NOW, 0.1)
    other = Holder("public.u", "AccessExclusiveLock", 9, "", NOW, 3600)
    prepared = Holder("public.t", "RowExclusiveLock", None, "gid 1", None, 3600)

    assert in_the_way(wanted, [report, young, other, prepared], LOCK_TIMEOUT) == (report, prepared)
    assert show_holders([report, prepared]) == (
        "public.t is held (AccessShareLock) by process 7, report, since 2026-01-02 03:04:05 UTC; "
        "public.t is held by the prepared transaction gid 1"
    )
    assert show_holders([]) == "who held it has let go since"


def test_the_question_says_first_what_is_lost() -> None:
    """No mark of Markdown in a name changes what is read."""
    script = read_script('DROP TABLE "a`b|*c*"')
    plan = plan_fix("shop", "v1.2.0", script, CALM)

    asked = ask_for_fix(plan, "checkout *fails*")

    assert asked.startswith("Apply the fix ")
    assert asked.index("DATA IS LOST") < asked.index("**Statements**")
    assert "- line 1 drops the table a\\`b\\|\\*c\\*" in asked
    assert "Because checkout \\*fails\\*." in asked
    assert '`DROP TABLE "a\'b|*c*"`' in asked


def test_a_fix_that_loses_nothing_says_so() -> None:
    """And how long who waits."""
    held = (Held("public.t", "AccessExclusiveLock", 0.123), Held("public.u", "RowExclusiveLock", 0.1))
    rehearsal = Rehearsal("a", "b", 1.0, 0.5, held=held)
    plan: FixPlan = plan_fix("shop", "v1.2.0", read_script("ALTER TABLE t ADD a int"), rehearsal)

    text = show_fix(plan, "it is broken.")

    assert "**No data is lost**" in text
    assert "AccessExclusiveLock on `public.t`: readers and writers of public.t wait for about 0.12 s" in text
    assert "RowExclusiveLock on `public.u`: nobody waits but another change" in text
    assert show_hold(held[1]) is None


@pytest.mark.parametrize(
    ("read_only", "limit", "standby", "why"),
    [
        (False, -1, True, "the server is a standby, and a fix is written on its primary"),
        (True, -1, False, "default_transaction_read_only is on"),
        (False, 0, False, "its connection limit is 0"),
    ],
)
def test_a_database_that_takes_no_writes_is_told(*, read_only: bool, limit: int, standby: bool, why: str) -> None:
    """Before anybody waits for a clone of it."""
    assert why in (why_frozen(read_only, limit, standby) or "")
    assert why_frozen(read_only=False, limit=-1, standby=False) is None
