"""Durations as people write them in the catalogue: 30s, 15m, 1h."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: object) -> timedelta:
    """Read `30s`, `15m`, `1h`, `1d`. Raises ValueError for anything else, a bare number included."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration: write a number and s, m, h or d, such as 1h")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError(f"{str(text)[:80]!r} is too long a time: {timedelta.max.days}d at most") from None


def show_duration(duration: timedelta) -> str:
    """The shortest exact form: 1h, 90s, 2m."""
    seconds = duration.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds) // _UNITS[unit]}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(show_duration, return_type=str)]
