"""Wait for what another system does in minutes or hours, and ride out its silences meanwhile."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from recovery.durations import show_duration
from recovery.errors import Unavailable

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], within: timedelta, why: Callable[[], str], every: float, way_out: str) -> T:
    """Look, `every` so many seconds, until there is something; a system that is silent meanwhile is looked at again.

    Raises Unavailable with the reason after `within`: running again goes on.
    """
    deadline = time.monotonic() + within.total_seconds()
    while True:
        found, trouble = _tried(look)
        if found is not None:
            return found
        if time.monotonic() > deadline:
            late = f"{trouble or why()}, and that for {show_duration(within)}"
            raise Unavailable(f"{late}: {way_out}, and run this again")
        time.sleep(every)


def _tried(look: Callable[[], T | None]) -> tuple[T | None, str]:
    try:
        return look(), ""
    except Unavailable as unavailable:
        return None, str(unavailable)
