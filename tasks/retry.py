"""The one retry rule: try again on Unavailable, with growing waits and jitter, and on nothing else."""

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec

from prefect import Task, get_run_logger
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import MissingContextError

from recovery.errors import Unavailable
from tasks.settings import Settings

P = ParamSpec("P")
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds; a minute of outage is ridden out inside the task
HOURS = 360  # further tries, one a minute, where the cluster is safe already and Git can wait: six hours
LISTED = 50  # Prefect takes no longer list of waits; its last one counts for all that follow


def if_unavailable(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Answer whether the failed attempt may be repeated: nothing was changed and a system did not answer."""
    return isinstance(state.result(raise_on_failure=False), Unavailable)


def waits(patience: float) -> Callable[[int], list[float]]:
    """The waits before each retry, scaled by `patience` (tests shorten them)."""

    def of(retries: int) -> list[float]:
        listed = (*WAITS, *[60.0] * retries)[: min(retries, LISTED)]
        return [patience * wait for wait in listed]

    return of


def spoken(function: Callable[P, str]) -> Callable[P, str]:
    """Log the sentence in which an acting task says what it did; below `@task`, above the function."""

    @functools.wraps(function)
    def speaking(*arguments: P.args, **named: P.kwargs) -> str:
        said = function(*arguments, **named)
        with suppress(MissingContextError):  # called without a run
            get_run_logger().info(said)
        return said

    return speaking


# Shared by every task: `@task(**ON_UNAVAILABLE)`. Results are persisted so that Retry goes on where it stopped.
ON_UNAVAILABLE: dict[str, Any] = {
    "retries": len(WAITS),
    "retry_delay_seconds": waits(Settings().patience),
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": if_unavailable,
    "persist_result": True,
}
# For what speaks to the Git host once the cluster was taken back: nothing is lost by waiting.
PATIENTLY: dict[str, Any] = ON_UNAVAILABLE | {"retries": len(WAITS) + HOURS}
# For readings: not kept, so that Retry, and a run that waited for a person, see the world as it is by then.
LOOKING_AGAIN: dict[str, Any] = ON_UNAVAILABLE | {"persist_result": False}
LOOKING_PATIENTLY: dict[str, Any] = PATIENTLY | {"persist_result": False}
# For readings that only inform: whoever waits for them waits for seconds.
LOOKING_BRIEFLY: dict[str, Any] = LOOKING_AGAIN | {"retries": 2}
