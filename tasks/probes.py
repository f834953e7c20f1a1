"""Try the critical functions of the services, as a customer would, and count how it went.

What is counted: `ripcord_probe_total{service, probe, outcome}`, with outcome `ok`, `failed` or `unknown`. Only
what the service does is `failed`. A try that our own machine could not make is `unknown`: a resolver that is
down must not look like all services failing at once.
"""

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections.abc import Iterable
from functools import cache
from random import Random, SystemRandom

import httpx
from prometheus_client import CollectorRegistry, Counter

from recovery.catalog import Probe, Service, Step
from recovery.errors import Refused, Unavailable
from recovery.readings import ProbeResult

REDIRECTS = 5  # on the same host; more are a loop
READ_AT_MOST = 1 << 20  # bytes of an answer that are read: a critical function does not answer with a film
JITTER = 0.1  # share of the time between two tries by which it varies, so that services do not beat in step

HEADERS = {"User-Agent": "ripcord-probe"}
OURS = {
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM,
    errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENETUNREACH,
}  # fmt: skip

logger = logging.getLogger(__name__)


class _Failure(Exception):
    """What the service did wrong, in words."""


def try_probe(probe: Probe) -> ProbeResult:
    """Try a critical function once: all its steps in order, until one fails. Not from inside an event loop.

    What the service does is in the result, never raised. Raises Unavailable when we could not even ask (no
    network, no such name, no free socket) and Refused when the catalogue's address is none.
    """
    return asyncio.run(try_probe_async(probe))


async def try_probe_async(probe: Probe) -> ProbeResult:
    """The same from inside an event loop."""
    began = time.monotonic()
    address, limit = _address(probe), probe.timeout.total_seconds()
    try:
        # A new connection each time, as a new customer has it; cookies last for the try, as a cart does.
        async with httpx.AsyncClient(base_url=address, verify=_tls(), timeout=limit, headers=HEADERS) as client:
            for step in probe.steps:
                await _take(client, step, limit)
    except _Failure as failure:
        seconds = time.monotonic() - began
        return ProbeResult(probe.name, False, seconds, f"{probe.name}: {failure} (after {seconds:.2f}s)")
    seconds = time.monotonic() - began
    steps = f"{len(probe.steps)} of {len(probe.steps)} steps answered 2xx"
    return ProbeResult(probe.name, True, seconds, f"{probe.name}: {steps} in {seconds:.2f}s")


async def prober(services: Iterable[Service], registry: CollectorRegistry, chance: Random | None = None) -> None:
    """Try every probe of every service, each at its own pace, until cancelled; counts go into `registry`."""
    counter = Counter(
        "ripcord_probe", "Synthetic tries of critical functions.", ["service", "probe", "outcome"], registry=registry
    )
    async with asyncio.TaskGroup() as group:
        for service in services:
            for probe in service.probes:
                group.create_task(_keep_trying(service.name, probe, counter, chance or SystemRandom()))


async def _keep_trying(service: str, probe: Probe, counter: Counter, chance: Random) -> None:
    # All series are there from the beginning: the first failure is then a step from 0 to 1.
    ok, failed, unknown = (counter.labels(service, probe.name, outcome) for outcome in ("ok", "failed", "unknown"))
    every = probe.every.total_seconds()
    await asyncio.sleep(chance.uniform(0, every))
    while True:
        began = time.monotonic()
        try:
            result = await try_probe_async(probe)
        except Exception:
            # One probe that we cannot make must not end the others.
            logger.exception("%s: probe %s could not be tried", service, probe.name)
            unknown.inc()
        else:
            (ok if result.ok else failed).inc()
            if not result.ok:
                logger.warning("%s: %s", service, result.sentence)
        pause = every * chance.uniform(1 - JITTER, 1 + JITTER)
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))


async def _take(client: httpx.AsyncClient, step: Step, seconds: float) -> None:
    """Send one request and see it answered 2xx within the time, its body read. Raises _Failure in words."""
    # The query may hold a key, the address a password: neither is ever told.
    what = f"{step.method} {step.path.partition('?')[0]}"
    try:
        # One deadline for everything; httpx' own are per packet, and a slow drip never meets them.
        async with asyncio.timeout(seconds):
            request = client.build_request(step.method, step.path, json=step.body or None)
            status = await _answer(client, request, what)
    except (TimeoutError, httpx.TimeoutException):
        raise _Failure(f"{what} was not answered within {seconds:g}s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        if _is_ours(error):
            raise Unavailable(f"{what} could not be sent from here: {error}") from error
        raise _Failure(f"{what} was not answered ({type(error).__name__})") from error
    if not 200 <= status < 300:
        raise _Failure(f"{what} was answered {status}")


async def _answer(client: httpx.AsyncClient, request: httpx.Request, what: str) -> int:
    """The final status, after redirects on the same host only: another host's health is not this service's."""
    home = (request.url.host, request.url.port)
    for _ in range(REDIRECTS + 1):
        response = await client.send(request, stream=True)
        try:
            following = response.next_request
            if following is None:
                await _read(response)
                return response.status_code
        finally:
            await response.aclose()
        if (following.url.host, following.url.port) != home:
            raise _Failure(f"{what} was redirected to another host, {following.url.netloc.decode()}")
        request = following
    raise _Failure(f"{what} was redirected more than {REDIRECTS} times")


async def _read(response: httpx.Response) -> None:
    length = 0
    async for chunk in response.aiter_raw():
        length += len(chunk)
        if length > READ_AT_MOST:
            return


def _address(probe: Probe) -> httpx.URL:
    try:
        url = httpx.URL(probe.base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused(f"probe {probe.name}: its base_url is not an http(s) address, correct it in the catalogue")
    return url


def _is_ours(error: BaseException | None) -> bool:
    """Answer whether the request failed before it left: what no service and no version can be blamed for."""
    while error is not None:
        if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in OURS):
            return True
        error = error.__cause__ or error.__context__
    return False


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a try."""
    return httpx.create_ssl_context()
