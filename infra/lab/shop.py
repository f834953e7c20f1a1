"""The running service: one HTTP process that answers each request as one of the ready pods would.

kwok's pods run nothing. This process stands for all of them together with the Service before them: it asks
the cluster which pods are ready, picks one of them, and runs the code of the pod's image tag.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.lab.process import Process, free_port, run, wait_until
from infra.lab.shop_code import Body, Version
from infra.lab.shop_database import Database
from infra.lab.shop_metrics import Metrics
from infra.lab.shop_pods import ReadyPods

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
DSN = "LAB_SHOP_DSN"
IDLE_SECONDS = 75  # longer than any client keeps a connection, so that none is ended under a request
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Shop:
    """A running service."""

    url: str
    metrics_target: str
    process: Process


@contextmanager
def shop(
    directory: Path,
    *,
    kubeconfig: Path,
    registry: Path,
    dsn: str,
    service: str = "shop",
    namespace: str = "acme",
    port: int | None = None,
) -> Iterator[Shop]:
    """Run a service for the time of the block; its log is `<directory>/<service>.log`.

    The code of version T is the tree `<registry>/<service>/T/`. `port` starts it again where it was before.
    Raises LabError when it has not learned its pods within a minute.
    """
    port = port or free_port()
    argv = ["--service", service, "--namespace", namespace, "--kubeconfig", str(kubeconfig)]
    argv += ["--registry", str(registry), "--port", str(port)]
    command = [sys.executable, "-m", "infra.lab.shop", *argv]
    url = f"http://127.0.0.1:{port}"
    # Nothing else of ours: no proxy may stand between, and the code of a version sees no secrets but its database.
    # The Kubernetes client keeps temporary files, which after kill -9 must lie nowhere else.
    env = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PYTHON")}
    env |= dict.fromkeys(("HOME", "TMPDIR"), str(directory.resolve())) | {DSN: dsn}
    with run(service, command, directory=directory, env=env, cwd=ROOT) as process:
        wait_until(lambda: _knows_its_pods(url), what=f"{service} at {url}", seconds=60, process=process)
        yield Shop(url, f"127.0.0.1:{port}", process)


class Service:
    """The HTTP side of the process."""

    def __init__(self, pods: ReadyPods, metrics: Metrics, registry: Path, database: Database) -> None:
        self._pods = pods
        self._metrics = metrics
        self._registry = registry
        self._database = database
        self._versions: dict[str, Version] = {}

    def application(self) -> Starlette:
        """The routes: two about the process itself, which are not counted, and the service's own."""
        return Starlette(
            routes=[
                Route("/healthz", self.healthz),
                Route("/metrics", self.metrics),
                Route("/{path:path}", self.serve, methods=METHODS),
            ]
        )

    async def healthz(self, _: Request) -> Response:
        """The process is there; the ready pods it knows, null before it has learned them."""
        known = [pod.name for pod in self._pods.current] if self._pods.listed else None
        return JSONResponse({"pods": known})

    async def metrics(self, _: Request) -> Response:
        """All counters, for Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def serve(self, request: Request) -> Response:
        """Give the request to one of the ready pods, and count the answer under its version."""
        began = time.perf_counter()
        path = request.url.path
        pod = self._pods.pick()
        if pod is None:
            version, name, status, answer = "none", "none", 503, _error("no pod is ready")
        else:
            version, name = pod.version, pod.name
            status, answer = await self._answer(version, request)
        self._metrics.count(version, path, status, time.perf_counter() - began)
        headers = {"X-Version": version, "X-Pod": name}
        return Response(answer, status, headers=headers, media_type="application/json")

    async def _answer(self, version: str, request: Request) -> tuple[int, bytes]:
        try:
            body = await _body(request)
        except ValueError as error:
            return 400, _error(f"the body is not a JSON object: {error}")
        try:
            return await self._version(version).answer(request.method, request.url.path, body)
        except Exception as error:
            # The log has the traceback; what an exception says is not for customers.
            log.exception("%s %s failed in %s", request.method, request.url.path, version)
            return 500, _error(type(error).__name__)

    def _version(self, tag: str) -> Version:
        if tag not in self._versions:
            self._versions[tag] = Version(tag, self._registry / tag, self._database)
        return self._versions[tag]


async def _body(request: Request) -> Body:
    """The query's parameters, and over them the members of the JSON body."""
    raw = await request.body()
    given = json.loads(raw) if raw else {}
    if not isinstance(given, dict):
        raise ValueError(f"it is a {type(given).__name__}")
    return {**request.query_params, **given}


def _error(what: str) -> bytes:
    return json.dumps({"error": what}).encode()


def _knows_its_pods(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).json()["pods"] is not None
    except httpx.HTTPError:
        return False


def main() -> None:
    """Run the service until it is told to end."""
    parser = argparse.ArgumentParser()
    for name in ("service", "namespace", "kubeconfig", "registry", "port"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # The registry is the pipeline's: no bytecode is left in it.
    sys.dont_write_bytecode = True
    pods = ReadyPods(Path(given.kubeconfig), given.namespace, given.service)
    pods.start()
    database = Database(os.environ.pop(DSN), given.service)
    service = Service(pods, Metrics(given.service), Path(given.registry) / given.service, database)
    uvicorn.run(
        service.application(),
        host="127.0.0.1",
        port=int(given.port),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
