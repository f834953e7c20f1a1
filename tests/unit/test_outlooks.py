"""What the gate says of the version before."""

import pytest

from recovery.gates import describe, foretold, show_way
from recovery.outlooks import Ahead, Trial, judge_outlook
from recovery.ranges import Change
from recovery.restore_points import WayBack
from recovery.trials import NotTried, plan_trial

ADDED = Change("db/migrations/2.sql", "A", True, "db/migrations/2.sql adds a table")
TAKES = Change("db/migrations/3.sql", "A", False, "db/migrations/3.sql drops the column orders.amount")
UNREAD = Change("db/migrations/4.py", "A", None, "db/migrations/4.py is Python, which is not read")


def ahead(*changes: Change, unrun: str = "") -> Ahead:
    """What v1.2.0 brings."""
    return Ahead("v1.2.0", "c" * 40, "v1.1.0", changes, unrun=unrun)


@pytest.mark.parametrize(
    ("changes", "runs", "recovery", "because"),
    [
        ((), True, "revert", "no migration lies between v1.1.0 and v1.2.0"),
        ((ADDED,), True, "revert", "adds a table"),
        ((ADDED, UNREAD), None, "hotfix", "is Python"),
        ((ADDED, UNREAD, TAKES), False, "hotfix", "drops the column"),
    ],
)
def test_what_is_incompatible_outranks_what_nobody_can_tell(
    changes: tuple[Change, ...], runs: bool | None, recovery: str, because: str
) -> None:
    """As a recovery decides, and the sentence gives the reason that decided."""
    seen = judge_outlook(ahead(*changes))

    assert (seen.runs, seen.recovery) == (runs, recovery)
    assert because in seen.reason
    assert seen.reason.endswith(f"; a recovery would be a {recovery}")


def test_what_a_copy_has_shown_takes_a_yes_away_and_gives_none() -> None:
    """The smoke queries ask only what they ask: that they are answered does not make a dropped column whole."""
    broken, fine = Trial("", "after 2.sql a smoke query was not answered"), Trial("they ran on a copy in 0.1 s")

    taken, kept = judge_outlook(ahead(ADDED), broken), judge_outlook(ahead(TAKES), fine)

    assert (taken.runs, taken.recovery, taken.broken) == (False, "hotfix", broken.broken)
    assert "no, because after 2.sql a smoke query was not answered" in taken.reason
    assert (kept.runs, kept.recovery, kept.broken) == (False, "hotfix", None)
    assert "ran on a copy in 0.1 s" in kept.reason


def test_silence_and_a_first_release_are_told() -> None:
    """Neither reads as a yes."""
    silent = judge_outlook(Ahead("v1.2.0", untold="the Git host did not answer"))
    first = judge_outlook(Ahead("v1.2.0", "c" * 40, untold="no stable release before v1.2.0"))

    assert (silent.runs, silent.recovery) == (None, None)
    assert silent.reason.endswith("is not told: the Git host did not answer")
    assert (first.runs, first.recovery) == (None, "hotfix")


def test_the_status_says_it_before_the_numbers_and_a_copys_finding_stays() -> None:
    """140 characters are all there is; what Git does not tell takes none of them."""
    way = foretold(WayBack(True, "a copy was restored", "point"), ahead(TAKES))
    silent = foretold(WayBack(True, "a copy was restored"), Ahead("v1.2.0", untold="silence"))

    assert describe(way) == "v1.1.0 does not run on the new schema; a recovery would be a hotfix. a copy was restored"
    assert describe(silent) == "a copy was restored"
    assert foretold(way, ahead()) == way
    assert "## The version before\n\nv1.1.0 still runs on the new schema: no" in show_way("shop", "v1.2.0", way)


def test_migrations_are_run_in_the_order_of_the_tools() -> None:
    """Numbers as numbers, what is run on every change last; the way back is not gone, each file in its own way."""
    texts = {
        "db/V10__a.sql": "CREATE TABLE a ();",
        "db/V2__b.sql": "BEGIN; CREATE TABLE b (); COMMIT;",
        "db/R__views.sql": "CREATE OR REPLACE VIEW v AS SELECT 1",
        "db/U2__b.sql": "DROP TABLE b;",
        "db/V3__c.sql": "CREATE INDEX CONCURRENTLY i ON a (b);",
        "db/V4__d.sql": "-- migrate:up\nCREATE TABLE d ();\n-- migrate:down\nDROP TABLE d;",
    }

    files = plan_trial([Change(path, "A") for path in texts], texts)

    assert [(each.path, each.together) for each in files] == [
        ("db/V2__b.sql", False),
        ("db/V3__c.sql", False),
        ("db/V4__d.sql", True),
        ("db/V10__a.sql", True),
        ("db/R__views.sql", True),
    ]
    [step] = files[2].steps
    assert step.text.rstrip(";") == "CREATE TABLE d ()"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\\! touch /tmp/here\nSELECT 1;", "command of psql"),
        ("COPY orders FROM PROGRAM 'touch /tmp/here';", "file or program"),
        ("COPY orders FROM STDIN;\n1\n\\.\n", "COPY FROM STDIN"),
        ("COPY orders TO '/tmp/here';", "file or program"),
        ("ALTER SYSTEM SET port = 1;", "configuration"),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=elsewhere' PUBLICATION p;", "reaches beyond"),
        ("SELECT dblink_exec('host=elsewhere', 'DELETE FROM orders');", "reaches beyond"),
        ("CREATE ROLE boss SUPERUSER;", "makes a role"),
        ("LOAD 'evil';", "library"),
        ("SELECT '${NAME}';", "placeholder"),
        ("SELEC 1;", "words that are no SQL"),
        ("SELECT 1; \0 DROP TABLE orders;", "NUL"),
    ],
)
def test_what_reaches_beyond_the_copy_is_not_run_at_all(text: str, why: str) -> None:
    """The text comes from a repository: one such statement, and no file is run."""
    with pytest.raises(NotTried, match=r"^not run on a copy: ") as refused:
        plan_trial([Change("db/1.sql", "A"), Change("db/2.sql", "A")], {"db/1.sql": "SELECT 1", "db/2.sql": text})

    assert "db/2.sql" in str(refused.value)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Change("db/2.py", "A"), "is no plain SQL"),
        (Change("db/2.sql", "M"), "is not new"),
        (Change("db/2.sql", "D"), "is not new"),
        (Change("db/2.sql", "A"), "is no plain file"),
    ],
)
def test_where_one_file_cannot_be_run_none_is(change: Change, why: str) -> None:
    """A copy with half of the migrations would answer another question."""
    with pytest.raises(NotTried, match=why):
        plan_trial([Change("db/1.sql", "A"), change], {"db/1.sql": "SELECT 1"})
