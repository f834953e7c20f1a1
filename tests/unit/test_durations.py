"""Durations as people write them, read and shown."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from recovery.durations import Duration, parse_duration, show_duration

LONGEST = timedelta(days=36500)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30s", 30), ("1.5h", 5400), ("15 m", 900), (" 1h ", 3600), ("1d", 86400), ("0.5s", 0.5)],
)
def test_a_number_with_a_unit_is_read(text: str, seconds: float) -> None:
    """With a fraction, and with blanks where people put them."""
    assert parse_duration(text) == timedelta(seconds=seconds)


def test_a_duration_that_is_one_already_stays_it() -> None:
    """Defaults in code are durations, not texts."""
    assert parse_duration(timedelta(minutes=5)) == timedelta(minutes=5)


@pytest.mark.parametrize(
    "text",
    ["", "60", 60, 1.5, None, True, "h", "-1s", "+1s", "1w", "1H", "1h30m", "1e3s", ".5s", "1.s", "1s\n2s", "infs"],
)
def test_anything_else_is_refused_with_an_example(text: object) -> None:
    """Above all a bare number, whose unit everybody guesses differently."""
    with pytest.raises(ValueError, match="is not a duration: write a number and s, m, h or d, such as 1h"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1000000000d", f"{'9' * 400}s"])
def test_a_time_longer_than_any_is_a_mistake_of_the_catalogue_too(text: str) -> None:
    """It is told as one, and not as an overflow."""
    with pytest.raises(ValidationError, match="is too long a time: 999999999d at most"):
        TypeAdapter(Duration).validate_python(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (0.25, "0.25s"), (59, "59s"), (60, "1m"), (90, "90s"), (3600, "1h"), (5400, "90m"), (86400, "1d")],
)
def test_the_shortest_exact_form_is_shown(seconds: float, shown: str) -> None:
    """The greatest unit that needs no fraction."""
    assert show_duration(timedelta(seconds=seconds)) == shown


@given(st.timedeltas(min_value=timedelta(), max_value=LONGEST))
def test_what_is_shown_is_read_as_the_same(duration: timedelta) -> None:
    """To the microsecond; nothing is lost in a catalogue that was written out."""
    adapter = TypeAdapter(Duration)

    assert parse_duration(show_duration(duration)) == duration
    assert adapter.validate_json(adapter.dump_json(duration)) == duration
