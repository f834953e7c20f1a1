"""The monitor's backlog: after an outage of an hour a hundred cycles are due at once, and one of them is enough."""

from datetime import UTC, datetime

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled

MOST = 200  # what Prefect gives in one answer


def drop_backlog(flow: str = "monitor") -> int:
    """Cancel the due cycles that nobody has taken up, but for the newest; how many.

    Each would be a process of a worker's, to say that it comes too late.
    """
    due = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
            flow_run_filter=due,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=MOST,
        )
        for run in found[1:]:
            client.set_flow_run_state(run.id, Cancelled(message="a newer cycle looks at the same"))
    return len(found[1:])
