"""Git's smart HTTP protocol: `git http-backend` behind a token, streaming both ways.

Where rules could refuse a push, git asks `gate.py` about each ref; http-backend tells hooks the pusher as
REMOTE_USER.
"""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from infra.lab.github import gate
from infra.lab.github.answers import ApiError
from infra.lab.github.bare import clean_environment
from infra.lab.github.platform import Platform
from infra.lab.github.pushes import announce_push
from infra.lab.github.renames import Renamed
from infra.lab.github.rules import watched
from infra.lab.github.tokens import authenticate

_CHUNK = 1 << 16
_PASSED_ON = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_PASSED_ON |= {"content-encoding": "HTTP_CONTENT_ENCODING", "git-protocol": "GIT_PROTOCOL"}


class GitDoor:
    """One ASGI endpoint for clone, fetch and push."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a token in, and hand the rest to http-backend."""
        request = Request(scope, receive)
        try:
            user = await run_in_threadpool(_admit, request)
        except ApiError as error:
            await _refuse(error)(scope, receive, send)
            return
        except Renamed as renamed:
            await _elsewhere(request, renamed)(scope, receive, send)
            return
        await _serve(request, user, send)


ROUTES = [Route("/{owner}/{repo}.git/{rest:path}", GitDoor())]


def _admit(request: Request) -> str:
    """The login of the caller; raises GitHub's 401, 403 or 404."""
    platform: Platform = request.app.state.platform
    user = authenticate(platform, request.headers.get("authorization"))
    request.scope["seen"]["user"] = user["login"]
    name = f"{request.path_params['owner']}/{request.path_params['repo']}"
    platform.repository(name)
    if _pushes(request) and not user["write"]:
        raise ApiError(403, f"Permission to {name}.git denied to {user['login']}.")
    return str(user["login"])


def _pushes(request: Request) -> bool:
    return "git-receive-pack" in (request.path_params["rest"], request.query_params.get("service"))


def _refuse(error: ApiError) -> PlainTextResponse:
    status = error.answer.status
    headers = {"WWW-Authenticate": 'Basic realm="GitHub"'} if status == 401 else {}
    text = "Repository not found." if status == 404 else str(error)
    return PlainTextResponse(f"{text}\n", status, headers)


def _elsewhere(request: Request, renamed: Renamed) -> Response:
    """Git follows this in its first request, and then stays with the new address."""
    platform: Platform = request.app.state.platform
    path = f"{platform.url}/{renamed.full_name}.git/{request.path_params['rest']}"
    return RedirectResponse(f"{path}?{request.url.query}" if request.url.query else path, 301)


async def _serve(request: Request, user: str, send: Send) -> None:
    platform: Platform = request.app.state.platform
    backend = await asyncio.create_subprocess_exec(
        _backend(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(platform, request, user)
    )
    stdin, stdout = backend.stdin, backend.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("git http-backend was started without pipes")
    feeding = asyncio.create_task(_feed(request, stdin))
    try:
        head = await stdout.readuntil(b"\r\n\r\n")
        await send(_start(head))
        async for chunk in _chunks(stdout):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        feeding.cancel()
        await backend.wait()
        if request.path_params["rest"] == "git-receive-pack":
            name = f"{request.path_params['owner']}/{request.path_params['repo']}"
            # Before the answer ends: whoever has seen a push succeed can count on its event being queued.
            await run_in_threadpool(announce_push, platform, name, user)
    await send({"type": "http.response.body", "body": b""})


async def _feed(request: Request, stdin: asyncio.StreamWriter) -> None:
    """Pass the request's body on; a backend that has stopped reading does not stop us from draining it."""
    async for chunk in request.stream():
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(chunk)
            await stdin.drain()
    stdin.close()


async def _chunks(stdout: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await stdout.read(_CHUNK):
        yield chunk


def _start(head: bytes) -> dict[str, Any]:
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n") if line]
    headers = {name.lower(): value for name, value in lines}
    status = int(headers.pop(b"status", b"200 OK").split()[0])
    return {"type": "http.response.start", "status": status, "headers": list(headers.items())}


def _environment(platform: Platform, request: Request, user: str) -> dict[str, str]:
    passed_on = {_PASSED_ON[n]: v for n, v in request.headers.items() if n in _PASSED_ON}
    return clean_environment() | passed_on | _asking(platform, request, user) | {
        "GIT_PROJECT_ROOT": str(platform.repositories),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.url.path,
        "QUERY_STRING": request.url.query,
        "REQUEST_METHOD": request.method,
        "REMOTE_USER": user,
        "REMOTE_ADDR": "127.0.0.1",
    }  # fmt: skip


def _asking(platform: Platform, request: Request, login: str) -> dict[str, str]:
    name = f"{request.path_params['owner']}/{request.path_params['repo']}"
    user = platform.store.first("user", login=login) or {}
    if request.path_params["rest"] != "git-receive-pack" or not watched(platform.store, name, user):
        return {}
    gate.install(platform.bare(name).path)
    return gate.environment(platform.store.file, name, f"{platform.url}/{name}")


@cache
def _backend() -> str:
    where = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return str(Path(where) / "git-http-backend")
