"""The team's deployment pipeline: a pushed tag `vX.Y.Z` is built, applied to the cluster and reported.

usage: python -m infra.lab.pipeline PORT DIRECTORY REGISTRY HOST_URL KUBECONFIG KUBECTL ROLLOUT_SECONDS
with the webhook's secret and both tokens in the environment.
"""

import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from infra.lab.githost import GitHost
from infra.lab.kubernetes import Cluster, kubectl_program
from infra.lab.pipeline_gate import Gate
from infra.lab.pipeline_runs import Runs, tag_push
from infra.lab.pipeline_work import Report, Work
from infra.lab.process import Process, accepts, free_port, run, wait_until
from infra.lab.restart import Restartable

ROOT = Path(__file__).parents[2]
GATE = "gate.json"
SECRET, READ_TOKEN, REPORT_TOKEN = "LAB_PIPELINE_SECRET", "LAB_PIPELINE_READ_TOKEN", "LAB_PIPELINE_REPORT_TOKEN"


class Pipeline(Restartable):
    """A running pipeline; what it did it still knows after a restart."""

    def __init__(self, port: int, gate: Gate, serve: Callable[[], AbstractContextManager[Process]]) -> None:
        """Prepare; `pipeline` starts it."""
        super().__init__(serve)
        self.gate = gate
        """What it asks before it applies a release; nothing, until it is opened."""
        self.url = f"http://127.0.0.1:{port}"

    def runs(self, repository: str = "", tag: str = "") -> list[dict[str, Any]]:
        """Its runs so far, oldest first: `id`, `repository`, `tag`, `sha`, `commit`, `state`, `reason`, times."""
        runs: list[dict[str, Any]] = httpx.get(f"{self.url}/runs", timeout=10, trust_env=False).json()
        return [r for r in runs if repository in ("", r["repository"]) and tag in ("", r["tag"])]

    def wait_for(self, repository: str, tag: str, *, seconds: float = 120) -> dict[str, Any]:
        """Wait until the last run of a tag has ended, and return it; raises LabError when it does not."""

        def ended() -> dict[str, Any] | None:
            last = self.runs(repository, tag)[-1:]
            return last[0] if last and last[0]["state"] in ("success", "failure", "interrupted") else None

        what = f"the deployment of {repository} {tag}"
        return wait_until(ended, what=what, seconds=seconds, process=self.process, every=0.2)


@contextmanager
def pipeline(
    directory: Path,
    host: GitHost,
    cluster: Cluster,
    registry: Path,
    *,
    services: Sequence[str] = ("shop",),
    rollout_seconds: float = 60,
    port: int | None = None,
) -> Iterator[Pipeline]:
    """Run a pipeline for the time of the block, told by webhook of every push to `acme/<service>`.

    What it built stays in `<registry>/<service>/<tag>/`. `rollout_seconds` is its patience with a rollout.
    Raises LabError when it does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port, secret = port or free_port(), secrets.token_hex(16)
    for service in services:
        host.create_repository(f"acme/{service}")
        host.add_webhook(f"acme/{service}", f"http://127.0.0.1:{port}/webhook", secret, events=("push",))
    env = os.environ | {SECRET: secret, READ_TOKEN: host.token("pipeline-reader", write=False)}
    env |= {REPORT_TOKEN: host.token("pipeline")}
    where = [directory, registry, host.url, cluster.kubeconfig_for("pipeline"), kubectl_program(), rollout_seconds]
    argv = [sys.executable, "-m", "infra.lab.pipeline", str(port), *map(str, where)]

    @contextmanager
    def serve() -> Iterator[Process]:
        with run("pipeline", argv, directory=directory, env=env, cwd=ROOT) as process:
            wait_until(lambda: accepts(port), what="the pipeline", seconds=30, process=process)
            yield process

    running = Pipeline(port, Gate(directory / GATE), serve)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class Door:
    """The HTTP side of the process."""

    def __init__(self, runs: Runs, secret: str) -> None:
        """Only who knows the secret may cause a run."""
        self._runs = runs
        self._secret = secret.encode()

    async def webhook(self, request: Request) -> JSONResponse:
        """Take the push of a version's tag; leave everything else alone."""
        body = await request.body()
        expected = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        given = request.headers.get("X-Hub-Signature-256", "")
        # As bytes: compare_digest refuses a text that is not ASCII, and a header may hold anything.
        if not hmac.compare_digest(expected.encode(), given.encode("latin-1")):
            return JSONResponse({"refused": "the signature does not fit"}, 401)
        push = tag_push(request.headers.get("X-GitHub-Event", ""), json.loads(body))
        if push is None:
            return JSONResponse({"ignored": "not the push of a version's tag"})
        taken = self._runs.begin(**push)
        return JSONResponse({"run": taken.id}, 202) if taken else JSONResponse({"ignored": "already deployed"})

    async def all(self, request: Request) -> JSONResponse:
        """Every run so far."""
        return JSONResponse(self._runs.as_json())

    async def one(self, request: Request) -> JSONResponse:
        """One run, which reports link to."""
        found = [r for r in self._runs.as_json() if str(r["id"]) == request.path_params["number"]]
        return JSONResponse(found[0]) if found else JSONResponse({"error": "no such run"}, 404)


def main(argv: Sequence[str]) -> None:
    """Serve until killed."""
    port, directory, registry, host_url, kubeconfig, kubectl, seconds = argv
    report = Report(f"{host_url}/api/v3", os.environ.pop(REPORT_TOKEN), f"http://127.0.0.1:{port}/runs")
    work = Work(
        Path(directory), Path(registry), host_url, os.environ.pop(READ_TOKEN),
        Path(kubeconfig), Path(kubectl), float(seconds), report, Gate(Path(directory) / GATE),
    )  # fmt: skip
    door = Door(Runs(Path(directory) / "runs.json", work), os.environ.pop(SECRET))
    routes = [
        Route("/webhook", door.webhook, methods=["POST"]),
        Route("/runs", door.all),
        Route("/runs/{number}", door.one),
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1:])
