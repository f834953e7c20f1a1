"""The lab's customers, what they count, and the sink that keeps the messages to them and others."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.lab.customers import Customers, customers
from infra.lab.process import free_port, wait_until
from infra.lab.sink import Sink, sink
from tests.integration.shop_world import World


@pytest.fixture(name="messages")
def _messages(tmp_path: Path) -> Iterator[Sink]:
    with sink(tmp_path) as running:
        yield running


def _finish(running: Customers) -> None:
    wait_until(lambda: not running.process.running(), what="the customers' end", seconds=60)


@pytest.fixture(name="world")
def _open_for_business(world: World) -> World:
    """The shop has answered once: a version makes its tables when it is first asked."""
    world.deploy("v1.0.0")
    assert httpx.get(f"{world.shop.url}/catalogue", timeout=30).status_code == 200
    return world


def test_customers_metrics_and_database_agree(world: World, tmp_path: Path) -> None:
    """Through a faulty release and back, the customers count what the shop's metrics and psql count."""
    world.deploy("v1.0.0")
    orders = int(world.psql("SELECT count(*) FROM orders"))
    answered, failed = world.counted(), world.counted(code="500")

    with customers(tmp_path, world.shop.url, per_second=30, seconds=600) as running:
        wait_until(lambda: running.count().customers_served >= 10, what="the first customers", seconds=60)
        world.deploy("v1.2.0")
        wait_until(lambda: running.count().failed >= 5, what="the failures", seconds=60)
        world.deploy("v1.0.0")
        repaired = running.count()
        wait_until(lambda: running.count().requests >= repaired.requests + 60, what="more customers", seconds=60)
        running.stop()
        count, faulty = running.count(), running.count("v1.2.0")

    assert count.requests == world.counted() - answered
    assert (faulty.failed, faulty.first_failure) == (count.failed, count.first_failure)
    assert faulty.requests < count.requests
    assert count.failed == count.customers_failed == world.counted(code="500") - failed
    assert count.customers_served == int(world.psql("SELECT count(*) FROM orders")) - orders
    assert count.failed_by_version == {"v1.2.0": count.failed}
    assert count.first_failure is not None
    assert count.last_failure is not None
    assert count.first_failure < count.last_failure


def test_customers_come_in_bounded_numbers_and_buy_the_same_with_the_same_seed(world: World, tmp_path: Path) -> None:
    """The load ends by itself after rate x time requests; two runs of one seed differ in nothing but names."""
    world.deploy("v1.0.0")
    bought = []
    for seed in (7, 7, 8):
        world.psql("TRUNCATE cart")
        with customers(tmp_path, world.shop.url, per_second=60, seconds=2, seed=seed) as running:
            _finish(running)
        bought.append(world.psql("SELECT sku, quantity, coupon FROM cart ORDER BY split_part(customer, '-', 2)::int"))

    assert len(bought[0].splitlines()) == 40
    assert bought[0] == bought[1] != bought[2]
    assert 5 <= bought[0].count("WELCOME10") <= 22


def test_customers_of_a_dead_shop_count_their_failures(tmp_path: Path) -> None:
    """A shop that nobody runs fails every customer at the first request."""
    with customers(tmp_path, f"http://127.0.0.1:{free_port()}", per_second=30, seconds=1) as running:
        _finish(running)
        count = running.count()

    assert count.requests == count.failed == count.customers_failed == 10
    assert count.customers_served == 0
    assert count.failed_by_version == {"none": 10}


def test_the_sink_keeps_every_message_without_its_credentials(messages: Sink) -> None:
    """What was posted is in the file when its sender has the answer; the Authorization header never is."""
    headers = {"Authorization": "Bearer hush", "X-Kind": "page"}
    kept = []
    for body in ('{"text": "shop is back"}', "plain text"):
        httpx.post(f"{messages.url}/chat", content=body, headers=headers, trust_env=False).raise_for_status()
        kept.append(messages.messages()[-1])

    assert [message["body"] for message in kept] == [{"text": "shop is back"}, "plain text"]
    assert kept[0]["headers"]["x-kind"] == "page"
    assert kept[0]["path"] == "/chat"
    assert "hush" not in messages.log.read_text()


def test_the_sink_fails_as_often_as_it_is_told(messages: Sink) -> None:
    """A refused message is an attempt and not a message; then the sink accepts again."""
    messages.fail(2, 500)

    sent = [httpx.post(messages.url, json={"try": number}, trust_env=False) for number in range(3)]
    answers = [answer.status_code for answer in sent]

    assert answers == [500, 500, 200]
    assert [message["body"] for message in messages.messages()] == [{"try": 2}]
    assert [attempt["answered"] for attempt in messages.attempts()] == [500, 500, 200]
