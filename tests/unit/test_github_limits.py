"""How long GitHub wants to be left alone, in each of the ways in which it or a proxy says so."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tasks.github.connection import PATIENCE_SECONDS, limited_for


@pytest.mark.parametrize(("told", "seconds"), [("7", 7), ("0", 0), ("soon", 60), ("-1", 60), ("", 60)])
def test_seconds_are_taken_as_they_are(told: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what cannot be read is a limit all the same, for the minute that GitHub asks for."""
    monkeypatch.setenv("RIPCORD_PATIENCE", "1")

    assert limited_for({"retry-after": told}, "") == seconds


@pytest.mark.parametrize(("away", "least", "most"), [(90, 85, 91), (-90, 1, 1)])
def test_a_date_is_understood(away: float, least: float, most: float) -> None:
    """As HTTP allows it; one that has passed is a second."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=away), usegmt=True)

    seconds = limited_for({"retry-after": then}, "")

    assert seconds is not None
    assert least <= seconds <= most


def test_a_refusal_for_another_reason_is_no_limit() -> None:
    """Nobody waits for a permission."""
    assert limited_for({}, "Resource not accessible by integration") is None
    assert PATIENCE_SECONDS == 60
