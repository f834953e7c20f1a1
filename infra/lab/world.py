"""The whole local world, once it stands: its parts by name, and the questions one asks of it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.lab.alertmanager import Alertmanager
from infra.lab.customers import Customers
from infra.lab.githost import GitHost
from infra.lab.kubernetes import Cluster
from infra.lab.pipeline import Pipeline
from infra.lab.postgres import Postgres
from infra.lab.prefect import PrefectServer
from infra.lab.process import wait_until
from infra.lab.prometheus import Prometheus
from infra.lab.restart import Restartable
from infra.lab.shop import Shop
from infra.lab.sink import Sink
from infra.lab.stores import Stores
from infra.lab.team import Team

ROOT = Path(__file__).parents[2]
POOL = "ripcord"


@dataclass(frozen=True)
class Pace:
    """How fast the world turns. The plan's hour and 30 s cycles are shortened; limits stay the plan's."""

    watch: str = "60s"
    step: str = "5s"
    settle: str = "3m"
    monitor_seconds: int = 10
    customers_per_second: float = 15.0
    customers_seconds: float = 900.0


USUAL = Pace()


@dataclass
class World:
    """Everything that runs, by name."""

    directory: Path
    services: tuple[str, ...]
    quiet: tuple[str, ...]
    pace: Pace
    postgres: Postgres
    prefect: PrefectServer
    cluster: Cluster
    host: GitHost
    sink: Sink
    prometheus: Prometheus
    alertmanager: Alertmanager
    pipeline: Pipeline
    receiver_url: str
    receiver_token: str
    env: dict[str, str]
    stores: Stores | None = None
    """Databases with a way back, of the services whose pipeline asks the gate."""
    teams: dict[str, Team] = field(default_factory=dict)
    shops: dict[str, Shop] = field(default_factory=dict)
    customers: dict[str, Customers] = field(default_factory=dict)
    receiver: Restartable = field(init=False)
    worker: Restartable = field(init=False)
    watcher: Restartable = field(init=False)

    def ripcord(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the command line as a person on call would; never raises for its exit code."""
        command = [sys.executable, "-m", "deployments.cli", *arguments]
        env = os.environ | self.env
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds, check=False)

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """The flow runs of one flow, oldest first, as Prefect's API gives them."""
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
        with self.prefect.client() as client:
            found: list[dict[str, Any]] = client.post("flow_runs/filter", json=body).raise_for_status().json()
        return found

    def wait_for_run(self, flow: str, name: str, states: Sequence[str], seconds: float) -> dict[str, Any]:
        """Wait until the run of this name is in one of the states, and return it."""

        def there() -> dict[str, Any] | None:
            named = [each for each in self.runs(flow) if each["name"] == name]
            return named[-1] if named and named[-1]["state_type"] in states else None

        return wait_until(there, what=f"run {name!r} in {'/'.join(states)}", seconds=seconds, every=0.5)

    def version_served(self, service: str) -> str:
        """What the cluster is asked to run, by kubectl."""
        image = "jsonpath={.spec.template.spec.containers[0].image}"
        return self.cluster.kubectl("-n", "acme", "get", "deployment", service, "-o", image).rpartition(":")[2]
