"""An HTTP server that accepts every message and keeps it: the chat room and the pager of the lab.

usage: python -m infra.lab.sink PORT FILE
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.lab.process import Process, accepts, free_port, run, wait_until
from infra.lab.shop_lines import Lines, read_lines, stamp

ROOT = Path(__file__).parents[2]
SECRET = {"authorization", "proxy-authorization", "cookie"}


@dataclass(frozen=True)
class Sink:
    """A running sink, and the file that it keeps."""

    url: str
    log: Path
    process: Process

    def messages(self) -> list[dict[str, Any]]:
        """What was accepted, oldest first: `at`, `path`, `headers`, `body` (parsed when it is JSON, else text)."""
        return [attempt for attempt in self.attempts() if attempt["answered"] == 200]

    def attempts(self) -> list[dict[str, Any]]:
        """What was sent, also what was refused: `answered` is the status code."""
        return read_lines(self.log)

    def fail(self, times: int, status: int = 503) -> None:
        """Refuse the next messages with this status."""
        wanted = {"times": times, "status": status}
        httpx.put(f"{self.url}/_lab/fail", json=wanted, timeout=5, trust_env=False).raise_for_status()


@contextmanager
def sink(directory: Path) -> Iterator[Sink]:
    """Run a sink for the time of the block; every message becomes a line of `<directory>/sink.jsonl`.

    Raises LabError when it does not listen within 20 s.
    """
    port, file = free_port(), directory / "sink.jsonl"
    command = [sys.executable, "-m", "infra.lab.sink", str(port), str(file)]
    with run("sink", command, directory=directory, cwd=ROOT) as process:
        wait_until(lambda: accepts(port), what=f"the sink on port {port}", seconds=20, process=process)
        yield Sink(f"http://127.0.0.1:{port}", file, process)


class Keeper:
    """The HTTP side of the process."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._failures = 0
        self._status = 503

    def application(self) -> Starlette:
        """Every POST is a message; one PUT tells the sink to fail."""
        return Starlette(
            routes=[
                Route("/_lab/fail", self.fail, methods=["PUT"]),
                Route("/{path:path}", self.keep, methods=["POST"]),
            ]
        )

    async def fail(self, request: Request) -> Response:
        """Refuse the next `times` messages with `status`."""
        asked = await request.json()
        self._failures, self._status = int(asked["times"]), int(asked.get("status", 503))
        return Response(status_code=204)

    async def keep(self, request: Request) -> Response:
        """Keep a message, then answer: who was answered 200 finds it in the file."""
        body = (await request.body()).decode(errors="replace")
        status = self._status if self._failures > 0 else 200
        self._failures -= self._failures > 0
        message = {"at": stamp(), "path": request.url.path, "answered": status}
        headers = {name: value for name, value in request.headers.items() if name not in SECRET}
        self._lines.append(message | {"headers": headers, "body": _parsed(body)})
        return JSONResponse({"ok": status == 200}, status)


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def main(port: str, file: str) -> None:
    """Keep messages until told to end."""
    keeper = Keeper(Lines(Path(file)))
    uvicorn.run(keeper.application(), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
