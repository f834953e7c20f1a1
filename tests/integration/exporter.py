"""A small metrics endpoint whose counters a test drives, and which can stop answering."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.lab.process import wait_until

SCRAPE_SECONDS = 30.0


class Exporter:
    """Serves its `series` in Prometheus' text format; `down` answers 503, as a pod that is not ready."""

    def __init__(self) -> None:
        self.series: dict[str, float] = {}
        self.down = False
        self.asked = 0
        self.address = ""

    def add(self, name: str, number: float, **labels: str) -> None:
        """Count a counter up, which appears with its first count."""
        key = _series(name, labels)
        self.series = {**self.series, key: self.series.get(key, 0) + number}

    def put(self, name: str, number: float, **labels: str) -> None:
        """Set a counter, as a restart of its process does."""
        self.series = {**self.series, _series(name, labels): number}

    def page(self) -> str:
        """All series as text."""
        return "".join(f"{series} {number}\n" for series, number in self.series.items())


def wait_for_scrapes(exporters: Iterable[Exporter], scrapes: int = 2) -> None:
    """Wait until Prometheus has asked each so many times more; of two the second one has surely seen all."""
    enough = [(each, each.asked + scrapes) for each in exporters]
    wait_until(
        lambda: all(each.asked >= asked for each, asked in enough), what=f"{scrapes} scrapes", seconds=SCRAPE_SECONDS
    )


@contextmanager
def exporter() -> Iterator[Exporter]:
    """Run an exporter on a free port of 127.0.0.1."""
    state = Exporter()

    def page() -> tuple[int, bytes]:
        state.asked += 1
        return (503 if state.down else 200), state.page().encode()

    with _served(page) as state.address:
        yield state


@contextmanager
def answering(answer: tuple[int, bytes] | None) -> Iterator[str]:
    """The URL of a server that gives everybody this answer (status, body); None: it takes the call and is silent."""
    if answer is not None:
        with _served(lambda: answer) as address:
            yield f"http://{address}"
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@contextmanager
def _served(page: Callable[[], tuple[int, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = page()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a scrape a second is no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _series(name: str, labels: dict[str, str]) -> str:
    escaped = {key: text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for key, text in labels.items()}
    return name + "{" + ",".join(f'{key}="{text}"' for key, text in escaped.items()) + "}"
