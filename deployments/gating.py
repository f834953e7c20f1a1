"""Run the gate in this process: a pipeline waits for its exit code."""

from deployments.following import known_server
from flows.prepare_release import prepare_release
from recovery.restore_points import WayBack


def run_gate(service: str, version: str) -> WayBack:
    """Prove the way back of a release. Raises Refused when it is not proved, Unavailable when a system is silent."""
    with known_server():
        return prepare_release(service, version, rehearse=False)
