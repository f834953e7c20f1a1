"""Found the whole local world: the lab's servers, the team with its shop and customers, and ripcord among them."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from infra.lab.alertmanager import alertmanager
from infra.lab.customers import customers
from infra.lab.githost import git_host
from infra.lab.kubernetes import control_plane
from infra.lab.ours import deploy, environment, open_gate, receiver, watcher, worker_of
from infra.lab.pipeline import pipeline
from infra.lab.postgres import postgres
from infra.lab.prefect import prefect_server
from infra.lab.process import free_port
from infra.lab.prometheus import prometheus
from infra.lab.restart import Restartable
from infra.lab.room import room
from infra.lab.shop import shop
from infra.lab.sink import sink
from infra.lab.stores import stores
from infra.lab.team import Team
from infra.lab.world import USUAL, Pace, World

T = TypeVar("T")


@contextmanager
def world(
    directory: Path,
    *,
    faulty: Sequence[str] = ("shop",),
    healthy: Sequence[str] = (),
    quiet: Sequence[str] = (),
    guarded: Sequence[str] = (),
    pace: Pace = USUAL,
    say: Callable[[str], None] = lambda sentence: None,
) -> Iterator[World]:
    """Run the world for the time of the block; each service has released v1.0.0 and serves it.

    `faulty` services have a v1.2.0 whose checkout fails for a share of customers, `healthy` ones have not.
    `quiet` services are in the catalogue and known to the pipeline, and nothing more: neither team nor customers.
    `guarded` are those of them whose database has a way back, for which the pipeline asks the gate after v1.0.0.
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
        if guarded:
            say("starting the databases with a way back, behind their pooler")
            made.stores = here.one(stores(directory / "stores", guarded))
        say("the team starts: v1.0.0 of " + ", ".join(services))
        for service in services:
            _found(made, service, service in faulty, here)
        metrics.retarget({"ripcord": f"127.0.0.1:{port}"} | {n: s.metrics_target for n, s in made.shops.items()})
        say("starting ripcord: deployments, worker, watcher, receiver with the warm responder")
        made.env = environment(made, port)
        deploy(made)
        made.receiver = Restartable(lambda: receiver(made, port))
        made.worker = Restartable(lambda: worker_of(made))
        made.watcher = Restartable(lambda: watcher(made))
        here.together(lambda: _kept(made.receiver), lambda: _kept(made.worker), lambda: _kept(made.watcher))
        open_gate(made)
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
    guarded = made.stores is not None and service in made.stores.ports
    if not guarded:
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
            dsn=made.stores.dsn(service) if made.stores and guarded else made.postgres.dsn(service),
            service=service,
        )
    )
    street = made.directory / "customers" / service
    street.mkdir(parents=True)
    made.customers[service] = here.one(
        customers(street, made.shops[service].url, made.pace.customers_per_second, made.pace.customers_seconds)
    )


@contextmanager
def _kept(server: Restartable) -> Iterator[Restartable]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
