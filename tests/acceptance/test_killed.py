"""kill -9 between any two steps of a recovery: it goes on by itself, and everything happens exactly once."""

import itertools
import random
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from infra.lab.process import wait_until
from infra.lab.world import World
from tests.acceptance.incidents import alert, answer, prepare, prepare_migration
from tests.acceptance.mortals import mortal
from tests.acceptance.oracles import assert_mended_once, assert_restored_once

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
# What a recovery does otherwise where main takes pull requests only.
BY_REQUEST = ("push branch", "open pull request", "merge pull request", "tag merged")
# And where it becomes a hotfix, of which a person is asked after the first of these.
ASKED = ("launch hotfix", "push hotfix", "open pull request", "notify")
ANSWERED = (
    "read hotfix branch",
    "mark ready",
    "merge pull request",
    "tag hotfix",
    "prove hotfix",
    "publish release",
    "watch pipeline",
    "mark patch",
    "sync hotfix",
    "write post-mortem",
)
VICTIMS = ("receiver", "Prefect server", "worker and its flow process", "flow process of the worker")
WHEN = ("before", "after")
MATRIX = (
    *itertools.product(("push",), VICTIMS, STEPS, WHEN),
    *itertools.product(("pull request",), VICTIMS[2:], BY_REQUEST, WHEN),
    *itertools.product(("hotfix",), VICTIMS[2:], ASKED + ANSWERED, WHEN),
)
# A seeded sample with every victim and every way in it, the same on every machine; the receiver dies at the most
# dangerous place.
DANGEROUS = (("push", "receiver", "push revert", "before"),)
SAMPLE = tuple(
    random.Random(number).choice([case for case in MATRIX if case[:2] == drawn])
    for number, drawn in enumerate(zip(("push", "hotfix", "pull request"), VICTIMS[1:], strict=True), 21)
)
_fresh = itertools.count(1)  # case0 belongs to the alerts


@pytest.mark.parametrize(("way", "victim", "step", "when"), DANGEROUS + SAMPLE)
def test_a_killed_recovery_goes_on(lab: World, tmp_path: Path, way: str, victim: str, step: str, when: str) -> None:
    """The run ends Completed, with one undo, one commit, one tag, one Release, one post-mortem, one message."""
    survive(lab, tmp_path, way, victim, step, when)


@pytest.mark.torture
@pytest.mark.parametrize(("way", "victim", "step", "when"), MATRIX)
def test_the_whole_matrix(lab: World, tmp_path: Path, way: str, victim: str, step: str, when: str) -> None:
    """Every victim at every step, before and after the step's result was kept."""
    survive(lab, tmp_path, way, victim, step, when)


def survive(lab: World, scratch: Path, way: str, victim: str, step: str, when: str) -> None:
    """Let one process die at one step, start it again as a supervisor does, and check the end."""
    service = lab.quiet[next(_fresh)]
    flag, asked, answered = scratch / "died", way == "hotfix", step in ANSWERED
    (prepare_migration if asked else prepare)(lab, service)
    if way == "pull request":
        lab.host.protect(f"acme/{service}", "main", ruleset=True)
    with mortal(lab, victim, step, when, flag):
        start(lab, service, victim)
        if asked and answered:
            agree(lab, service)
        wait_until(flag.exists, what=f"death of the {victim} at {step!r}", seconds=120, every=0.1)
    if asked and not answered:
        agree(lab, service)
    for flow in ("respond", "hotfix") if asked else ("respond",):
        run = lab.wait_for_run(flow, f"{flow} {service} v1.2.0", ("COMPLETED", "FAILED"), 180)
        assert run["state_type"] == "COMPLETED", run["state"]
    if asked:
        assert_mended_once(lab, service, scratch)
    else:
        assert_restored_once(lab, service, scratch, by_request=way == "pull request")


def agree(lab: World, service: str) -> None:
    """Have a person take the hotfix that is proposed."""
    run = lab.wait_for_run("hotfix", f"hotfix {service} v1.2.0", ("PAUSED", "FAILED"), 180)
    assert run["state_type"] == "PAUSED", run["state"]
    answer(lab, run, answer="take the proposal")


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
