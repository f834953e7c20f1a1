"""ripcord in the lab: told everything by the environment, as processes of its own, as it runs in production."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import yaml

from infra.lab.prefect import worker
from infra.lab.process import LabError, Process, accepts, run, wait_until
from infra.lab.world import POOL, ROOT, World

OVERDUE_SECONDS = 5  # what the warm responder has not taken up by then, the ordinary worker takes

WORKER_AT_ONCE = 16


def environment(made: World, port: int) -> dict[str, str]:
    """All that ripcord's processes are told."""
    catalogue = made.directory / "services.yaml"
    catalogue.write_text(
        yaml.safe_dump({"services": [_entry(made, service) for service in (*made.services, *made.quiet)]})
    )
    return (
        made.prefect.environment
        | (made.stores.environment() if made.stores else {})
        | {
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
    )


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
    } | ({"database": made.stores.entry(service)} if made.stores and service in made.stores.ports else {})


def open_gate(made: World) -> None:
    """Have the pipeline ask ripcord's gate for the services with a way back."""
    if made.stores:
        command = [sys.executable, "-m", "deployments.cli", "gate"]
        env = {"PYTHONPATH": str(ROOT)} | {name: os.environ[name] for name in ("HOME",) if name in os.environ}
        made.pipeline.gate.open(command, env | made.env, list(made.stores.ports))


def deploy(made: World) -> None:
    """Make the work pool and deploy all flows with Prefect's own command; only the monitor's pace is ours."""
    plan = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    for deployment in plan["deployments"]:
        if deployment["name"] == "monitor":
            for schedule in deployment["schedules"]:
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
def receiver(made: World, port: int) -> Iterator[Process]:
    argv = [sys.executable, "-m", "deployments.receiver"]
    with run("receiver", argv, directory=made.directory, env=os.environ | made.env, cwd=ROOT) as process:
        wait_until(lambda: accepts(port), what="the receiver", seconds=90, process=process, every=0.1)
        wait_until(lambda: _healthy(made.receiver_url), what="the receiver", seconds=30, process=process, every=0.1)
        yield process


@contextmanager
def watcher(made: World) -> Iterator[Process]:
    argv = [sys.executable, "-m", "deployments.cli", "watch"]
    with run("watcher", argv, directory=made.directory, env=os.environ | made.env, cwd=ROOT) as process:
        yield process


def worker_of(made: World) -> AbstractContextManager[Process]:
    return worker(
        made.directory, made.prefect, POOL, made.env, query_seconds=2, prefetch_seconds=-OVERDUE_SECONDS,
        at_once=WORKER_AT_ONCE, cwd=ROOT,
    )  # fmt: skip


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).is_success
    except httpx.TransportError:
        return False
