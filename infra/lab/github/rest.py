"""The REST API's frame: who calls, may they, what do they say; one handler per operation."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.lab.github.answers import DOCUMENTATION, Answer, ApiError, not_found
from infra.lab.github.bare import Bare
from infra.lab.github.platform import Platform
from infra.lab.github.renames import Renamed
from infra.lab.github.rules import Ground
from infra.lab.github.store import Document
from infra.lab.github.tokens import authenticate, not_accessible

_BY_NAME = "/api/v3/repos/{owner}/{repo}"


@dataclass(frozen=True)
class Call:
    """One authenticated call about one repository."""

    platform: Platform
    user: Document
    repository: Document
    path: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any]
    """Empty for an upload."""
    size: int
    """The body's length in bytes."""
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
    def ground(self) -> Ground:
        """Where its rules apply."""
        return Ground(self.platform.store, self.bare, self.name)

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
        return respond(request, answer)

    return Route(f"{_BY_NAME}{path}", endpoint, methods=[method])


def by_number(named: Route) -> Route:
    """The same operation below `/repositories/{id}`, where a renamed repository is to be found."""
    path = named.path.replace(_BY_NAME, "/api/v3/repositories/{repository_id}", 1)
    return Route(path, named.endpoint, methods=sorted(named.methods or ()))


def respond(request: Request, answer: Answer) -> Response:
    """An answer over HTTP: 204 without a body, and what can be asked for again with an ETag."""
    if answer.status == 204:
        return Response(status_code=204, headers=answer.headers)
    response = JSONResponse(answer.body, answer.status, answer.headers)
    if request.method == "GET" and answer.status == 200:
        tag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()}"'
        cached = {"ETag": tag, "Cache-Control": "private, max-age=60, s-maxage=60"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=cached)
        response.headers.update(cached)
    return response


def page_of(call: Call, items: Sequence[Any], shape: Callable[[Any], Any], *, inside: str = "") -> Answer:
    """One page of a list, shaped, with GitHub's Link header; some lists come `inside` an object with their length."""
    size = min(max(_number(call.query.get("per_page"), 30), 1), 100)
    page = max(_number(call.query.get("page"), 1), 1)
    last = max(-(-len(items) // size), 1)
    relations = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    wanted = (["prev", "first"] if page > 1 else []) + (["next", "last"] if page < last else [])
    links = [f'<{_address(call, relations[name])}>; rel="{name}"' for name in wanted]
    shaped = [shape(item) for item in items[(page - 1) * size : page * size]]
    body = {"total_count": len(items), inside: shaped} if inside else shaped
    return Answer(body, headers={"Link": ", ".join(links)} if links else {})


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
    except Renamed as renamed:
        return moved(request, renamed)
    return answer if isinstance(answer, Answer) else Answer(answer)


def moved(request: Request, renamed: Renamed) -> Answer:
    """GitHub sends a reader on for good (301), and a writer only this time, with what it wrote (307)."""
    platform: Platform = request.app.state.platform
    old = "/".join(["/api/v3/repos", request.path_params["owner"], request.path_params["repo"]])
    path = f"{platform.api}/repositories/{renamed.id}{request.url.path.removeprefix(old)}"
    url = f"{path}?{request.url.query}" if request.url.query else path
    status, message = (301, "Moved Permanently") if request.method == "GET" else (307, "Temporary Redirect")
    return Answer({"message": message, "url": url, "documentation_url": DOCUMENTATION}, status, {"Location": url})


def _repository(platform: Platform, path: Mapping[str, str]) -> Document:
    if "repository_id" not in path:
        return platform.repository(f"{path['owner']}/{path['repo']}")
    return dict(
        known(next((r for r in platform.store.all("repository") if str(r["id"]) == path["repository_id"]), None))
    )


def _call(request: Request, body: bytes) -> Call:
    platform: Platform = request.app.state.platform
    user = authenticate(platform, request.headers.get("authorization"))
    request.scope["seen"]["user"] = user["login"]
    repository = _repository(platform, request.path_params)
    if request.method != "GET" and not user["write"]:
        raise not_accessible(user)
    address = f"{platform.url}{request.url.path}"
    content = {} if request.url.path.startswith("/api/uploads/") else _json(body)
    path, query = dict(request.path_params), dict(request.query_params)
    return Call(platform, user, repository, path, query, content, len(body), address)


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(400, "Problems parsing JSON") from error
    if not isinstance(content, dict):
        raise ApiError(400, "Body should be a JSON object")
    return content


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _address(call: Call, page: int) -> str:
    return f"{call.address}?{urlencode(call.query | {'page': str(page)})}"


def known(found: Any) -> Any:
    """What was found, or GitHub's 404."""
    if found is None:
        raise not_found()
    return found
