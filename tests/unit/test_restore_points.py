"""Points, their names, and whether a restored copy is what was."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.databases import Database
from recovery.restore_points import (
    RestorePoint,
    Seen,
    State,
    Then,
    choose_point,
    judge_proof,
    point_name,
    show_age,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATABASE = Database(url_variable="SHOP_URL", backups="/backups", archive="/archive")
STATE = State({"public.orders": 100}, {"public.ids": 7}, ("app", "team"), {"plpgsql": "1.0"}, {"de": "2.36"}, "abc")
THEN = Then("shop", "v1.2.0", point_name("shop", "v1.2.0"), "0/3000090", 1, "77", NOW, STATE, STATE)
SEEN = Seen("0/3000090", 1, "77", STATE, seconds=1.25)
MADE = RestorePoint(THEN.name, 1, THEN.lsn, NOW)


@given(st.text(min_size=1), st.text(min_size=1), st.integers(min_value=1, max_value=10**6))
def test_a_name_is_what_postgresql_and_a_directory_take(service: str, version: str, attempt: int) -> None:
    """At most 63 bytes of letters, digits, dots and dashes, hidden never, the same on every try."""
    name = point_name(service, version, attempt)

    assert len(name.encode()) <= 63
    assert all(each.isascii() and (each.isalnum() or each in ".-") for each in name)
    assert not name.startswith(".")
    assert name == point_name(service, version, attempt) != point_name(service, version, attempt + 1)


def test_names_that_read_alike_are_not_the_same() -> None:
    """What is cut off or replaced counts all the same."""
    names = {point_name(*each) for each in (("shop", "a/b"), ("shop", "a-b"), ("shop-a", "b"), ("s" * 80, "1"))}

    assert len(names | {point_name("s" * 80, "2")}) == 5


def test_a_fresh_point_with_its_set_is_taken_again() -> None:
    """Up to the age that the catalogue names."""
    choice = choose_point("shop", "v1.2.0", DATABASE, MADE, THEN, NOW + timedelta(hours=1))

    assert (choice.point, choice.there) == (MADE, True)


@pytest.mark.parametrize(
    ("found", "recorded", "age", "reason"),
    [
        (replace(MADE, lsn=None, made_at=None), None, 0, "begun and not finished"),
        (MADE, None, 0, "its set does not record it"),
        (MADE, replace(THEN, lsn="0/1"), 0, "its set does not record it"),
        (MADE, THEN, 3601, "is 60 min old, and a point stands for 1h at most"),
    ],
)
def test_every_other_point_is_followed_by_one_of_another_name(
    found: RestorePoint, recorded: Then | None, age: int, reason: str
) -> None:
    """Of two points of one name recovery stops at the first."""
    choice = choose_point("shop", "v1.2.0", DATABASE, found, recorded, NOW + timedelta(seconds=age))

    assert (choice.point.attempt, choice.there) == (2, False)
    assert choice.point.name not in ("", found.name)
    assert reason in choice.reason


def test_a_set_that_the_register_has_lost_keeps_its_name() -> None:
    """As where the database was made anew: the next point is another one, however many are there."""
    names = {point_name("shop", "v1.2.0", attempt) for attempt in (1, 2, 3, 5)}

    assert choose_point("shop", "v1.2.0", DATABASE, None, None, NOW, names).point.attempt == 4
    again = choose_point("shop", "v1.2.0", DATABASE, MADE, None, NOW, names)
    assert again.point == RestorePoint(point_name("shop", "v1.2.0", 4), 4)
    assert choose_point("shop", "v1.2.0", DATABASE, MADE, THEN, NOW, names).there


def test_the_first_point_has_the_first_name() -> None:
    """There is none in the register."""
    choice = choose_point("shop", "v1.2.0", DATABASE, None, None, NOW)

    assert choice.point == RestorePoint(THEN.name, 1)


def test_a_copy_that_is_what_was_is_proved_with_its_numbers() -> None:
    """Position, timeline, time, tables and rows."""
    way = judge_proof(THEN, SEEN)

    assert (way.proved, way.seconds) == (True, 1.25)
    assert "(0/3000090, timeline 1) in 1.2 s, with 1 tables and 100 rows as they were" in way.reason


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(SEEN, lsn="0/3000020"), "it stopped at 0/3000020 and not 0/3000090"),
        (replace(SEEN, timeline=2), "its timeline is 2 and not 1"),
        (replace(SEEN, system_id="78"), "its system identifier is 78 and not 77"),
        (replace(SEEN, state=replace(STATE, counts={"public.orders": 99})), "has 99 rows and not 100"),
        (replace(SEEN, state=replace(STATE, counts={})), "table public.orders is missing, it had 100 rows"),
        (replace(SEEN, state=replace(STATE, counts={**STATE.counts, "b": 0})), "table b is there and was not"),
        (replace(SEEN, state=replace(STATE, sequences={"public.ids": 6})), "sequence public.ids is at 6 and was at 7"),
        (replace(SEEN, state=replace(STATE, sequences={})), "sequence public.ids is at None and was at 7"),
        (replace(SEEN, state=replace(STATE, roles=("app",))), "roles are app and not app, team"),
        (replace(SEEN, state=replace(STATE, extensions={})), "extensions are none and not plpgsql 1.0"),
        (replace(SEEN, state=replace(STATE, collations={"de": "2.40"})), "collations are de 2.40 and not de 2.36"),
        (replace(SEEN, state=replace(STATE, schema="abd")), "schema are abd and not abc"),
        (replace(SEEN, smoke=("smoke query 'x' returned no row",)), "smoke query 'x' returned no row"),
        (replace(SEEN, opened=False), "it did not take writes after its promotion"),
    ],
)
def test_each_difference_alone_is_no_proof_and_is_named(seen: Seen, said: str) -> None:
    """What was seen and what was expected."""
    way = judge_proof(THEN, seen)

    assert not way.proved
    assert said in way.reason


@pytest.mark.parametrize(("rows", "proved"), [(99, False), (100, True), (103, True), (105, True), (106, False)])
def test_a_table_that_moved_meanwhile_must_lie_between(rows: int, proved: bool) -> None:
    """It is counted right before and right after the point."""
    moved = replace(THEN, after=replace(STATE, counts={"public.orders": 105}))
    seen = replace(SEEN, state=replace(STATE, counts={"public.orders": rows}))

    assert judge_proof(moved, seen).proved is proved
    assert judge_proof(moved, seen, uncounted=("public.orders",)).proved


def test_a_table_made_or_dropped_around_the_point_may_be_there_or_not() -> None:
    """Both sides of the point are the truth."""
    made = replace(THEN, after=replace(STATE, counts={**STATE.counts, "late": 3}, schema="abd"))

    assert judge_proof(made, SEEN).proved
    assert judge_proof(made, replace(SEEN, state=made.after)).proved


def test_a_sequence_may_be_ahead() -> None:
    """Recovery skips up to 32 values and gives none out twice."""
    assert judge_proof(THEN, replace(SEEN, state=replace(STATE, sequences={"public.ids": 39}))).proved


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h")])
def test_an_age_is_said_as_people_do(seconds: int, said: str) -> None:
    """In seconds, minutes or hours; a clock that was put back makes nothing younger than now."""
    assert show_age(timedelta(seconds=seconds)) == said
