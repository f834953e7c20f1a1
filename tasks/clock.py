"""Read the clock: judgement gets the time as an argument, so somebody must look."""

from datetime import UTC, datetime, timedelta

from prefect import runtime, task


@task(name="read clock")
def read_clock() -> datetime:
    """The present time in UTC, of this host."""
    return datetime.now(UTC)


def lateness() -> timedelta:
    """How long after its due time the flow run that we are in has begun; zero outside of a run."""
    due = runtime.flow_run.scheduled_start_time
    return datetime.now(UTC) - due if due else timedelta()
