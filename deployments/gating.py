"""Run the gate in this process: a pipeline waits for its exit code."""

from deployments.following import known_server
from flows.prepare_cnpg import prepare_cnpg
from flows.prepare_rds import prepare_rds
from flows.prepare_release import prepare_release
from recovery.restore_points import WayBack
from tasks.settings import read_service


def run_gate(service: str, version: str) -> WayBack:
    """Prove the way back of a release. Raises Refused when it is not proved, Unavailable when a system is silent."""
    with known_server():
        entry = read_service(service)
        if entry.cnpg is not None:
            return prepare_cnpg(service, version, rehearse=False)
        if entry.rds is not None:
            return prepare_rds(service, version, rehearse=False)
        return prepare_release(service, version, rehearse=False)
