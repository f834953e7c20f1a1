"""ASGI middleware in front of everything: holds each exchange of the REST API against GitHub's own description.

The events of webhooks, too. What is wrong is written to a file, before the answer ends: whoever has it finds it there.
"""

import json
import re
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.lab.github.contract import Contract, Exchange

_REST = re.compile(r"/api/(?:v3|uploads)(?P<path>/.*)")
_NUMBERED = re.compile(r"^/repositories/(\d+)(?=/|$)")


class Witness:
    """Sees each request and its answer whole, and each event, and lets them pass unchanged."""

    _app: ASGIApp

    def __init__(self, contract: Contract, file: Path) -> None:
        """What is seen stays within this contract, or is written to the file."""
        self._contract = contract
        self._file = file
        self._fine: set[int] = set()

    def over(self, app: ASGIApp) -> ASGIApp:
        """The same application, watched."""
        self._app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on; Git and GraphQL are not described, and pass unseen."""
        found = _REST.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        sent = await _whole(receive)
        answer: list[Message] = []

        async def again() -> Message:
            if sent:
                return sent.pop(0)
            return await receive()

        async def keep(message: Message) -> None:
            answer.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await run_in_threadpool(self._judge, _exchange(scope, found["path"], body, answer))
                for each in answer:
                    await send(each)

        body = b"".join(each.get("body", b"") for each in sent)
        await self._app(scope, again, keep)

    def see_event(self, event: str, payload: dict[str, Any]) -> None:
        """Hold the event of a webhook against the description."""
        self._object(self._contract.objections_to_event(event, payload))

    def _judge(self, exchange: Exchange) -> None:
        if hash(exchange) in self._fine:  # whoever waits asks the same again and again
            return
        objections = self._contract.objections(exchange)
        if not objections:
            self._fine.add(hash(exchange))
        self._object(objections)

    def _object(self, objections: list[str]) -> None:
        with self._file.open("a") as file:
            file.writelines(f"{json.dumps(each)}\n" for each in objections)


async def _whole(receive: Receive) -> list[Message]:
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _exchange(scope: Scope, path: str, body: bytes, answer: list[Message]) -> Exchange:
    return Exchange(
        method=scope["method"],
        path=_NUMBERED.sub("/repos/number/\\1", path),
        query=scope["query_string"].decode(),
        sent=body,
        status=answer[0]["status"],
        kind=Headers(raw=answer[0].get("headers", [])).get("content-type", ""),
        answer=b"".join(each.get("body", b"") for each in answer[1:]),
        broken=scope.get("broken", False),
    )
