"""The lab's shop serves what the cluster has ready, on a real control plane and a real PostgreSQL."""

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.lab.process import Process, wait_until
from infra.lab.shop_metrics import ROUTES, Metrics
from tests.integration.shop_world import World


@contextmanager
def _standing_still(process: Process) -> Iterator[None]:
    process.kill(signal.SIGSTOP)
    try:
        yield
    finally:
        process.kill(signal.SIGCONT)


def test_requests_are_spread_over_the_ready_pods(world: World) -> None:
    """Each of the ready pods that kubectl lists gets its share, and answers as the code of its tag does."""
    world.deploy("v1.0.0")

    answers = [world.get("/catalogue") for _ in range(90)]

    pods = Counter(answer.headers["X-Pod"] for answer in answers)
    assert set(pods) == world.ready()
    assert min(pods.values()) >= 10
    assert {answer.headers["X-Version"] for answer in answers} == {"v1.0.0"}
    assert {answer.json()["version"] for answer in answers} == {"v1.0.0"}


def test_a_rollout_mixes_two_versions_until_it_is_done(world: World) -> None:
    """While a rollout goes on both versions answer, each with its own code; afterwards only the new one."""
    world.deploy("v1.0.0")

    world.deploy("v1.1.0", delay="1s", wait=False)
    seen: list[tuple[str, str]] = []
    deadline = time.monotonic() + 30
    while len([version for version, _ in seen[-6:] if version == "v1.1.0"]) < 6:
        assert time.monotonic() < deadline
        answer = world.get("/catalogue")
        seen.append((answer.headers["X-Version"], answer.json()["version"]))
    world.cluster.kubectl("-n", "acme", "rollout", "status", "deployment/shop", "--timeout=60s")
    wait_until(lambda: world.known() == world.ready(), what="the shop's notice", seconds=10)

    versions = [version for version, _ in seen]
    assert all(header == body for header, body in seen)
    assert "v1.0.0" in versions[versions.index("v1.1.0") :], "the versions were never mixed"
    assert {world.get("/catalogue").headers["X-Version"] for _ in range(12)} == {"v1.1.0"}


def test_the_shop_notices_a_change_of_its_pods_at_once(world: World) -> None:
    """A pod that is being deleted, though still ready, gets no request half a second later."""
    world.deploy("v1.0.0")
    victim = sorted(world.ready())[0]

    with _standing_still(world.cluster.kwok):
        world.cluster.kubectl("-n", "acme", "delete", "pod", victim, "--wait=false")
        deleted = time.monotonic()
        wait_until(lambda: victim not in world.known(), what="the shop's notice", seconds=10, every=0.01)
        noticed = time.monotonic()
        still_there = victim in world.pods()

    assert still_there
    assert noticed - deleted < 0.5


def test_a_version_whose_code_raises_answers_500_and_is_counted_as_itself(world: World) -> None:
    """The customer learns no more than the error's name, the log has the traceback, the metrics the version."""
    world.deploy("v1.2.0")
    before = world.counted(version="v1.2.0", route="/checkout", code="500")

    world.post("/cart", customer="saver", sku="tea", quantity=1, coupon="WELCOME10").raise_for_status()
    answers = [world.post("/checkout", customer="saver") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [500] * 5
    assert "secret campaign" not in answers[0].text
    assert world.counted(version="v1.2.0", route="/checkout", code="500") == before + 5
    log = world.shop.process.log.read_text()
    assert "POST /checkout failed in v1.2.0" in log
    assert "ZeroDivisionError: the coupon of a secret campaign" in log


@pytest.mark.parametrize(
    ("tag", "customer", "status"), [("v1.0.0", "late", 409), ("v1.2.0", "saver", 500)], ids=["refused", "raised"]
)
def test_what_is_not_answered_by_success_is_rolled_back(world: World, tag: str, customer: str, status: int) -> None:
    """An order written before a refusal or an exception is not in the database afterwards; a good one is."""
    world.deploy(tag)
    world.post("/cart", customer="saver", sku="tea", quantity=1, coupon="WELCOME10").raise_for_status()
    before = int(world.psql("SELECT count(*) FROM orders"))

    failed = world.post("/checkout", customer=customer, sold_out=True)
    accepted = world.post("/checkout")

    assert failed.status_code == status
    assert accepted.status_code == 201
    assert int(world.psql("SELECT count(*) FROM orders")) == before + 1


def test_an_image_that_the_registry_does_not_have_is_a_500_of_its_version(world: World) -> None:
    """A pod whose tag was never built answers 500, and the good version is served again after it."""
    world.deploy("v9.9.9")
    missing = world.get("/catalogue")
    world.deploy("v1.0.0")

    assert missing.status_code == 500
    assert missing.headers["X-Version"] == "v9.9.9"
    assert world.get("/catalogue").status_code == 200


def test_no_ready_pod_is_a_503(world: World) -> None:
    """A Deployment without pods, like one whose pods cannot start, leaves nobody to answer."""
    world.deploy("v1.0.0")
    before = world.counted(version="none", code="503")

    world.deploy("v1.0.0", replicas=0)
    empty = world.get("/catalogue")
    world.deploy("bad", wait=False)
    wait_until(lambda: "ImagePullBackOff" in world.pods(), what="the failure of the image", seconds=30)
    bad = world.get("/catalogue")

    assert (empty.status_code, bad.status_code) == (503, 503)
    assert empty.headers["X-Version"] == "none"
    assert world.counted(version="none", code="503") == before + 2


def test_random_paths_do_not_fill_prometheus() -> None:
    """However many paths are asked for, the routes stay within their bound and ids are not among them."""
    metrics = Metrics("shop")
    for number in range(500):
        metrics.count("v1.0.0", f"/orders/{number}", 200, 0.01)
        metrics.count("v1.0.0", f"/{'x' * number}.php", 404, 0.01)
        metrics.count("none", f"/{'y' * number}", 503, 0.01)

    routes = set(re.findall(r'http_requests_total\{.*route="([^"]*)"', metrics.text().decode()))
    assert {"/orders/{id}", "other"} <= routes
    assert len(routes) <= ROUTES + 1
