"""Walk gates, or a restore, on a disk that fills up right before one of their steps, and again once there is room.

usage: python -m tests.integration.filling gate|restore DISK SERVICE STEP..., with the systems in the environment.

SERVICE is JSON; its restored servers, and for gates its sets, are put on the disk. Prints one line of JSON for each
step: how the walk ended whose disk was full, what unfinished it left, and how it ended with room again.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from prefect import Task
from prefect.logging import disable_run_logger

import flows.prepare_release as gating
import flows.restore_database as restoring
from recovery.catalog import Service
from recovery.errors import RecoveryError
from recovery.incidents import Cause
from recovery.restores import database_to_restore
from tasks.postgres.bridging import back_up_restored
from tasks.postgres.programs import give

CHUNKS = (1 << 20, 1 << 12, 1)  # bytes: the last one takes what is left of a page
CORRUPT = Cause(sentence="every amount is 0")


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte more goes onto the disk."""
    junk = disk / "junk"
    with junk.open("wb", buffering=0) as file:
        for chunk in CHUNKS:
            with suppress(OSError):
                while file.write(bytes(chunk)):
                    pass
    try:
        yield
    finally:
        junk.unlink()


@contextmanager
def filled_before(flow: ModuleType, step: str, disk: Path) -> Iterator[None]:
    """The disk is full from the beginning of a step on, and empties when the walk has ended."""
    original: Callable[..., Any] = getattr(flow, step)
    with ExitStack() as stack:

        def filling(*given: Any, **named: Any) -> Any:
            stack.enter_context(full(disk))
            return original(*given, **named)

        setattr(flow, step, filling)
        stack.callback(setattr, flow, step, original)
        yield


def said(walk: Callable[[], object]) -> str:
    """How a walk ended, in words."""
    try:
        return str(walk())
    except RecoveryError as error:
        return f"{type(error).__name__}: {error}"


def gates(service: Service, disk: Path, steps: list[str]) -> None:
    """A release for each step."""
    for number, step in enumerate(steps, 2):
        version = f"v1.{number}.0"
        with filled_before(gating, step, disk):
            ended = said(lambda version=version: gating.prove(service, version, rehearse=False).proved)  # type: ignore[misc]
        left = sorted(path.name for path in (disk / "sets").glob(".*"))
        way = gating.prove(service, version, rehearse=False)
        gating.tidy_up(service, version, way)
        tell(step, ended, left, str(way.proved))


def restore(service: Service, disk: Path, steps: list[str]) -> None:
    """One restore, which comes a step further each time."""

    def walk() -> str:
        plan = restoring.decide(service, "v1.2.0", CORRUPT)
        restoring.take_back(service, plan)
        return back_up_restored.fn(database_to_restore(service), plan.point)

    for step in steps:
        with filled_before(restoring, step, disk):
            ended = said(walk)
        tell(step, ended, sorted(path.name for path in (disk / "sides").glob(".*.part")), "")
    tell("", "", [], said(walk))


def tell(step: str, ended: str, left: list[str], again: str) -> None:
    """One line."""
    sys.stdout.write(json.dumps({"step": step, "said": ended, "left": left, "again": again}) + "\n")
    sys.stdout.flush()


def on_disk(service: Service, disk: Path, *, sets: bool) -> Service:
    """The service whose restored servers lie on the disk, and its sets, of which one is kept at a time."""
    assert service.database is not None
    assert service.database.restore is not None
    for name in ("sets", "sides"):
        (disk / name).mkdir(mode=0o700)
        give(disk / name)
    words: dict[str, object] = {
        "restore": service.database.restore.model_copy(update={"sides": str(disk / "sides")}),
        **({"backups": str(disk / "sets"), "keep": 1, "locked": timedelta()} if sets else {}),
    }
    return service.model_copy(update={"database": service.database.model_copy(update=words)})


def main(what: str, disk: Path, service: Service, steps: list[str]) -> None:
    """Each step in its turn."""
    Task.__call__ = lambda self, *given, **named: self.fn(*given, **named)  # type: ignore[method-assign]
    vars(gating).update(show=lambda *given: None, notify=lambda *given: None)
    vars(restoring).update(wait_until_recovered=lambda entry: "seen")
    try:
        with disable_run_logger():
            {"gate": gates, "restore": restore}[what](on_disk(service, disk, sets=what == "gate"), disk, steps)
    finally:
        for lock in disk.glob("sides/*/data/postmaster.pid"):
            os.kill(int(lock.read_text().split()[0]), signal.SIGQUIT)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Service.model_validate_json(sys.argv[3]), sys.argv[4:])
