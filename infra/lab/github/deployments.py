"""Deployments and how they went, as a pipeline reports them."""

from typing import Any

from infra.lab.github.answers import Answer, ApiError, invalid, now
from infra.lab.github.lengths import DEPLOYMENT_STATUS, must_fit
from infra.lab.github.people import node_id, person, repository_shape
from infra.lab.github.rest import Call, known, page_of, required, route
from infra.lab.github.store import Document

STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")


def _shape(call: Call, deployment: Document) -> dict[str, Any]:
    url = f"{call.base}/deployments/{deployment['id']}"
    keys = ("id", "sha", "ref", "task", "payload", "environment", "description", "created_at", "updated_at")
    return {
        "url": url,
        "node_id": node_id("Deployment", deployment["id"]),
        "creator": person(call.platform, deployment["creator"]),
        "original_environment": deployment["environment"],
        "statuses_url": f"{url}/statuses",
        "repository_url": call.base,
        "transient_environment": False,
        "production_environment": deployment["environment"] == "production",
        **{key: deployment[key] for key in keys},
    }


def _status(call: Call, status: Document) -> dict[str, Any]:
    url = f"{call.base}/deployments/{status['deployment']}"
    keys = ("id", "state", "description", "environment", "target_url", "log_url", "environment_url", "created_at")
    return {
        "url": f"{url}/statuses/{status['id']}",
        "node_id": node_id("DeploymentStatus", status["id"]),
        "creator": person(call.platform, status["creator"]),
        "deployment_url": url,
        "repository_url": call.base,
        "updated_at": status["created_at"],
        **{key: status[key] for key in keys},
    }


def _create(call: Call) -> Answer:
    required(call, "ref")
    sha = call.bare.commit_of(call.body["ref"])
    if sha is None:
        raise ApiError(422, f"No ref found for: {call.body['ref']}")
    deployment = call.platform.store.add(
        "deployment", call.name, sha=sha, ref=call.body["ref"], task=call.body.get("task") or "deploy",
        payload=call.body.get("payload") or {}, environment=call.body.get("environment") or "production",
        description=call.body.get("description"), creator=call.user["login"], created_at=now(), updated_at=now(),
    )  # fmt: skip
    return Answer(_shape(call, deployment), 201)


def _list(call: Call) -> Answer:
    asked = {key: call.query[key] for key in ("sha", "ref", "task", "environment") if key in call.query}
    newest_first = call.platform.store.all("deployment", call.name, **asked)[::-1]
    return page_of(call, newest_first, lambda deployment: _shape(call, deployment))


def _one(call: Call) -> Document:
    deployments = call.platform.store.all("deployment", call.name)
    return dict(known(next((d for d in deployments if str(d["id"]) == call.path["deployment_id"]), None)))


def _get(call: Call) -> dict[str, Any]:
    return _shape(call, _one(call))


def _create_status(call: Call) -> Answer:
    deployment = _one(call)
    required(call, "state")
    if call.body["state"] not in STATES:
        raise invalid("DeploymentStatus", "state", "custom", f"state is not included in the list {list(STATES)}")
    must_fit(call.body, DEPLOYMENT_STATUS)
    log = call.body.get("log_url") or call.body.get("target_url") or ""
    status = call.platform.store.add(
        "deployment_status", call.name, deployment=deployment["id"], state=call.body["state"], log_url=log,
        target_url=log, description=call.body.get("description") or "", creator=call.user["login"],
        environment=call.body.get("environment") or deployment["environment"], created_at=now(),
        environment_url=call.body.get("environment_url") or "",
    )  # fmt: skip
    call.platform.store.change(deployment, updated_at=status["created_at"])
    if status["state"] == "success" and call.body.get("auto_inactive", True):
        _retire_others(call, deployment)
    _announce(call, deployment, status)
    return Answer(_status(call, status), 201)


def _retire_others(call: Call, deployment: Document) -> None:
    """As GitHub's auto_inactive: an older success in the same environment is no longer what runs."""
    others = call.platform.store.all("deployment", call.name, environment=deployment["environment"])
    for other in others:
        last = _statuses(call, other)[:1]
        if other["id"] < deployment["id"] and last and last[0]["state"] == "success":
            body = {key: value for key, value in last[0].items() if key != "id"}
            inactive = {"state": "inactive", "creator": call.user["login"], "created_at": now()}
            call.platform.store.add("deployment_status", call.name, **(body | inactive))


def _statuses(call: Call, deployment: Document) -> list[Document]:
    return call.platform.store.all("deployment_status", call.name, deployment=deployment["id"])[::-1]


def _list_statuses(call: Call) -> Answer:
    return page_of(call, _statuses(call, _one(call)), lambda status: _status(call, status))


def _announce(call: Call, deployment: Document, status: Document) -> None:
    payload = {
        "action": "created",
        "deployment_status": _status(call, status),
        "deployment": _shape(call, deployment),
        "repository": repository_shape(call.platform, call.repository),
        "sender": person(call.platform, call.user["login"]),
    }
    call.platform.courier.announce(call.name, "deployment_status", payload)


ROUTES = [
    route("POST", "/deployments", _create),
    route("GET", "/deployments", _list),
    route("GET", "/deployments/{deployment_id}", _get),
    route("POST", "/deployments/{deployment_id}/statuses", _create_status),
    route("GET", "/deployments/{deployment_id}/statuses", _list_statuses),
]
