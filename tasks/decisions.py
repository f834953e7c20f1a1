"""Decide once in a run: the decision is kept with the run, and what was read for it is not.

So Retry after a refusal reads the world as people mended it, and a run that waited for a person, or died after it had
begun to act, goes on with what was decided then.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import runtime, task
from prefect.context import TaskRunContext

T = TypeVar("T")


def _by_run_and_name(_: TaskRunContext, given: dict[str, Any]) -> str:
    return f"{runtime.flow_run.id}-{given['what']}"


@task(name="decide", task_run_name="decide on the {what}", cache_key_fn=_by_run_and_name, persist_result=True)
def decided(what: str, decide: Callable[[], T]) -> T:
    """What `decide` reads and answers the first time in this run; a refusal is not kept.

    Raises what `decide` raises.
    """
    return decide()
