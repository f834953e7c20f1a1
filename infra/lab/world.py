"""The whole local world: the lab's servers, the team with its shop and customers, and ripcord among them.

ripcord runs as it does in production, as processes of its own that are told everything by the environment.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

from infra.lab.alertmanager import Alertmanager, alertmanager
from infra.lab.customers import Customers, customers
from infra.lab.githost import GitHost, git_host
from infra.lab.kubernetes import Cluster, control_plane
from infra.lab.pipeline import Pipeline, pipeline
from infra.lab.postgres import Postgres, postgres
from infra.lab.prefect import PrefectServer, prefect_server, worker
from infra.lab.process import LabError, Process, accepts, free_port, run, wait_until
from infra.lab.prometheus import Prometheus, prometheus
from infra.lab.restart import Restartable
from infra.lab.room import room
from infra.lab.shop import Shop, shop
from infra.lab.sink import Sink, sink
from infra.lab.team import Team

ROOT = Path(__file__).parents[2]
POOL = "ripcord"
OVERDUE_SECONDS = 5  # what the warm responder has not taken up by then, the ordinary worker takes

T = TypeVar("T")


@dataclass(frozen=True)
class Pace:
    """How fast the world turns. The plan's hour and 30 s cycles are shortened; limits stay the plan's."""

    watch: str = "60s"
    step: str = "5s"
    settle: str = "3m"
    monitor_seconds: int = 10
    customers_per_second: float = 15.0
    customers_seconds: float = 900.0


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
    teams: dict[str, Team] = field(default_factory=dict)
    shops: dict[str, Shop] = field(default_factory=dict)
    customers: dict[str, Customers] = field(default_factory=dict)
    receiver: Restartable = field(init=False)
    worker: Restartable = field(init=False)
    watcher: Restartable = field(init=False)

    def ripcord(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
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


@contextmanager
def world(
    directory: Path,
    *,
    faulty: Sequence[str] = ("shop",),
    healthy: Sequence[str] = (),
    quiet: Sequence[str] = (),
    pace: Pace = Pace(),
    say: Callable[[str], None] = lambda sentence: None,
) -> Iterator[World]:
    """Run the world for the time of the block; each service has released v1.0.0 and serves it.

    `faulty` services have a v1.2.0 whose checkout fails for a share of customers, `healthy` ones have not.
    `quiet` services are in the catalogue and known to the pipeline, and nothing more: neither team nor customers.
    Raises LabError when a part does not come up; all logs are in `directory`. Raises DiskFull when that is full.
    """
    services = (*faulty, *healthy)
    directory.mkdir(parents=True, exist_ok=True)
    with room(directory), ExitStack() as stack:
        here = _Starter(stack)
        say("starting PostgreSQL, the control plane, the Git host and the message sink")
        database, cluster, host, messages = here.together(
            lambda: postgres(directory / "postgres"),
            lambda: control_plane(directory / "kubernetes"),
            lambda: git_host(directory / "githost"),
            lambda: sink(directory),
        )
        database.create_database("ripcord")
        token, port = secrets.token_urlsafe(24), free_port()
        receiver_url = f"http://127.0.0.1:{port}"
        say("starting Prefect, Alertmanager, Prometheus and the pipeline")
        server, alarms = here.together(
            lambda: prefect_server(directory / "prefect", database),
            lambda: alertmanager(directory, receiver_url, token),
        )
        metrics = here.one(prometheus(directory, {"ripcord": f"127.0.0.1:{port}"}, alarms.url))
        deploys = here.one(
            pipeline(directory / "pipeline", host, cluster, directory / "registry", services=(*services, *quiet))
        )
        made = World(
            directory, services, tuple(quiet), pace, database, server, cluster, host, messages, metrics, alarms,
            deploys, receiver_url, token, {},
        )  # fmt: skip
        say("the team starts: v1.0.0 of " + ", ".join(services))
        for service in services:
            _found(made, service, service in faulty, here)
        metrics.retarget({"ripcord": f"127.0.0.1:{port}"} | {n: s.metrics_target for n, s in made.shops.items()})
        say("starting ripcord: deployments, worker, watcher, receiver with the warm responder")
        made.env = _environment(made, port)
        _deploy(made)
        made.receiver = Restartable(lambda: _receiver(made, port))
        made.worker = Restartable(lambda: _worker(made))
        made.watcher = Restartable(lambda: _watcher(made))
        here.together(lambda: _kept(made.receiver), lambda: _kept(made.worker), lambda: _kept(made.watcher))
        yield made


class _Starter:
    """Enters contexts, several at once, and leaves them in reverse order."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def one(self, context: AbstractContextManager[T]) -> T:
        return self._stack.enter_context(context)

    def together(self, *contexts: Callable[[], AbstractContextManager[Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(contexts)) as threads:
            stacks = [ExitStack() for _ in contexts]
            starting = [threads.submit(s.enter_context, make()) for s, make in zip(stacks, contexts, strict=True)]
            for each in stacks:
                self._stack.push(each)
        return [each.result() for each in starting]


def _found(made: World, service: str, faulty: bool, here: _Starter) -> None:
    made.postgres.create_database(service)
    team = Team(made.host, directory=made.directory / "team", service=service, faulty=faulty)
    team.start()
    made.teams[service] = team
    made.pipeline.wait_for(f"acme/{service}", "v1.0.0", seconds=120)
    made.shops[service] = here.one(
        shop(
            made.directory,
            kubeconfig=made.cluster.kubeconfig,
            registry=made.directory / "registry",
            dsn=made.postgres.dsn(service),
            service=service,
        )
    )
    street = made.directory / "customers" / service
    street.mkdir(parents=True)
    made.customers[service] = here.one(
        customers(street, made.shops[service].url, made.pace.customers_per_second, made.pace.customers_seconds)
    )


def _environment(made: World, port: int) -> dict[str, str]:
    """All that ripcord's processes are told."""
    catalogue = made.directory / "services.yaml"
    catalogue.write_text(
        yaml.safe_dump({"services": [_entry(made, service) for service in (*made.services, *made.quiet)]})
    )
    return made.prefect.environment | {
        "RIPCORD_HOME": str(ROOT),
        "RIPCORD_CATALOGUE": str(catalogue),
        "RIPCORD_WORK_POOL": POOL,
        "RIPCORD_PROMETHEUS_URL": made.prometheus.url,
        "RIPCORD_ALERTMANAGER_URL": made.alertmanager.url,
        "RIPCORD_GITHUB_API_URL": made.host.api_url,
        "RIPCORD_GITHUB_GIT_URL": made.host.url,
        "RIPCORD_GITHUB_TOKEN": made.host.token("ripcord"),
        "RIPCORD_KUBECONFIG": str(made.cluster.kubeconfig_for("ripcord")),
        "RIPCORD_LOCK_URL": made.postgres.dsn("ripcord"),
        "RIPCORD_RECEIVER_TOKEN": made.receiver_token,
        "RIPCORD_RECEIVER_PORT": str(port),
        "RIPCORD_ARCHIVE": str(made.directory / "archive"),
        "RIPCORD_NOTIFY_URLS": made.sink.url.replace("http://", "json://") + "/stakeholders",
        "RIPCORD_PATIENCE": "0.5",
    }


def _entry(made: World, service: str) -> dict[str, object]:
    buy = {"customer": "probe", "sku": "TEA-07", "quantity": 1}
    steps = [
        {"method": "GET", "path": "/catalogue"},
        {"method": "POST", "path": "/cart", "body": buy},
        {"method": "POST", "path": "/checkout", "body": {"customer": "probe"}},
    ]
    probe = {"name": "checkout", "steps": steps}
    shops = [made.shops[service]] if service in made.shops else []
    return {
        "name": service,
        "namespace": "acme",
        "repository": f"acme/{service}",
        "watch": made.pace.watch,
        "step": made.pace.step,
        "settle": made.pace.settle,
        "probes": [probe | {"base_url": shop.url} for shop in shops],
    }


def _deploy(made: World) -> None:
    """Make the work pool and deploy all flows with Prefect's own command; only the monitor's pace is ours."""
    plan = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    for deployment in plan["deployments"]:
        for schedule in deployment.get("schedules", []):
            schedule["interval"] = made.pace.monitor_seconds
    file = made.directory / "prefect.yaml"
    file.write_text(yaml.safe_dump(plan))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RIPCORD_"))}
    prefect = [sys.executable, "-m", "prefect"]
    for arguments in (
        ["work-pool", "create", POOL, "--type", "process"],
        ["--no-prompt", "deploy", "--all", "--prefect-file", str(file)],
    ):
        done = subprocess.run(
            [*prefect, *arguments], cwd=ROOT, env=env | made.env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise LabError(f"prefect {' '.join(arguments)} failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")


@contextmanager
def _receiver(made: World, port: int) -> Iterator[Process]:
    argv = [sys.executable, "-m", "deployments.receiver"]
    with run("receiver", argv, directory=made.directory, env=os.environ | made.env, cwd=ROOT) as process:
        wait_until(lambda: accepts(port), what="the receiver", seconds=90, process=process, every=0.1)
        wait_until(lambda: _healthy(made.receiver_url), what="the receiver", seconds=30, process=process, every=0.1)
        yield process


@contextmanager
def _watcher(made: World) -> Iterator[Process]:
    argv = [sys.executable, "-m", "deployments.cli", "watch"]
    with run("watcher", argv, directory=made.directory, env=os.environ | made.env, cwd=ROOT) as process:
        yield process


def _worker(made: World) -> AbstractContextManager[Process]:
    return worker(
        made.directory, made.prefect, POOL, made.env, query_seconds=2, prefetch_seconds=-OVERDUE_SECONDS, cwd=ROOT
    )


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _kept(server: Restartable) -> Iterator[Restartable]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
