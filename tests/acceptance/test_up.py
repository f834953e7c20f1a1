"""`ripcord up`: everything on one machine, and what dies is started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from infra.lab.process import run, wait_until
from infra.lab.world import ROOT, World


def _answers(lab: World) -> bool:
    try:
        return httpx.get(f"{lab.receiver_url}/healthz", timeout=5).is_success
    except httpx.TransportError:
        return False


def _receiver_pid(parent: int) -> int | None:
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", "cli serve"], capture_output=True, text=True, check=False)
    return int(found.stdout.split()[0]) if found.stdout.split() else None


def test_what_dies_is_started_again_and_the_end_leaves_nothing(lab: World, tmp_path: Path) -> None:
    """The receiver is killed and comes back as another process; SIGTERM ends all of them."""
    lab.receiver.stop()
    lab.worker.stop()
    try:
        argv = [sys.executable, "-m", "deployments.cli", "up"]
        with run("up", argv, directory=tmp_path, env=os.environ | lab.env, cwd=ROOT) as up:
            wait_until(lambda: _answers(lab), what="the receiver", seconds=120, process=up, every=0.5)
            first = _receiver_pid(up.pid)
            assert first is not None

            os.kill(first, signal.SIGKILL)
            wait_until(lambda: not _answers(lab), what="its death", seconds=10)
            wait_until(lambda: _answers(lab), what="its return", seconds=60, process=up, every=0.5)
            second = _receiver_pid(up.pid)
            assert second not in (None, first)

            up.kill(signal.SIGTERM)
            wait_until(lambda: not up.running(), what="the end", seconds=60, every=0.2)
            assert not Path(f"/proc/{second}").exists()
    finally:
        lab.receiver.start()
        lab.worker.start()
