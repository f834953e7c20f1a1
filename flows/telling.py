"""A failed recovery must still be told: what Prefect calls when a run has ended badly."""

from contextlib import suppress

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from recovery.errors import RecoveryError
from tasks.notify import notify


def tell_of_failure(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Tell that a run needs a person; telling must not be able to fail anything further."""
    who = f"{flow_run.parameters.get('service')} {flow_run.parameters.get('version')}"
    title = f"{flow.name} {who} needs a person"
    with suppress(RecoveryError):
        notify.fn(f"failed/{flow.name}/{flow_run.id}", title, state.message or "it failed without a message")


def tell_of_monitor(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Tell that the monitor itself is in trouble, at most once an hour for the same trouble."""
    trouble = state.message or "it failed without a message"
    hour = f"{flow_run.created:%Y%m%dT%H}" if flow_run.created else ""
    with suppress(RecoveryError):
        notify.fn(f"failed/monitor/{hour}/{trouble[:200]}", "the monitor cannot watch, a person must look", trouble)
