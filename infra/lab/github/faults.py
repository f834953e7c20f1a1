"""The lab's own door: make the next calls fail, and show which calls there were.

`PUT /_lab/faults` takes a JSON list of faults, `GET /_lab/faults` shows those that have not yet struck,
`GET /_lab/requests` lists every call: method, path, status, user, bytes of the answer; never a token or a query.
"""

import asyncio
import json
import re
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.lab.github.limits import limited
from infra.lab.github.store import Store


@dataclass
class Fault:
    """What is to go wrong with the next `times` calls that fit."""

    method: str
    path: str
    """A regular expression, searched in the path."""
    times: int = 1
    status: int = 502
    """0 lets the call through after the delay."""
    delay_seconds: float = 0.0
    """Before the effect, or with `after_effect` between the effect and its answer."""
    after_effect: bool = False
    """The call has its effect, and only its answer is lost (or, with status 0, late)."""
    limit: str = ""
    """`secondary` or `primary`: the call hits this rate limit; GitHub's status is 403, or 429."""
    retry_seconds: int = 60
    """What GitHub asks to wait: `retry-after`, or `x-ratelimit-reset`; 0 leaves `retry-after` out."""

    def fits(self, method: str, path: str) -> bool:
        """Answer whether a call is to go wrong."""
        return self.times > 0 and self.method in ("*", method) and bool(re.search(self.path, path))


class Unreliable:
    """ASGI middleware in front of everything: logs each call, and breaks those that are to break."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        """Nothing breaks at first."""
        self._app = app
        self._store = store
        self._faults: list[Fault] = []
        self._striking: list[Fault] = []
        self.routes = [
            Route("/_lab/faults", self._put, methods=["PUT"]),
            Route("/_lab/faults", self._show, methods=["GET"]),
            Route("/_lab/requests", self._requests, methods=["GET"]),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, unless a fault fits."""
        if scope["type"] != "http" or scope["path"].startswith("/_lab/"):
            await self._app(scope, receive, send)
            return
        scope["seen"] = {"user": None, "status": None, "sent": 0}
        with ExitStack() as log:
            log.callback(self._log, scope)

            async def telling(message: Message) -> None:
                if message["type"] == "http.response.start":
                    scope["seen"]["status"] = message["status"]
                scope["seen"]["sent"] += len(message.get("body", b""))
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    log.close()  # Before the answer ends: whoever has it finds the call in the log.
                await send(message)

            await self._pass(scope, receive, telling)

    def _log(self, scope: Scope) -> None:
        self._store.add("request", method=scope["method"], path=scope["path"], **scope["seen"])

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = next((f for f in self._faults if f.fits(scope["method"], scope["path"])), None)
        if fault is None:
            await self._app(scope, receive, send)
            return
        fault.times -= 1
        if not fault.after_effect:
            await asyncio.sleep(fault.delay_seconds)
            scope["broken"] = bool(fault.status)
            await (self._broken(fault) if fault.status else self._app)(scope, receive, send)
            return
        late: list[Message] = []
        self._striking.append(fault)  # until the call has had its effect
        try:
            await self._app(scope, receive, _into(late))
        finally:
            self._striking.remove(fault)
        await asyncio.sleep(fault.delay_seconds)
        scope["broken"] = bool(fault.status)
        if fault.status:
            await self._broken(fault)(scope, receive, send)
        for message in [] if fault.status else late:
            await send(message)

    def _broken(self, fault: Fault) -> JSONResponse:
        if fault.limit:
            return limited(fault.limit, fault.status, fault.retry_seconds)
        return JSONResponse({"message": "Server Error", "status": str(fault.status)}, fault.status)

    async def _put(self, request: Request) -> JSONResponse:
        asked = json.loads(await request.body())
        self._faults = [Fault(**({"status": 403} if fault.get("limit") else {}) | fault) for fault in asked]
        return JSONResponse([asdict(fault) for fault in self._faults])

    async def _show(self, request: Request) -> JSONResponse:
        return JSONResponse([asdict(fault) for fault in self._faults if fault.times > 0 or fault in self._striking])

    async def _requests(self, request: Request) -> JSONResponse:
        seen: list[dict[str, Any]] = self._store.all("request")
        return JSONResponse(seen)


def _into(late: list[Message]) -> Send:
    """Keep an answer instead of sending it."""

    async def keep(message: Message) -> None:
        late.append(message)

    return keep
