"""Which runs died without saying so, and which of them are started again."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

ATTEMPTS = 5  # of one run, counted by us; the last one wakes a person
QUIET = timedelta(seconds=10)  # a run takes its lock within this time after it has begun
SUBMITTED = timedelta(seconds=30)  # a worker starts a process within this time after it has claimed a run


# What Prefect's own client raises while its server is away (httpx), and what a server says that is going away.
_AWAY = re.compile(
    r"\b((Connect|Read|Write|Close|RemoteProtocol|LocalProtocol)Error|(Connect|Read|Write|Pool)Timeout): "
    r"|\bPrefectHTTPStatusError: Server error '5"
)


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


def lost_server(message: str) -> bool:
    """Answer whether a run failed of nothing but Prefect's server being away, by the message of its state.

    Prefect's client asks again only where it had reached the server before, and a subflow begins with a new client.
    """
    return bool(_AWAY.search(message))


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
