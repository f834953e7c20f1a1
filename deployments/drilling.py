"""Run the drill in this process: by hand, or by a timer where Prefect's schedule is not used."""

from deployments.following import known_server
from flows.drill import drill


def run_drill(service: str = "all") -> str:
    """Drill; says what held. Raises Refused when something did not, Unavailable when the Prefect server is silent."""
    with known_server():
        return drill(service)
