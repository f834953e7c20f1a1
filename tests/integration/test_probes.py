"""Trying a critical function on a real HTTP server that behaves, misbehaves and disappears."""

import asyncio
import json
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from random import Random
from statistics import median

import pytest
from prometheus_client import CollectorRegistry

from infra.lab.process import free_port, wait_until
from recovery.catalog import Probe, Service, Step
from recovery.errors import Refused, Unavailable
from recovery.readings import ProbeResult
from tasks.probes import prober, try_probe, try_probe_async


@dataclass
class Shop:
    """A shop whose checkout needs a cart, with pages that go wrong in every way."""

    url: str = ""
    elsewhere: str = "http://127.0.0.1:1"
    asked: list[tuple[float, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def probe(self, *steps: str | Step, timeout: float = 2, every: float = 0.1, name: str = "checkout") -> Probe:
        return Probe(
            name=name,
            base_url=self.url,
            steps=tuple(step if isinstance(step, Step) else Step(path=step) for step in steps),
            timeout=timedelta(seconds=timeout),
            every=timedelta(seconds=every),
        )


class Answers(BaseHTTPRequestHandler):
    """What each path of the shop does."""

    protocol_version = "HTTP/1.1"
    shop: Shop

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.shop.asked.append((time.monotonic(), path))
        match path:
            case "/ok" | "/prefix/ok":
                self._answer(200)
            case "/silent":
                self.shop.closing.wait()
                self.close_connection = True
            case "/drip":
                self._drip()
            case "/hang-up":
                self.close_connection = True
            case "/home":
                self._answer(302, Location="/ok")
            case "/away":
                self._answer(302, Location=f"{self.shop.elsewhere}/ok")
            case "/round":
                self._answer(302, Location="/round")
            case "/nowhere":
                self._answer(302, Location="http://127.0.0.1:no/")
            case "/files":
                self._answer(302, Location=f"ftp://{self.headers['Host']}/ok")
            case _:
                self._answer(int(path[1:]))

    def do_POST(self) -> None:
        self.shop.asked.append((time.monotonic(), self.path))
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if self.path == "/cart":
            self._answer(201 if body == {"sku": "tea", "quantity": 2} else 400, **{"Set-Cookie": "cart=17"})
        else:
            self._answer(200 if self.headers.get("Cookie") == "cart=17" else 409)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, text in {**headers, "Content-Length": "2"}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(b"ok")

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with suppress(OSError):
            while not self.shop.closing.wait(0.1):
                self.wfile.write(b".")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is in `asked`."""


@contextmanager
def open_shop() -> Iterator[Shop]:
    shop = Shop()
    handler = type("Handler", (Answers,), {"shop": shop})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    shop.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield shop
    finally:
        shop.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(name="shop")
def _shop() -> Iterator[Shop]:
    with open_shop() as shop:
        yield shop


CART = Step(method="POST", path="/cart", body={"sku": "tea", "quantity": 2})
CHECKOUT = Step(method="POST", path="/checkout")


def test_a_checkout_that_works(shop: Shop) -> None:
    """All steps in order, with their bodies, and with the cookie that the first one gave."""
    result = try_probe(shop.probe("/ok", CART, CHECKOUT))

    assert result.ok
    assert [path for _, path in shop.asked] == ["/ok", "/cart", "/checkout"]
    assert result.sentence.startswith("checkout: 3 of 3 steps answered 2xx in 0.")
    assert 0 < result.seconds < 2


def test_every_try_is_a_new_customer(shop: Shop) -> None:
    """The cart of one try does not help the next."""
    assert try_probe(shop.probe(CART, CHECKOUT)).ok
    assert not try_probe(shop.probe(CHECKOUT)).ok


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/500", "GET /500 was answered 500"),
        ("/404", "GET /404 was answered 404"),
        ("/304", "GET /304 was answered 304"),
        ("/hang-up", "GET /hang-up was not answered (RemoteProtocolError)"),
        ("/silent", "GET /silent was not answered within 0.4s"),
        ("/drip", "GET /drip was not answered within 0.4s"),
        ("/away", "GET /away was redirected to another host, 127.0.0.1:1"),
        ("/round", "GET /round was redirected more than 5 times"),
        ("/nowhere", "GET /nowhere was not answered (RemoteProtocolError)"),
        ("/files", "GET /files was not answered (UnsupportedProtocol)"),
    ],
)
def test_what_goes_wrong_is_said_and_never_raised(shop: Shop, path: str, sentence: str) -> None:
    """The result names the step and what was seen, and the steps after it are not taken."""
    result = try_probe(shop.probe("/ok", path, "/ok", timeout=0.4))

    assert not result.ok
    assert result.sentence.startswith(f"checkout: {sentence} (after ")
    assert result.seconds < 1.5
    assert {path for _, path in shop.asked} == {"/ok", path}
    assert [path for _, path in shop.asked][-1] == path


def test_a_service_that_is_gone(shop: Shop) -> None:
    """A refused connection is the service's failure."""
    probe = shop.probe("/ok").model_copy(update={"base_url": f"http://127.0.0.1:{free_port()}"})

    assert try_probe(probe).sentence.startswith("checkout: GET /ok was not answered (ConnectError)")


def test_redirects_stay_at_home(shop: Shop) -> None:
    """On the same host they are followed; the health of another host is not this service's."""
    with open_shop() as other:
        shop.elsewhere = other.url

        assert try_probe(shop.probe("/home")).ok
        assert not try_probe(shop.probe("/away")).ok
        assert other.asked == []


def test_neither_password_nor_query_is_told(shop: Shop) -> None:
    """Addresses and queries can carry secrets, and the sentence goes to many people."""
    url = shop.url.replace("//", "//probe:hunter2@")

    result = try_probe(shop.probe("/500?key=s3cret").model_copy(update={"base_url": url}))

    assert not result.ok
    assert "hunter2" not in result.sentence
    assert "s3cret" not in result.sentence


def test_a_base_url_may_have_a_path(shop: Shop) -> None:
    """A service below a prefix is tried below it."""
    assert try_probe(shop.probe("/ok").model_copy(update={"base_url": f"{shop.url}/prefix"})).ok
    assert shop.asked[0][1] == "/prefix/ok"


class TestOurTrouble:
    """What no service can be blamed for is not a result."""

    def test_a_name_that_does_not_resolve(self, shop: Shop) -> None:
        """A resolver that is down would else look like all services failing at once."""
        with pytest.raises(Unavailable, match="could not be sent from here"):
            try_probe(shop.probe("/ok").model_copy(update={"base_url": "http://no-such-host.invalid"}))

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1", "shop", "http://", "http://shop:no", ""])
    def test_an_address_that_is_none(self, shop: Shop, url: str) -> None:
        """A slip in the catalogue is refused with the way out."""
        with pytest.raises(Refused, match="correct it in the catalogue"):
            try_probe(shop.probe("/ok").model_copy(update={"base_url": url}))

    def test_no_socket_left(self, shop: Shop) -> None:
        """When we have run out of files, the shop is not down."""

        async def starved() -> ProbeResult:
            await try_probe_async(shop.probe("/ok"))  # whatever is opened once, is open now
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (_first_free_file(), hard))
            try:
                return await try_probe_async(shop.probe("/ok"))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        with pytest.raises(Unavailable, match="could not be sent from here"):
            asyncio.run(starved())


class TestProber:
    """The loop that tries and counts."""

    def test_each_outcome_is_counted_per_service(self, shop: Shop) -> None:
        """What works, what fails and what could not be tried go on side by side, a silent one holds up nobody."""
        services = (
            service("shop", shop.probe("/ok", name="checkout"), shop.probe("/500", name="search")),
            service("cart", shop.probe("/silent", timeout=0.3)),
            service("lost", shop.probe("/ok").model_copy(update={"base_url": "ftp://nowhere"})),
        )
        registry = CollectorRegistry()

        def seen() -> bool:
            return (
                count(registry, "shop", "checkout", "ok") >= 8
                and count(registry, "shop", "search", "failed") >= 8
                and count(registry, "cart", "checkout", "failed") >= 2
                and count(registry, "lost", "checkout", "unknown") >= 2
            )

        asyncio.run(run_until(services, registry, seen))

        assert count(registry, "shop", "checkout", "failed") == 0
        assert count(registry, "shop", "search", "ok") == 0
        assert count(registry, "cart", "checkout", "ok") == 0
        assert count(registry, "lost", "checkout", "failed") == 0

    def test_tries_keep_their_pace(self, shop: Shop) -> None:
        """One try every 200 ms, a little more or less so that services do not beat in step."""
        registry = CollectorRegistry()
        services = (service("shop", shop.probe("/ok", every=0.2)),)

        asyncio.run(run_until(services, registry, lambda: len(shop.asked) >= 11))

        times = [at for at, _ in shop.asked]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert median(gaps) == pytest.approx(0.2, abs=0.04)
        assert max(gaps) - min(gaps) > 0.01

    def test_all_series_are_there_before_the_first_try(self, shop: Shop) -> None:
        """So the first failure is a step from 0 to 1, which any rate() sees."""
        registry = CollectorRegistry()
        services = (service("shop", shop.probe("/ok", every=3600)),)

        def present() -> bool:
            return registry.get_sample_value("ripcord_probe_total", labels("shop", "checkout", "failed")) == 0

        asyncio.run(run_until(services, registry, present))

        assert shop.asked == []


async def run_until(services: Sequence[Service], registry: CollectorRegistry, done: Callable[[], bool]) -> None:
    """Run the prober until `done`, and see it end when it is cancelled."""
    running = asyncio.create_task(prober(services, registry, Random(7)))
    try:
        await asyncio.to_thread(wait_until, lambda: running.done() or done(), what="the tries", seconds=20)
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def service(name: str, *probes: Probe) -> Service:
    return Service(name=name, namespace="acme", repository=f"acme/{name}", probes=probes)


def labels(name: str, probe: str, outcome: str) -> dict[str, str]:
    return {"service": name, "probe": probe, "outcome": outcome}


def count(registry: CollectorRegistry, name: str, probe: str, outcome: str) -> float:
    return registry.get_sample_value("ripcord_probe_total", labels(name, probe, outcome)) or 0.0


def _first_free_file() -> int:
    free = os.dup(0)
    os.close(free)
    return free
