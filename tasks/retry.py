"""The one retry rule: try again on Unavailable, with growing waits and jitter, and on nothing else."""

from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging.loggers import task_run_logger

from recovery.errors import Unavailable
from tasks.settings import Settings

LONGEST_SENTENCE = 1000  # longer texts are documents, and documents are artifacts
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds; a minute of outage is ridden out inside the task


def if_unavailable(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Answer whether the failed attempt may be repeated: nothing was changed and a system did not answer."""
    return isinstance(state.result(raise_on_failure=False), Unavailable)


def waits(patience: float) -> Callable[[int], list[float]]:
    """The waits before each retry, scaled by `patience` (tests shorten them)."""

    def of(retries: int) -> list[float]:
        return [patience * WAITS[min(attempt, len(WAITS) - 1)] for attempt in range(retries)]

    return of


def say(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> None:
    """Log what an acting task said it did: the sentence is its result."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, str) and len(result) < LONGEST_SENTENCE:
        task_run_logger(task_run, task).info(result)


# Shared by every task: `@task(**ON_UNAVAILABLE)`. Results are persisted so that Retry goes on where it stopped.
ON_UNAVAILABLE: dict[str, Any] = {
    "retries": len(WAITS),
    "retry_delay_seconds": waits(Settings().patience),
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": if_unavailable,
    "persist_result": True,
    "on_completion": [say],
}
