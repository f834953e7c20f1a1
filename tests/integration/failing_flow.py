"""A recovery that fails as the test says, with the hook of the real ones."""

import os

import httpx
from prefect import flow

from flows.telling import tell_of_failure
from recovery.errors import Refused


@flow(name="failing", on_failure=[tell_of_failure])
def failing(service: str, version: str) -> None:
    """Lose the server, or be refused."""
    if os.environ["FAILS_OF"] == "server":
        raise httpx.ConnectError("All connection attempts failed")
    raise Refused(f"{service} {version} is not there")
