"""Run the gate in this process: a pipeline waits for its exit code."""

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from flows.prepare_release import prepare_release
from recovery.errors import Unavailable
from recovery.restore_points import WayBack


def run_gate(service: str, version: str) -> WayBack:
    """Prove the way back of a release. Raises Refused when it is not proved, Unavailable when a system is silent."""
    try:
        return prepare_release(service, version, rehearse=False)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        raise Unavailable(
            f"the Prefect server did not answer ({error}), nothing is proved: check PREFECT_API_URL"
        ) from None
