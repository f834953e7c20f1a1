"""Count what a procedure does to the world, and die right after one of it."""

import os
import re
import signal
import sys
from itertools import count
from typing import Any

import requests

effects = count(1)


def effect(what: str, last: int) -> None:
    """Say what was done, and die if it was the last."""
    number = next(effects)
    sys.stdout.write(f"{number} {what}\n")
    sys.stdout.flush()
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)


def watch_calls(last: int) -> None:
    """Count the writing calls where they leave us, after they were answered."""
    send = requests.Session.request

    def sending(self: requests.Session, method: str, url: str, *more: Any, **options: Any) -> requests.Response:
        answered = send(self, method, url, *more, **options)
        if method != "GET":
            effect(f"{method} {re.sub(r'/[0-9a-f]{40}$', '', url).rpartition('/')[2]}", last)
        return answered

    requests.Session.request = sending  # type: ignore[method-assign, assignment]
