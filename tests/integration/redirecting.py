"""A host that sends all who ask to somewhere else, and hosts that write down which credentials they were given."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Host:
    """Where it is, how it sends on, and the path and the Authorization of each request it got."""

    url: str
    status: int
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def sending(to: Callable[[str], str | None], status: int = 301) -> Iterator[Host]:
    """A host that sends a path on to where `to` says; where that says None it wants credentials."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            host.asked.append((self.path, self.headers["Authorization"]))
            there = to(self.path)
            self.send_response(host.status if there else 401)
            self.send_header(*(("Location", there) if there else ("WWW-Authenticate", 'Basic realm="x"')))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(1) as pool:
        host = Host(f"http://127.0.0.1:{server.server_port}", status)
        pool.submit(server.serve_forever, 0.05)
        try:
            yield host
        finally:
            server.shutdown()
