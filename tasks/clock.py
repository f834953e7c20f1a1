"""Read the clock: judgement gets the time as an argument, so somebody must look."""

from datetime import UTC, datetime

from prefect import task


@task(name="read clock")
def read_clock() -> datetime:
    """The present time in UTC, of this host."""
    return datetime.now(UTC)
