"""From a service's counters through the production rules and routes to the alert receiver."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.lab.alertmanager import Alertmanager, alertmanager
from infra.lab.build import observability
from infra.lab.process import wait_until
from infra.lab.prometheus import RULES, Prometheus, prometheus
from tests.integration.exporter import Exporter, exporter
from tests.integration.kernel import cmdline, listening

TOKEN = "only-alertmanager-knows"
DETECTED_SECONDS = 60.0  # the rules wait 30 s; the rest is the machine


@dataclass
class Receiver:
    """Keeps what it is told, path and body, and refuses whoever has not the token."""

    url: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: int = 0

    def alerts(self) -> set[tuple[str, str]]:
        """Name and version of every alert that was told."""
        labels = [alert["labels"] for _, body in self.calls for alert in body["alerts"]]
        return {(each["alertname"], each["version"]) for each in labels}


@dataclass(frozen=True)
class Alarms:
    """A service that a test drives, watched as in production, and who is called."""

    shop: Exporter
    receiver: Receiver
    prometheus: Prometheus
    alertmanager: Alertmanager
    place: Path


@pytest.fixture(scope="module")
def alarms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alarms]:
    """Prometheus and Alertmanager with the production rules and routes."""
    place = tmp_path_factory.mktemp("alarms")
    with (
        exporter() as shop,
        receiving() as receiver,
        alertmanager(place, receiver.url, TOKEN) as routing,
        prometheus(place, {"shop": shop.address}, routing.url) as watching,
    ):
        # A started Prometheus learns its targets only after 5 s.
        wait_until(lambda: shop.asked, what="the first scrape", seconds=30)
        yield Alarms(shop, receiver, watching, routing, place)


def test_an_alarm_reaches_the_receiver_with_the_token(alarms: Alarms) -> None:
    """A version that fails from its first request is told within a minute, and the healthy one beside it is not."""
    with customers(alarms.shop):
        began = time.monotonic()
        wait_until(lambda: alarms.receiver.calls, what="the call", seconds=DETECTED_SECONDS + 60, every=0.2)
        seconds = time.monotonic() - began
        # What fires a moment later comes in the group's next call.
        wait_until(lambda: len(alarms.receiver.alerts()) >= 3, what="all three alerts", seconds=30, every=0.2)
    path, body = alarms.receiver.calls[0]

    assert seconds < DETECTED_SECONDS
    assert (path, alarms.receiver.refused) == ("/alerts/alertmanager", 0)
    assert (body["status"], body["groupLabels"]) == ("firing", {"service": "shop", "version": "v1.2.0"})
    assert alarms.receiver.alerts() == {
        ("AvailabilityBelowLimit", "v1.2.0"),
        ("CheckoutFailing", "v1.2.0"),
        ("ErrorsAboveLimit", "v1.2.0"),
    }


def test_the_token_is_read_by_alertmanager_alone(alarms: Alarms) -> None:
    """The token is in a file of mode 0600, and in no argument and no configuration."""
    secret = alarms.place / "alertmanager.token"

    assert (secret.read_text(), secret.stat().st_mode & 0o777) == (TOKEN, 0o600)
    assert TOKEN not in cmdline(alarms.alertmanager.process.pid)
    assert TOKEN not in (alarms.place / "alertmanager.yml").read_text()


def test_the_rules_pass_their_own_tests() -> None:
    """promtool replays healthy, faulty and mixed traffic against the production rules."""
    argv = [str(observability() / "promtool"), "test", "rules", str(RULES.with_name("rules_test.yml"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_does_not_ask_for_ripcord_goes_to_nobody(alarms: Alarms) -> None:
    """amtool, on the rendered configuration, routes by the label `ripcord` and by nothing else."""
    config = alarms.place / "alertmanager.yml"

    def route(*labels: str) -> str:
        argv = [str(observability() / "amtool"), "config", "routes", "test", f"--config.file={config}", *labels]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    assert route("ripcord=respond", "service=shop") == "ripcord"
    assert route("severity=critical", "service=shop") == "nobody"


def test_prometheus_keeps_its_samples_when_it_is_killed(alarms: Alarms) -> None:
    """What was scraped before kill -9 is answered by the restarted Prometheus on the same port."""
    alarms.shop.add("http_requests_total", 1, service="kept", version="v1.0.0", route="/", code="200")
    wait_until(lambda: alarms.prometheus.query('http_requests_total{service="kept"}'), what="the sample", seconds=10)
    before, first = datetime.now(UTC).timestamp(), alarms.prometheus.process
    first.kill()
    alarms.prometheus.restart()

    [row] = alarms.prometheus.query(f'http_requests_total{{service="kept"}} @ {before}')
    assert row["value"][1] == "1"
    assert alarms.prometheus.process.pid != first.pid


def test_prometheus_takes_new_targets_while_it_runs(alarms: Alarms) -> None:
    """A job that is added is scraped, and the process is the same."""
    process = alarms.prometheus.process
    with exporter() as prober:
        alarms.prometheus.retarget({"shop": alarms.shop.address, "ripcord": prober.address})
        wait_until(lambda: prober.asked, what="a scrape of the new target", seconds=15)
        alarms.prometheus.retarget({"shop": alarms.shop.address})

    assert process.running()


def test_both_listen_on_this_machine_only(alarms: Alarms) -> None:
    """No port of Prometheus or Alertmanager is open to another machine."""
    for server in (alarms.prometheus, alarms.alertmanager):
        assert listening(server.process.pid) == {f"127.0.0.1:{server.port}"}


@contextmanager
def customers(shop: Exporter) -> Iterator[None]:
    """Twenty requests a second: the old version is well, every second one of the new version fails."""
    over = threading.Event()

    def buy() -> None:
        while not over.wait(0.2):
            for version, code, number in (("v1.1.0", "200", 2), ("v1.2.0", "200", 1), ("v1.2.0", "500", 1)):
                shop.add("http_requests_total", number, service="shop", version=version, route="/checkout", code=code)

    thread = threading.Thread(target=buy)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of 127.0.0.1."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            welcome = self.headers["Authorization"] == f"Bearer {TOKEN}"
            if welcome:
                state.calls.append((self.path, json.loads(body)))
            else:
                state.refused += 1
            self.send_response(202 if welcome else 401)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the calls are kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
