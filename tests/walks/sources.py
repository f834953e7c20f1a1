"""Walk one procedure on the Git host of the environment, and die after its n-th effect, or before it.

usage: python -m tests.walks.sources, with one line for each walk on standard input, see `tests.walks.forks`.

An effect is a push, a call that writes, a file of the archive, what is remembered of a message, and the start of a
hotfix. `respond` goes on with the hotfix that it has called for, which is a run of its own: once `respond` has ended,
that alone goes on. What speaks to other systems than the Git host stands aside.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from prefect import Flow, Task
from prefect.logging import disable_run_logger

import tasks.archive
import tasks.artifacts
import tasks.documents
import tasks.fence
import tasks.notify
from recovery.incidents import Cause
from tasks.git.plumbing import Repository
from tests.walks import standins
from tests.walks.effects import doing, watch_calls
from tests.walks.forks import serve

SERVICE, VERSION = "shop", "v1.2.0"
CAUSE = Cause(sentence="customers cannot check out", seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC))


def stand_in() -> None:
    """Have tasks and flows called as the plain functions that they are, before the flows are imported."""

    def call(self: Task[Any, Any], *arguments: Any, **named: Any) -> Any:
        if self.name in standins.STANDINS:
            return standins.STANDINS[self.name](self, *arguments, **named)
        return standins.remembered(self, *arguments, **named)

    Task.__call__ = call  # type: ignore[method-assign]
    Flow.__call__ = standins.run  # type: ignore[method-assign, assignment]
    vars(tasks.artifacts).update(show=standins.show)
    vars(tasks.fence).update(one_at_a_time=lambda service: nullcontext())


def walks() -> dict[str, Callable[[], object]]:
    """The flows, and who answers them."""
    import flows.asking
    from flows.hotfix import hotfix
    from flows.respond import respond
    from flows.revert_release import revert_release

    vars(flows.asking).update(ask_person=standins.answer)

    def whole() -> None:
        called = standins.place() / "launched"
        respond(SERVICE, VERSION, CAUSE, rehearse=False)  # also once its hotfix has shipped: who died there is revived
        if called.exists():
            hotfix(SERVICE, VERSION, CAUSE, called.read_text(), rehearse=False)

    return {"respond": whole, "revert": lambda: revert_release(SERVICE, VERSION, CAUSE, rehearse=False)}


def watch_effects(last: int) -> None:
    """Count the effects where they are about to leave us, and where they were answered."""
    answer, remember = Repository.answer, standins.Variable.set
    keep, launch = tasks.archive.keep, standins.STANDINS["launch hotfix"]

    def pushing(self: Repository, *arguments: str, **options: Any) -> tuple[int, str, str]:
        if arguments[0] != "push":
            return answer(self, *arguments, **options)
        with doing("push", last):
            return answer(self, *arguments, **options)

    def keeping(path: Any, content: bytes) -> None:
        with doing(f"keep {path.parent.name}", last):
            keep(path, content)

    def launching(*asked: Any, **more: Any) -> object:
        with doing("launch hotfix", last):
            return launch(*asked, **more)

    class Remembering(standins.Variable):
        @staticmethod
        def set(name: str, value: str, **options: Any) -> None:
            with doing("remember", last):
                remember(name, value)

    Repository.answer = pushing  # type: ignore[method-assign]
    standins.STANDINS["launch hotfix"] = launching
    vars(tasks.documents).update(keep=keeping)
    vars(tasks.notify).update(keep=keeping, Variable=Remembering)
    watch_calls(last)


if __name__ == "__main__":
    stand_in()
    known = walks()

    def walk(name: str, last: int) -> None:
        """Walk, in a process of its own."""
        watch_effects(last)
        os.environ.setdefault("PREFECT_API_URL", "http://127.0.0.1:9/api")
        with disable_run_logger():
            known[name]()

    serve(walk)
