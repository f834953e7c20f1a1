"""Check runs: what apps, Actions among them, say of a commit."""

from typing import Any

from infra.lab.github.answers import Answer, ApiError, now
from infra.lab.github.commits import resolve
from infra.lab.github.people import node_id, person
from infra.lab.github.rest import Call, known, page_of, required, route
from infra.lab.github.store import Document

CONCLUSIONS = ("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale")


def new_check(name: str, sha: str, conclusion: str | None, app: str) -> dict[str, Any]:
    """The document of a check run; without a conclusion it is still running."""
    done = conclusion is not None
    return {
        "name": name, "head_sha": sha, "status": "completed" if done else "in_progress", "conclusion": conclusion,
        "started_at": now(), "completed_at": now() if done else None, "app": app, "external_id": "",
        "details_url": None, "output": {},
    }  # fmt: skip


def _shape(call: Call, run: Document) -> dict[str, Any]:
    url = f"{call.base}/check-runs/{run['id']}"
    html = f"{call.html}/runs/{run['id']}"
    keys = ("id", "name", "head_sha", "status", "conclusion", "started_at", "completed_at", "external_id")
    output = {"title": None, "summary": None, "text": None} | run["output"]
    return {
        "url": url,
        "node_id": node_id("CheckRun", run["id"]),
        "html_url": html,
        "details_url": run["details_url"] or html,
        **{key: run[key] for key in keys},
        "output": output | {"annotations_count": 0, "annotations_url": f"{url}/annotations"},
        "check_suite": {"id": run["id"]},
        "app": _app(call, run["app"]),
        "pull_requests": [],
    }


def _app(call: Call, slug: str) -> dict[str, Any]:
    return {
        "id": 15368, "slug": slug, "node_id": node_id("App", slug), "owner": person(call.platform, "github"),
        "name": slug, "description": "", "external_url": call.platform.url, "permissions": {}, "events": [],
        "html_url": f"{call.platform.url}/apps/{slug}", "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-01T00:00:00Z",
    }  # fmt: skip


def _list(call: Call) -> Answer:
    sha = resolve(call, call.path["ref"])
    runs = call.platform.store.all("check_run", call.name, head_sha=sha)[::-1]
    if call.query.get("filter", "latest") == "latest":
        runs = list({run["name"]: run for run in reversed(runs)}.values())[::-1]
    asked = {"name": call.query.get("check_name"), "status": call.query.get("status")}
    found = [run for run in runs if all(value in (None, run[key]) for key, value in asked.items())]
    return page_of(call, found, lambda run: _shape(call, run), inside="check_runs")


def _create(call: Call) -> Answer:
    _must_be_app(call)
    required(call, "name", "head_sha")
    sha = resolve(call, call.body["head_sha"])
    kept = new_check(call.body["name"], sha, None, call.user["login"].removesuffix("[bot]"))
    run = call.platform.store.add("check_run", call.name, **(kept | _changes(call)))
    return Answer(_shape(call, run), 201)


def _update(call: Call) -> dict[str, Any]:
    _must_be_app(call)
    return _shape(call, call.platform.store.change(_one(call), **_changes(call)))


def _get(call: Call) -> dict[str, Any]:
    return _shape(call, _one(call))


def _one(call: Call) -> Document:
    runs = call.platform.store.all("check_run", call.name)
    return dict(known(next((run for run in runs if str(run["id"]) == call.path["check_run_id"]), None)))


def _changes(call: Call) -> dict[str, Any]:
    keys = ("name", "status", "conclusion", "details_url", "external_id", "output", "started_at", "completed_at")
    given = {key: call.body[key] for key in keys if key in call.body}
    if given.get("conclusion", "success") not in CONCLUSIONS:
        raise ApiError(422, "Invalid request.")
    if "conclusion" in given:
        given = {"completed_at": now()} | given | {"status": "completed"}
    return given


def _must_be_app(call: Call) -> None:
    if call.user.get("account") != "Bot":
        raise ApiError(403, "You must authenticate via a GitHub App.")


ROUTES = [
    route("GET", "/commits/{ref:path}/check-runs", _list),
    route("POST", "/check-runs", _create),
    route("GET", "/check-runs/{check_run_id}", _get),
    route("PATCH", "/check-runs/{check_run_id}", _update),
]
