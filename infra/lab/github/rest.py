"""The REST API's frame: who calls, may they, what do they say; one handler per operation."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.lab.github.answers import Answer, ApiError, not_found
from infra.lab.github.bare import Bare
from infra.lab.github.platform import Platform
from infra.lab.github.store import Document


@dataclass(frozen=True)
class Call:
    """One authenticated call about one repository."""

    platform: Platform
    user: Document
    repository: Document
    path: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any]
    address: str

    @property
    def name(self) -> str:
        """`owner/name`."""
        return str(self.repository["full_name"])

    @property
    def bare(self) -> Bare:
        """The Git side of the repository."""
        return self.platform.bare(self.name)

    @property
    def base(self) -> str:
        """The repository's address in the API."""
        return f"{self.platform.api}/repos/{self.name}"

    @property
    def html(self) -> str:
        """The repository's address for people."""
        return f"{self.platform.url}/{self.name}"


Handler = Callable[[Call], Any]


def route(method: str, path: str, handler: Handler) -> Route:
    """An operation below `/repos/{owner}/{repo}`; anything but GET needs a token that may write."""

    async def endpoint(request: Request) -> Response:
        answer = await run_in_threadpool(_answer, handler, request, await request.body())
        return JSONResponse(answer.body, answer.status, answer.headers)

    return Route(f"/api/v3/repos/{{owner}}/{{repo}}{path}", endpoint, methods=[method])


def authenticate(platform: Platform, header: str | None) -> Document:
    """The user whose token a Bearer, token or Basic (as the password) header carries; raises the 401."""
    scheme, _, rest = (header or "").partition(" ")
    token = _password(rest) if scheme.lower() == "basic" else rest.strip()
    if not header:
        raise ApiError(401, "Requires authentication")
    user = platform.store.first("user", token=token)
    if user is None:
        raise ApiError(401, "Bad credentials")
    return user


def page_of(call: Call, items: Sequence[Any], shape: Callable[[Any], Any]) -> Answer:
    """One page of a list, shaped, with GitHub's Link header."""
    size = min(max(_number(call.query.get("per_page"), 30), 1), 100)
    page = max(_number(call.query.get("page"), 1), 1)
    last = max(-(-len(items) // size), 1)
    relations = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    wanted = (["prev", "first"] if page > 1 else []) + (["next", "last"] if page < last else [])
    links = [f'<{_address(call, relations[name])}>; rel="{name}"' for name in wanted]
    shaped = [shape(item) for item in items[(page - 1) * size : page * size]]
    return Answer(shaped, headers={"Link": ", ".join(links)} if links else {})


def required(call: Call, *names: str) -> None:
    """Raise GitHub's 422 for a field that was not given."""
    for name in names:
        if not call.body.get(name):
            raise ApiError(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')


def _answer(handler: Handler, request: Request, body: bytes) -> Answer:
    try:
        answer = handler(_call(request, body))
    except ApiError as error:
        return error.answer
    return answer if isinstance(answer, Answer) else Answer(answer)


def _call(request: Request, body: bytes) -> Call:
    platform: Platform = request.app.state.platform
    user = authenticate(platform, request.headers.get("authorization"))
    request.scope["seen"]["user"] = user["login"]
    repository = platform.repository(f"{request.path_params['owner']}/{request.path_params['repo']}")
    if request.method != "GET" and not user["write"]:
        raise ApiError(403, "Resource not accessible by personal access token")
    address = f"{platform.url}{request.url.path}"
    return Call(platform, user, repository, dict(request.path_params), dict(request.query_params), _json(body), address)


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(400, "Problems parsing JSON") from error
    if not isinstance(content, dict):
        raise ApiError(400, "Body should be a JSON object")
    return content


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _address(call: Call, page: int) -> str:
    return f"{call.address}?{urlencode(call.query | {'page': str(page)})}"


def known(found: Any) -> Any:
    """What was found, or GitHub's 404."""
    if found is None:
        raise not_found()
    return found
