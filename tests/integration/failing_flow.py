"""A recovery that fails as the test says, with the lock and the hook of the real ones."""

import os

import httpx
from prefect import flow

from flows.telling import tell_of_failure
from recovery.errors import Refused, Unavailable
from tasks.fence import one_at_a_time

CAUSES = {
    "server": httpx.ConnectError("All connection attempts failed"),
    "other system": Unavailable("the Git host did not answer: ConnectError: refused"),
    "refusal": Refused("shop v1.2.0 is not there"),
}


@flow(name="failing", on_failure=[tell_of_failure])
def failing(service: str, version: str) -> None:
    """Lose the server or another system, or be refused."""
    with one_at_a_time(service):
        beginning(service, version)


@flow(name="beginning")
def beginning(service: str, version: str) -> None:
    """A flow within the flow, under the same lock."""
    with one_at_a_time(service):
        raise CAUSES[os.environ["FAILS_OF"]]
