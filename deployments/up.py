"""Everything on one machine: the flows deployed, a worker, the receiver and the watcher kept running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deployments.checks import check_prefect
from recovery.errors import Refused, Unavailable
from tasks.settings import read_catalogue, read_settings

ROOT = Path(__file__).parents[1]
OVERDUE_SECONDS = 5  # what the warm responder has not taken up by then, the ordinary worker takes
WORKER_AT_ONCE = 16  # processes of some 150 MB: what was due in an outage must not take all memory of the host
AGAIN_SECONDS = 2.0  # between a death and the next start


def run_all(say: Callable[[str], None]) -> None:
    """Deploy, then keep all running until SIGINT or SIGTERM; their ends are waited for.

    The Prefect server itself is PREFECT_API_URL's: it runs on PostgreSQL, wherever the team runs it.

    Raises Refused or Unavailable when the settings or the server are not in order.
    """
    read_catalogue()
    if not os.environ.get("PREFECT_API_URL"):
        raise Refused("PREFECT_API_URL is not set: start 'prefect server start' on PostgreSQL and name it")
    deploy()
    say(check_prefect())
    stopping = False

    def stop(signum: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    running = {name: _start(argv) for name, argv in commands().items()}
    settings = read_settings()
    say(f"alerts are taken at http://{settings.receiver_host}:{settings.receiver_port}/alerts/alertmanager")
    while not stopping:
        for name, process in running.items():
            if process.poll() is not None and not stopping:
                say(f"{name} ended with {process.returncode}, starting it again")
                time.sleep(AGAIN_SECONDS)
                running[name] = _start(commands()[name])
        time.sleep(0.5)
    for process in running.values():
        process.terminate()
    for process in running.values():
        process.wait()


def deploy() -> None:
    """Make the work pool and deploy all flows. Raises Unavailable with Prefect's own words."""
    env = os.environ | {"RIPCORD_HOME": str(ROOT), "RIPCORD_WORK_POOL": read_settings().work_pool}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    for arguments in (
        ["work-pool", "create", read_settings().work_pool, "--type", "process", "--overwrite"],
        ["deploy", "--all", "--prefect-file", "deployments/prefect.yaml"],
    ):
        done = subprocess.run([*prefect, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = " ".join((done.stdout + done.stderr).split())[-400:]
            raise Unavailable(f"prefect {' '.join(arguments[:2])} failed: {said}")


def commands() -> dict[str, list[str]]:
    """What is kept running."""
    python = [sys.executable, "-m"]
    pool = read_settings().work_pool
    return {
        "worker": [
            *python, "prefect", "worker", "start", "--type", "process", "--pool", pool,
            f"--prefetch-seconds=-{OVERDUE_SECONDS}", f"--limit={WORKER_AT_ONCE}",
        ],
        "receiver": [*python, "deployments.cli", "serve"],
        "watcher": [*python, "deployments.cli", "watch"],
    }  # fmt: skip


def _start(argv: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, cwd=ROOT)
