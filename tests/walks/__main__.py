"""Walk one procedure on the Git host of the environment, and die after its n-th effect.

usage: python -m tests.walks (push | pull-request | hotfix | sync) EFFECT

An effect is a push or a call that writes. What speaks to other systems than the Git host stands aside. Prints each
effect; EFFECT 0 walks to the end. The gate and the drill are walked by `tests.walks.databases`.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from prefect import Task
from prefect.logging import disable_run_logger

import tasks.artifacts
import tasks.fence
from recovery.hotfixes import Answer
from recovery.incidents import Cause
from recovery.reverts import plan_revert
from recovery.versions import parse_version
from tasks.git.plumbing import Repository
from tests.walks.effects import effect, watch_calls

CAUSE = Cause(sentence="customers cannot check out", seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC))
SERVICE, VERSION = "shop", "v1.2.0"
ASIDE = {"mark patch", "watch pipeline", "wait until settled", "wait until recovered", "notify"}


def watch_effects(last: int) -> None:
    """Count pushes and writing calls where they leave us, after they were answered."""
    answer = Repository.answer

    def pushing(self: Repository, *arguments: str, **options: Any) -> tuple[int, str, str]:
        answered = answer(self, *arguments, **options)
        if arguments[0] == "push":
            effect("push", last)
        return answered

    Repository.answer = pushing  # type: ignore[method-assign]
    watch_calls(last)


def walk_tasks() -> None:
    """Have every task called as the plain function that it is."""

    def call(self: Task[Any, Any], *arguments: Any, **named: Any) -> Any:
        return None if self.name in ASIDE else self.fn(*arguments, **named)

    Task.__call__ = call  # type: ignore[method-assign]
    vars(tasks.artifacts).update(show=lambda *said: None)
    vars(tasks.fence).update(one_at_a_time=lambda service: nullcontext())


def revert() -> None:
    """The flow as it is; the catalogue says on which way."""
    from flows.revert_release import revert_release

    revert_release.fn(SERVICE, VERSION, CAUSE, rehearse=False)


def hotfix() -> None:
    """Everything up to the Release, with a person who takes the proposal."""
    import flows.hotfix as module

    vars(module).update(ask=lambda *asked: Answer.TAKE, report_hotfix=lambda *told: "told")
    module.hotfix.fn(SERVICE, VERSION, CAUSE, rehearse=False)


def sync() -> None:
    """What aftermath does to the repository."""
    from tasks.git import read_history, read_pushed, sync_develop
    from tasks.github import open_pull, read_releases
    from tasks.settings import read_service

    entry = read_service(SERVICE)
    faulty = parse_version(VERSION, entry.tag_prefix)
    plan = plan_revert(entry, faulty, read_history(entry, VERSION), read_releases(entry), CAUSE)
    for proposal in sync_develop(entry, plan, read_pushed(plan)).proposals:
        open_pull(proposal)


WALKS: dict[str, Callable[[], None]] = {"push": revert, "pull-request": revert, "hotfix": hotfix, "sync": sync}

if __name__ == "__main__":
    name, last = sys.argv[1], int(sys.argv[2])
    watch_effects(last)
    walk_tasks()
    with disable_run_logger():
        WALKS[name]()
