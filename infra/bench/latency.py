"""From a call to the cluster's patch: the same end point for ripcord, stock Prefect and kubectl."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx

from infra.lab.kubernetes import kubectl_program
from infra.lab.process import run, wait_until
from infra.lab.world import ROOT, World

GOOD, FAULTY = "v1.1.0", "v1.2.0"
SERVE = "from flows.undo_rollout import undo_rollout\nundo_rollout.serve(name='stock', pause_on_shutdown=False)"
PATIENCE = 90.0


def deploy(lab: World, service: str) -> None:
    """Give a service two revisions, the second of which runs."""
    for version in (GOOD, FAULTY):
        container = {"name": service, "image": f"registry.lab/{service}:{version}"}
        template = {"metadata": {"labels": {"app": service}}, "spec": {"containers": [container]}}
        deployment = {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": service, "namespace": "acme"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": service}}, "template": template},
        }  # fmt: skip
        lab.cluster.kubectl("apply", "-f", "-", input=json.dumps(deployment))
        lab.cluster.kubectl("-n", "acme", "rollout", "status", f"deployment/{service}", "--timeout=60s")


def time_to_patch(lab: World, service: str, call: Callable[[], object]) -> float:
    """Seconds from just before the call until a watch on the API server shows the good version wanted again."""
    seen = threading.Event()
    watching = threading.Event()
    at: list[float] = []

    def watch() -> None:
        for image in _images(lab, service):
            watching.set()
            if image.endswith(f":{GOOD}"):
                at.append(time.monotonic())
                seen.set()
                return

    threading.Thread(target=watch, daemon=True).start()
    watching.wait(30)
    began = time.monotonic()
    call()
    if not seen.wait(PATIENCE):
        return float("nan")
    return at[0] - began


def by_alert(lab: World, service: str) -> None:
    """What Alertmanager does."""
    labels = {"alertname": "Bench", "service": service, "version": FAULTY, "ripcord": "respond"}
    alert = {"status": "firing", "labels": labels, "startsAt": datetime.now(UTC).isoformat()}
    headers = {"Authorization": f"Bearer {lab.receiver_token}"}
    body = {"version": "4", "alerts": [alert]}
    httpx.post(f"{lab.receiver_url}/alerts/alertmanager", json=body, headers=headers, timeout=60).raise_for_status()


def by_kubectl(lab: World, service: str) -> None:
    """The raw floor: a person's own command."""
    lab.cluster.kubectl("-n", "acme", "rollout", "undo", f"deployment/{service}")


def by_prefect(lab: World, service: str, deployment: str) -> None:
    """A run of the undo alone, created through the API and left to whoever executes it."""
    parameters = {"service": service, "version": FAULTY, "rehearse": False, "wait": False}
    with lab.prefect.client() as client:
        found = client.get(f"deployments/name/undo_rollout/{deployment}").raise_for_status().json()
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        client.post(f"deployments/{found['id']}/create_flow_run", json=body).raise_for_status()


@contextmanager
def stock_serve(lab: World) -> Iterator[None]:
    """`flow.serve` as its documentation shows it, default settings."""
    argv = [sys.executable, "-c", SERVE]
    with run("serve", argv, directory=lab.directory, env=os.environ | lab.env, cwd=ROOT) as process:
        wait_until(lambda: _is_deployed(lab), what="serve", seconds=90, process=process, every=0.5)
        yield


def _is_deployed(lab: World) -> bool:
    with lab.prefect.client() as client:
        return client.get("deployments/name/undo_rollout/stock").is_success


def _images(lab: World, service: str) -> Iterator[str]:
    path = "jsonpath={.spec.template.spec.containers[0].image}{'\\n'}"
    argv = [kubectl_program(), "--kubeconfig", str(lab.cluster.kubeconfig), "-n", "acme"]
    argv += ["get", "deployment", service, "--watch", "-o", path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        try:
            yield from (line.strip() for line in watching.stdout or ())
        finally:
            watching.kill()
