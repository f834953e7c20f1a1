"""A process that salvages and is killed at a named spot: one line on standard input is one death, in a fork of ours.

`export|apply <module> <function> <nth call> before|after [<pid>]`; the answer is how the fork ended. With a pid it is
that server that ends at the spot, at once and with all its sessions, and the fork ends with 3 if it calls that
unavailable.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from infra.lab.process import wait_until
from recovery.databases import Database
from recovery.errors import Unavailable
from recovery.salvages import Choice
from tasks.postgres.salvage import applying, exports
from tasks.postgres.salvage.staging import Staged
from tests.integration.salvaging import POINT, lead, parted

UNAVAILABLE = 3
HOMES: dict[str, Any] = {"exports": exports, "applying": applying, "staged": Staged, "path": Path}


def die_at(home: str, function: str, nth: int, when: str, server: int) -> None:
    """Have this process, or a server, killed before or after the n-th call of a function."""
    original = getattr(HOMES[home], function)
    calls = iter(range(1, 1000))

    def deadly(*given: Any, **named: Any) -> Any:
        now = next(calls) == nth
        if now and when == "before":
            end(server)
        result = original(*given, **named)
        if now and when == "after":
            end(server)
        return result

    setattr(HOMES[home], function, deadly)


def end(server: int) -> None:
    """The death."""
    if not server:
        os.kill(os.getpid(), signal.SIGKILL)
    os.kill(server, signal.SIGQUIT)
    wait_until(lambda: not Path(f"/proc/{server}/exe").exists(), what="the end of the server", seconds=20)


def act(what: str, database: Database, restored: str) -> None:
    """Export, or take everything back."""
    with disable_run_logger():
        if what == "export":
            exports.write_export.fn("shop", "v1.2.0", database, POINT)
        else:
            applying.apply_salvage.fn("shop", "v1.2.0", parted(database, restored), Choice.EVERYTHING, ())
    if HOMES.get("end"):
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Answer each line with the status of the fork that died for it."""
    given = json.loads(sys.argv[1])
    database = Database.model_validate(given["database"])
    lead(database, pytest.MonkeyPatch())
    for line in sys.stdin:
        what, home, function, nth, when, *server = line.split()
        pid = os.fork()
        if pid == 0:
            if home == "end":
                HOMES["end"] = True
            else:
                die_at(home, function, int(nth), when, int(server[0]) if server else 0)
            try:
                act(what, database, given["restored"])
            except Unavailable:
                os._exit(UNAVAILABLE)
            os._exit(0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
