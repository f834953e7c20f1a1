"""Processes of the lab that die at a named step of a flow, and are started again as a supervisor does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.lab.world import World

MORTALITY = Path(__file__).with_name("mortality")
ROOT = Path(__file__).parents[2]


@contextmanager
def mortal(lab: World, victim: str, step: str, when: str, flag: Path) -> Iterator[None]:
    """Start the acting process so that the victim dies at the step; afterwards start whatever is dead again."""
    plain = dict(lab.env)
    path = f"{MORTALITY}{os.pathsep}{ROOT}"
    lab.env |= {"PYTHONPATH": path, "MORTAL_STEP": step, "MORTAL_WHEN": when, "MORTAL_FLAG": str(flag)}
    try:
        if "worker" in victim:
            lab.receiver.stop()
            lab.worker.restart()
        else:
            lab.receiver.restart()
        flag.with_suffix(".victims").write_text(" ".join(victims(lab, victim)))
        yield
    finally:
        lab.env.clear()
        lab.env.update(plain)
        if victim == "Prefect server":
            lab.prefect.restart()
        lab.receiver.restart()
        if "worker" in victim:
            lab.worker.restart()


def victims(lab: World, victim: str) -> list[str]:
    """Pids, or `self` for the process that executes the flow."""
    match victim:
        case "Prefect server":
            return family(lab.prefect.process.pid)
        case "worker and its flow process":
            return [str(lab.worker.process.pid), "self"]
        case _:
            return ["self"]


def family(pid: int) -> list[str]:
    """A process and all below it, the youngest first."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [each for child in found for each in family(int(child))] + [str(pid)]
