"""kill -9 between any two steps of a recovery: it goes on by itself, and everything happens exactly once."""

import itertools
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from infra.lab.process import wait_until
from infra.lab.world import World
from tests.acceptance.incidents import alert, prepare
from tests.acceptance.oracles import assert_restored_once

MORTALITY = Path(__file__).with_name("mortality")
ROOT = Path(__file__).parents[2]
STEPS = (
    "read rollout",
    "read orders",
    "decide",
    "undo rollout",
    "mark revision",
    "note the time",
    "read releases",
    "read history",
    "read protection",
    "read deployed",
    "preview revert",
    "read range",
    "push revert",
    "prove revert",
    "publish release",
    "watch pipeline",
    "mark patch",
    "wait until settled",
    "wait until recovered",
    "read patch",
    "sync develop",
    "write post-mortem",
    "open pull request",
    "notify",
)
VICTIMS = ("receiver", "Prefect server", "worker and its flow process", "flow process of the worker")
MATRIX = tuple(itertools.product(VICTIMS, STEPS, ("before", "after")))
# A seeded sample with every victim in it, the same on every machine; the receiver dies at the most dangerous place.
DANGEROUS = (("receiver", "push revert", "before"),)
SAMPLE = tuple(
    random.Random(number).choice([case for case in MATRIX if case[0] == victim])
    for number, victim in enumerate(VICTIMS[1:], 21)
)
_fresh = itertools.count(1)  # case0 belongs to the alerts


@pytest.fixture(name="service")
def _service(lab: World) -> str:
    """A quiet service of this case's own, with a faulty release deployed."""
    service = lab.quiet[next(_fresh)]
    prepare(lab, service)
    return service


@pytest.mark.parametrize(("victim", "step", "when"), DANGEROUS + SAMPLE)
def test_a_killed_recovery_goes_on(lab: World, service: str, tmp_path: Path, victim: str, step: str, when: str) -> None:
    """The run ends Completed, with one undo, one commit, one tag, one Release, one post-mortem, one message."""
    survive(lab, service, tmp_path, victim, step, when)


@pytest.mark.torture
@pytest.mark.parametrize(("victim", "step", "when"), MATRIX)
def test_the_whole_matrix(lab: World, service: str, tmp_path: Path, victim: str, step: str, when: str) -> None:
    """Every victim at every step, before and after the step's result was kept."""
    survive(lab, service, tmp_path, victim, step, when)


def survive(lab: World, service: str, scratch: Path, victim: str, step: str, when: str) -> None:
    """Let one process die at one step, start it again as a supervisor does, and check the end."""
    flag = scratch / "died"
    with mortal(lab, victim, step, when, flag):
        start(lab, service, victim)
        wait_until(flag.exists, what=f"death of the {victim} at {step!r}", seconds=120, every=0.1)
    name = f"respond {service} v1.2.0"
    run = lab.wait_for_run("respond", name, ("COMPLETED", "FAILED"), 180)
    assert run["state_type"] == "COMPLETED", run["state"]
    assert_restored_once(lab, service, scratch)


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


def start(lab: World, service: str, victim: str) -> None:
    """Call by alert, or, where the worker is to act, by the command line with the receiver down."""
    if "worker" in victim:
        done = lab.ripcord("respond", service, "v1.2.0", "--because", "checkout fails", "--no-wait")
        assert done.returncode == 0, done.stderr
        return
    headers = {"Authorization": f"Bearer {lab.receiver_token}"}
    with suppress(httpx.HTTPError):  # the receiver may die before it has answered
        httpx.post(
            f"{lab.receiver_url}/alerts/alertmanager", json=alert(service, "v1.2.0"), headers=headers, timeout=60
        )
