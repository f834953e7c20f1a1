"""Git's part of a recovery waits for the Git host for hours: the cluster is safe by then, and nothing is lost."""

from prefect import Task

import flows.aftermath
import flows.hotfix
import flows.revert_release
from tasks.retry import PATIENTLY

REHEARSED = {"preview sync"}  # of rehearsals alone: a person waits for the answer


def test_every_step_of_gits_part_waits_for_hours() -> None:
    """One that gave up after a minute would leave main reverted, and nobody told."""
    steps = {
        each.name: each.retries
        for module in (flows.aftermath, flows.hotfix, flows.revert_release)
        for each in vars(module).values()
        if isinstance(each, Task) and each.fn.__module__.startswith(("tasks.git.", "tasks.github."))
    }

    assert len(steps) > 15
    assert {name for name, retries in steps.items() if retries != PATIENTLY["retries"]} == REHEARSED
