"""Walk a restore in a process of its own that dies, or kills a server, right after its n-th effect.

usage: python -m tests.integration.restoring_walk PLAN

PLAN is a JSON file with the service, and whether the restored server is to be backed up; each line on standard input is
the number of the effect to die after, 0 for none, and then perhaps a glob of files whose first line is the pid of a
server that is to die in its stead. It is answered by one line of JSON: how the walk ended, and its effects. Each walk
is a fork, so that none pays for the imports again.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.logging import disable_run_logger

import flows.restore_database as module
from recovery.catalog import Service
from recovery.incidents import Cause
from recovery.restores import database_to_restore
from tasks.postgres import bridging, cutover, freezing, pooler
from tasks.postgres.bridging import back_up_restored
from tasks.postgres.connection import Session
from tasks.postgres.consoles import Console

NOBODY = 2  # exit status where there was no server to kill
COMMANDS = ("PAUSE", "RELOAD", "RECONNECT", "RESUME", "KILL")


class Effects:
    """Counts what was done to the world, and kills after the last one that may be done."""

    def __init__(self, last: int, victim: str, out: Path) -> None:
        self._last, self._victim, self._out, self._number = last, victim, out, 0

    def after(self, what: str) -> None:
        """Something was done."""
        self._number += 1
        with self._out.open("a") as file:
            file.write(f"{what}\n")
        if self._number == self._last:
            if not self._victim:
                os.kill(os.getpid(), signal.SIGKILL)
            lives = [each.read_text() for each in Path("/").glob(self._victim.lstrip("/"))]
            for life in lives:
                os.kill(int(life.split()[0]), signal.SIGKILL)
            if not lives:
                os._exit(NOBODY)

    def watch(self, owner: object, name: str, what: Callable[..., str | None]) -> None:
        """Have a function counted whenever `what` says that it did something."""
        original: Any = getattr(owner, name)

        def watched(*given: Any, **named: Any) -> Any:
            answer = original(*given, **named)
            if said := what(answer, *given):
                self.after(said)
            return answer

        setattr(owner, name, watched)


def watch_everything(effects: Effects) -> None:
    """Every statement that writes, every command of the console, every file that appears, each step of the side."""
    effects.watch(Session, "rows", lambda _, self, statement, *values: _closing(statement))
    effects.watch(freezing, "_leave_to_superusers", lambda *_: "kept")
    effects.watch(Console, "send", lambda _, self, text: _named(text, COMMANDS))
    effects.watch(pooler, "_replace", lambda *_: "databases_file")
    effects.watch(freezing, "write_note", lambda *_: "note")
    effects.watch(bridging, "write_note", lambda *_: "backup")
    effects.watch(bridging, "settle", lambda *_: "named")
    for step in ("raise_side", "promote_side", "open_archive"):
        effects.watch(getattr(cutover, step), "fn", lambda said, *_, step=step: step if "skipped" not in said else None)


def _named(text: str, words: tuple[str, ...]) -> str | None:
    return " ".join(text.split()[:4]) if text.strip().startswith(words) else None


def _closing(statement: str) -> str | None:
    """Both statements that keep a database are one transaction: neither has an effect of its own."""
    return "fenced" if statement.endswith(" ALLOW_CONNECTIONS false") else None


def walk(service: Service, version: str, cause: str, backed_up: bool) -> None:
    """The flow as it is, without the question."""
    plan = module.decide(service, version, Cause(sentence=cause))
    module.take_back(service, plan)
    if backed_up:
        back_up_restored(database_to_restore(service), plan.point)


def main(path: Path) -> None:
    """Fork for each line."""
    given = json.loads(path.read_text())
    service = Service.model_validate(given["service"])
    Task.__call__ = lambda self, *arguments, **named: self.fn(*arguments, **named)  # type: ignore[method-assign]
    vars(module).update(wait_until_recovered=lambda entry: "seen")
    for line in sys.stdin:
        out = path.with_suffix(".effects")
        out.write_text("")
        child = os.fork()
        if child == 0:
            last, _, victim = line.strip().partition(" ")
            watch_everything(Effects(int(last), victim, out))
            try:
                with disable_run_logger():
                    walk(service, given["version"], given["cause"], given["backed_up"])
            except BaseException as error:
                path.with_suffix(".error").write_text(f"{type(error).__name__}: {error}")
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended = {"status": os.waitstatus_to_exitcode(status), "effects": out.read_text().splitlines()}
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
