"""GraphQL for the one thing that REST cannot do: mark a draft as ready (`markPullRequestReadyForReview`)."""

import json
import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from infra.lab.github.answers import ApiError, now
from infra.lab.github.people import node_id
from infra.lab.github.platform import Platform
from infra.lab.github.store import Document
from infra.lab.github.tokens import authenticate, not_accessible

MUTATION = "markPullRequestReadyForReview"
_SELECTED = re.compile(r"pullRequest\s*\{([^}]*)\}")
_LITERAL = re.compile(r'pullRequestId\s*:\s*"([^"]*)"')


async def _endpoint(request: Request) -> JSONResponse:
    body = await request.body()
    try:
        answer = await run_in_threadpool(_answer, request, json.loads(body or b"{}"))
    except ApiError as error:
        return JSONResponse(error.answer.body, error.answer.status)
    return JSONResponse(answer)


def _answer(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    user = authenticate(platform, request.headers.get("authorization"))
    request.scope["seen"]["user"] = user["login"]
    query, variables = str(body.get("query", "")), body.get("variables") or {}
    if not re.match(r"\s*mutation\b", query) or MUTATION not in query:
        return {"errors": [{"message": f"The lab knows only the mutation {MUTATION}"}]}
    wanted = _identity(query, variables)
    found = _pull(platform, wanted)
    if found is None:
        return _failed("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'")
    if not user["write"]:
        return _failed("FORBIDDEN", str(not_accessible(user)))
    repository, pull = found
    if pull["state"] != "open":
        return _failed("UNPROCESSABLE", "Pull request is closed")
    pull = platform.store.change(pull, draft=False, updated_at=now())
    return {"data": {MUTATION: _selected(platform, query, repository, pull)}}


def _identity(query: str, variables: dict[str, Any]) -> str:
    """The request's node id: written in the query, a variable, or inside the variable `input`."""
    if literal := _LITERAL.search(query):
        return literal[1]
    nested = [each for each in variables.values() if isinstance(each, dict)]
    values = [each["pullRequestId"] for each in nested if "pullRequestId" in each] or list(variables.values())
    return str(next(iter(values), ""))


def _pull(platform: Platform, identity: str) -> tuple[str, Document] | None:
    for repository in platform.store.all("repository"):
        for pull in platform.store.all("pull", repository["full_name"]):
            if node_id("PullRequest", pull["id"]) == identity:
                return str(repository["full_name"]), pull
    return None


def _selected(platform: Platform, query: str, repository: str, pull: Document) -> dict[str, Any]:
    known = {
        "id": node_id("PullRequest", pull["id"]), "number": pull["number"], "isDraft": pull["draft"],
        "title": pull["title"], "state": pull["state"].upper(),
        "url": f"{platform.url}/{repository}/pull/{pull['number']}",
    }  # fmt: skip
    asked = _SELECTED.search(query)
    fields = {"pullRequest": {name: known[name] for name in asked[1].split() if name in known}} if asked else {}
    return fields | ({"clientMutationId": None} if "clientMutationId" in query else {})


def _failed(kind: str, message: str) -> dict[str, Any]:
    error = {"type": kind, "path": [MUTATION], "locations": [{"line": 1, "column": 1}], "message": message}
    return {"data": {MUTATION: None}, "errors": [error]}


ROUTES = [Route("/api/graphql", _endpoint, methods=["POST"])]
