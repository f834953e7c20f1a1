"""The shop's customers: a bounded load with a count of its own, which nothing of the shop can colour.

usage: python -m infra.lab.customers URL FILE PER_SECOND SECONDS SEED
"""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from infra.lab.process import Process, run, wait_until
from infra.lab.shop_lines import Lines, read_lines, stamp

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 2.0
VISIT = 3  # requests of one customer
AT_ONCE = 200
MOST = 100_000  # requests, whatever was asked for
COUPON = "WELCOME10"

Said = dict[str, Any]


@dataclass(frozen=True)
class Count:
    """What the customers have seen so far. A request fails by a timeout, a lost connection or any answer but 2xx.

    A customer is served when the checkout was, and failed by the first request that fails.
    """

    requests: int
    failed: int
    customers_served: int
    customers_failed: int
    first_failure: datetime | None
    last_failure: datetime | None
    failed_by_version: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Customers:
    """The running customers, and the file that they keep."""

    log: Path
    process: Process

    def count(self, version: str | None = None) -> Count:
        """Count from the file, which is current to the last answer. A failure without an answer has version "none".

        With a `version` only what its instances answered.
        """
        lines = read_lines(self.log)
        return count([line for line in lines if version in (None, line["version"])])

    def stop(self) -> None:
        """Let no more customers in, and wait until those inside have left.

        Raises LabError when they have not within 10 s.
        """
        self.process.kill(signal.SIGTERM)
        wait_until(lambda: not self.process.running(), what="the last customer's leaving", seconds=10)


@contextmanager
def customers(
    directory: Path, url: str, per_second: float = 10.0, seconds: float = 600, seed: int = 7
) -> Iterator[Customers]:
    """Let customers visit the shop at `url` for at most `seconds`, with about `per_second` requests a second.

    Each request becomes a line of `<directory>/customers.jsonl`, appended to. The same seed buys the same goods.
    """
    file = directory / "customers.jsonl"
    argv = ["infra.lab.customers", url, str(file), str(per_second), str(seconds), str(seed)]
    with run("customers", [sys.executable, "-m", *argv], directory=directory, cwd=ROOT) as process:
        yield Customers(file, process)


def count(lines: list[dict[str, Any]]) -> Count:
    """Count the requests of a customers' file."""
    failed = [line for line in lines if not line["ok"]]
    times = sorted(datetime.fromisoformat(line["at"]) for line in failed)
    return Count(
        requests=len(lines),
        failed=len(failed),
        customers_served=sum(line["ok"] and line["route"] == "/checkout" for line in lines),
        customers_failed=len({line["customer"] for line in failed}),
        first_failure=times[0] if times else None,
        last_failure=times[-1] if times else None,
        failed_by_version=dict(Counter(line["version"] or "none" for line in failed)),
    )


class Street:
    """Where the customers come from: one every `VISIT / per_second` seconds, however slow the shop is."""

    def __init__(self, url: str, lines: Lines, seed: int) -> None:
        self._url = url
        self._lines = lines
        self._seed = seed
        self._inside = asyncio.Semaphore(AT_ONCE)
        self._closed = asyncio.Event()

    async def open(self, per_second: float, seconds: float) -> None:
        """Send customers until the time is over, their number is reached, or SIGTERM; then let all finish."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._closed.set)
        begin = time.monotonic()
        # Their names hold the time, so that those of a second run are not taken for the first's.
        morning = f"{time.time():.0f}"
        # Idle connections end here first: one that the shop ends just now would look like a failure of the shop.
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=20, keepalive_expiry=2)
        async with (
            httpx.AsyncClient(base_url=self._url, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as visits,
        ):
            for number in range(int(min(per_second * seconds, MOST) / VISIT)):
                if await self._closed_before(begin + number * VISIT / per_second):
                    break
                await self._inside.acquire()
                visits.create_task(self._visit(client, f"{morning}-{number}", number))

    async def _closed_before(self, moment: float) -> bool:
        try:
            async with asyncio.timeout(max(0, moment - time.monotonic())):
                return await self._closed.wait()
        except TimeoutError:
            return False

    async def _visit(self, client: httpx.AsyncClient, customer: str, number: int) -> None:
        """Look at the catalogue, put something into the cart, check out; leave at the first failure.

        A third of the customers put a coupon into the cart, too.
        """
        chance = random.Random(f"{self._seed}-{number}")
        coupon = {"coupon": COUPON} if chance.random() < 1 / 3 else {}
        try:
            seen = await self._request(client, customer, "GET", "/catalogue")
            if seen and seen.get("items"):
                sku = chance.choice(seen["items"])["sku"]
                line = {"customer": customer, "sku": sku, "quantity": chance.randint(1, 3)}
                line |= coupon
                if await self._request(client, customer, "POST", "/cart", line) is not None:
                    await self._request(client, customer, "POST", "/checkout", {"customer": customer})
        finally:
            self._inside.release()

    async def _request(
        self, client: httpx.AsyncClient, customer: str, method: str, path: str, body: Said | None = None
    ) -> Said | None:
        """What was answered, or None when the request failed; either way one line in the file."""
        began = time.monotonic()
        status: int | str
        version = said = None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await client.request(method, path, json=body)
            status, version = response.status_code, response.headers.get("X-Version")
            said = _said(response)
        except (TimeoutError, httpx.TimeoutException):
            status = "timeout"
        except httpx.HTTPError:
            status = "unreachable"
        seen = {"at": stamp(), "customer": customer, "route": path, "status": status, "version": version}
        self._lines.append(seen | {"ok": said is not None, "seconds": round(time.monotonic() - began, 4)})
        return said


def _said(response: httpx.Response) -> Said | None:
    """The object in a 2xx answer. Any other answer, and one that cannot be read, is a failure to a customer."""
    try:
        said = response.json() if response.is_success else None
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def main(url: str, file: str, per_second: str, seconds: str, seed: str) -> None:
    """Let the customers come until their time is over."""
    street = Street(url, Lines(Path(file)), int(seed))
    asyncio.run(street.open(float(per_second), float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
