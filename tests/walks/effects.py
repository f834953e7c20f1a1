"""Count what a procedure does to the world, and die right after one of it, or right before."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import requests

effects = count(1)


@contextmanager
def doing(what: str, last: int) -> Iterator[None]:
    """Around an effect: say that it was done, and die if it was the last; before it, where `last` is negative."""
    number = next(effects)
    if number == -last:
        os.kill(os.getpid(), signal.SIGKILL)
    yield
    sys.stdout.write(f"{number} {what}\n")
    sys.stdout.flush()
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)


def effect(what: str, last: int) -> None:
    """The same of what was done already."""
    with doing(what, last):
        pass


def watch_calls(last: int) -> None:
    """Count the writing calls: where they are about to leave us, and where they were answered."""
    send = requests.Session.request

    def sending(self: requests.Session, method: str, url: str, *more: Any, **options: Any) -> requests.Response:
        if method == "GET":
            return send(self, method, url, *more, **options)
        with doing(f"{method} {re.sub(r'/[0-9a-f]{40}$', '', url).rpartition('/')[2]}", last):
            return send(self, method, url, *more, **options)

    requests.Session.request = sending  # type: ignore[method-assign, assignment]
