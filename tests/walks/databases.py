"""Walk the gate or the drill on the systems of the environment, and die after its n-th effect, as often as asked.

usage: python -m tests.walks.databases, with one line for each walk on standard input, see `tests.walks.forks`.

An effect is a program of PostgreSQL's that is in the midst of its work, one that has ended, a statement that writes,
a file that has appeared or gone under its name, a call that writes, and a task that has ended.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.logging import disable_run_logger

import tasks.artifacts
import tasks.fence
import tasks.notify
from tasks.postgres import connection
from tasks.settings import read_catalogue
from tests.walks.effects import effect, watch_calls
from tests.walks.forks import serve

VERSION = "v1.2.0"
MIDST = 40  # files from which on a base backup or a copy has begun and is far from its end: an empty cluster has 900
# The last is no writing: by then a copy runs, and is looked at.
WRITES = re.compile(
    r"\s*(INSERT|UPDATE|CREATE|SELECT pg_(create_restore_point|create_logical_replication_slot|drop_replication_slot|"
    r"switch_wal|last_wal_replay_lsn))"
)
TARGET: dict[str, Callable[[list[str]], str | Path]] = {
    "pg_basebackup": lambda argv: argv[argv.index("--pgdata") + 1],
    "cp": lambda argv: argv[-1],
    "barman backup": lambda argv: Path(argv[argv.index("--config") + 1]).with_name("home"),
    "pgbackrest backup": lambda argv: Path(_value(argv, "--config=")).parent,
    "pgbackrest restore": lambda argv: _value(argv, "--pg1-path="),
}


def stand_aside() -> None:
    """Leave out what speaks to Prefect, before the flows are imported."""
    vars(tasks.artifacts).update(show=lambda *said: None)
    vars(tasks.notify).update(notify=lambda *said: None)
    vars(tasks.fence).update(one_at_a_time=lambda service: nullcontext())


def walks() -> dict[str, Callable[[], object]]:
    """The flows as the plain functions that they are."""
    from flows.drill import drill
    from flows.prepare_release import prepare_release

    return {
        "gate": lambda: prepare_release.fn(read_catalogue().services[0].name, VERSION, rehearse=False),
        "drill": lambda: drill.fn(read_catalogue().services[0].name),
    }


def walk(procedure: Callable[[], object], last: int) -> None:
    """Walk, in a process of its own; the effects are counted where they leave us, after they took effect."""
    _watch_tasks(last)
    _watch_programs(last)
    _watch_statements(last)
    _watch_files(last)
    watch_calls(last)
    with disable_run_logger():
        procedure()


def _watch_tasks(last: int) -> None:
    def call(self: Task[Any, Any], *arguments: Any, **named: Any) -> Any:
        done = self.fn(*arguments, **named)
        effect(f"task: {self.name}", last)
        return done

    Task.__call__ = call  # type: ignore[method-assign]


def _watch_programs(last: int) -> None:
    begin, run = subprocess.Popen.__init__, subprocess.run

    def beginning(self: "subprocess.Popen[bytes]", argv: list[str], *more: Any, **options: Any) -> None:
        name = _program(argv)
        before = _files(name, argv)
        begin(self, argv, *more, **options)
        if name:
            while name in TARGET and self.poll() is None and _files(name, argv) < before + MIDST:
                time.sleep(0.002)
            effect(f"in {name}", last)

    def running(argv: list[str], *more: Any, **options: Any) -> Any:
        done = run(argv, *more, **options)
        if name := _program(argv):
            effect(f"after {name}", last)
        return done

    subprocess.Popen.__init__ = beginning  # type: ignore[method-assign,assignment]
    subprocess.run = running  # type: ignore[assignment]


def _program(argv: list[str]) -> str | None:
    """The program behind setpriv, and behind the shell that is its leash; None for whatever only asks for a version."""
    if argv[0] != "setpriv" or "--version" in argv:
        return None
    behind = argv[argv.index("--") + 1 :]
    program, *arguments = behind[5:] if behind[0] == "sh" else behind
    match Path(program).name:
        case "barman":
            return f"barman {arguments[4]}"  # behind its configuration and its format
        case "pgbackrest":
            return f"pgbackrest {next(each for each in arguments if not each.startswith('-'))}"
        case name:
            return name


def _files(name: str | None, argv: list[str]) -> int:
    """How many there are where a program writes many."""
    return len(list(Path(TARGET[name](argv)).rglob("*"))) if name in TARGET else 0


def _value(argv: list[str], option: str) -> str:
    return next(each.removeprefix(option) for each in argv if each.startswith(option))


def _watch_statements(last: int) -> None:
    rows = connection.Session.rows

    def asking(self: connection.Session, statement: str, *values: object) -> list[tuple[Any, ...]]:
        answered = rows(self, statement, *values)
        if written := WRITES.match(statement):
            effect(f"statement: {' '.join(written[0].split())}", last)
        return answered

    connection.Session.rows = asking  # type: ignore[method-assign]


def _watch_files(last: int) -> None:
    rename, copyfile, rmtree = Path.rename, shutil.copyfile, shutil.rmtree

    def renaming(self: Path, target: str | Path) -> Path:
        renamed = rename(self, target)
        effect(f"renamed to {_kind(Path(target).name)}", last)
        return renamed

    def copying(source: Any, target: Any, **options: Any) -> Any:
        copied = copyfile(source, target, **options)
        effect("copied a segment", last)
        return copied

    def removing(path: Any, *more: Any, **options: Any) -> None:
        there = Path(path).exists()
        rmtree(path, *more, **options)
        if there:
            effect(f"removed {_kind(Path(path).name)}", last)

    Path.rename = renaming  # type: ignore[method-assign, assignment]
    shutil.copyfile = copying  # type: ignore[assignment]
    shutil.rmtree = removing  # type: ignore[assignment]


def _kind(name: str) -> str:
    """A file's name without what differs from service to service."""
    if name.startswith(("ripcord-wal-", "tmp")):
        return "scratch"
    if name.startswith("ripcord-"):
        return "socket"
    if name.endswith((".copy", ".part", ".gone")):
        return name.rpartition(".")[2]
    return name if re.fullmatch(r"[a-z_]+(\.json)?", name) else "set"


if __name__ == "__main__":
    stand_aside()
    known = walks()
    serve(lambda name, last: walk(known[name], last))
