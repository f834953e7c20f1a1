"""Commit statuses."""

from typing import Any

from infra.lab.github.answers import Answer, ApiError, invalid, now
from infra.lab.github.commits import resolve
from infra.lab.github.lengths import STATUS, must_fit
from infra.lab.github.people import node_id, person, repository_shape
from infra.lab.github.rest import Call, page_of, required, route
from infra.lab.github.store import Document

STATES = ("error", "failure", "pending", "success")


def _shape(call: Call, status: Document) -> dict[str, Any]:
    creator = person(call.platform, status["creator"])
    return {
        "url": f"{call.base}/statuses/{status['sha']}",
        "avatar_url": creator["avatar_url"],
        "id": status["id"],
        "node_id": node_id("StatusContext", status["id"]),
        "created_at": status["created_at"],
        "updated_at": status["created_at"],
        "creator": creator,
        **{key: status[key] for key in ("state", "description", "target_url", "context")},
    }


def _create(call: Call) -> Answer:
    required(call, "state")
    sha = call.path["sha"]
    if call.bare.kind(sha) != "commit":
        raise ApiError(422, f"No commit found for SHA: {sha}")
    if call.body["state"] not in STATES:
        raise invalid("Status", "state", "custom", f"state is not included in the list {list(STATES)}")
    must_fit(call.body, STATUS)
    status = call.platform.store.add(
        "status", call.name, sha=sha, state=call.body["state"], creator=call.user["login"], created_at=now(),
        description=call.body.get("description"), target_url=call.body.get("target_url"),
        context=call.body.get("context") or "default",
    )  # fmt: skip
    return Answer(_shape(call, status), 201)


def _newest_first(call: Call) -> list[Document]:
    sha = resolve(call, call.path["ref"])
    return call.platform.store.all("status", call.name, sha=sha)[::-1]


def _list(call: Call) -> Answer:
    return page_of(call, _newest_first(call), lambda status: _shape(call, status))


def _combined(call: Call) -> dict[str, Any]:
    sha = resolve(call, call.path["ref"])
    latest: dict[str, Document] = {}
    for status in _newest_first(call):
        latest.setdefault(status["context"], status)
    states = {status["state"] for status in latest.values()}
    state = "pending" if not states or "pending" in states else "success"
    return {
        "state": "failure" if states & {"error", "failure"} else state,
        "sha": sha,
        "total_count": len(latest),
        "statuses": [_shape(call, status) for status in latest.values()],
        "repository": repository_shape(call.platform, call.repository),
        "commit_url": f"{call.base}/commits/{sha}",
        "url": f"{call.base}/commits/{sha}/status",
    }


ROUTES = [
    route("POST", "/statuses/{sha}", _create),
    route("GET", "/commits/{ref:path}/statuses", _list),
    route("GET", "/statuses/{ref:path}", _list),  # undocumented by now, still served, and what PyGithub asks for
    route("GET", "/commits/{ref:path}/status", _combined),
]
