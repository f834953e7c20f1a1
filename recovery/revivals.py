"""Which runs died without saying so, and which of them are started again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

ATTEMPTS = 5  # of one run, counted by us; the last one wakes a person
QUIET = timedelta(seconds=10)  # a run takes its lock within this time after it has begun
SUBMITTED = timedelta(seconds=30)  # a worker starts a process within this time after it has claimed a run


@dataclass(frozen=True, slots=True)
class RunState:
    """A recovery's flow run as Prefect shows it."""

    id: str
    name: str
    state: str  # Prefect's state type: PENDING, RUNNING, CRASHED, CANCELLING
    since: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Revival:
    """A run that is dead: started again, or given up because it died too often."""

    run: RunState
    again: bool
    reason: str


def plan_revivals(runs: Sequence[RunState], alive: Collection[str], now: datetime) -> list[Revival]:
    """Find the dead among the runs: `alive` are the ids whose process still holds its lock."""
    found = []
    for run in runs:
        quiet = {"RUNNING": QUIET, "CRASHED": timedelta(0), "PENDING": SUBMITTED}.get(run.state)
        if quiet is None or run.id in alive or now - run.since < quiet:
            continue
        again = run.attempts < ATTEMPTS
        fate = "starting it again" if again else f"it died {run.attempts} times: a person must look"
        found.append(Revival(run, again, f"{run.name} is {run.state} and its process is gone, {fate}"))
    return found
