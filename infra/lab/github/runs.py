"""Workflow runs of Actions. The lab's pipeline stands for the work; here is only what GitHub tells of it."""

from typing import Any

from infra.lab.github.answers import Answer, now
from infra.lab.github.people import node_id, person, repository_shape
from infra.lab.github.rest import Call, known, page_of, route
from infra.lab.github.store import Document


def new_run(number: int, sha: str, branch: str, event: str, workflow: str, actor: str) -> dict[str, Any]:
    """The document of a run that is queued. For a tag's push GitHub gives the tag as `head_branch`."""
    return {
        "run_number": number, "head_sha": sha, "head_branch": branch, "event": event, "workflow": workflow,
        "status": "queued", "conclusion": None, "actor": actor, "created_at": now(), "updated_at": now(),
    }  # fmt: skip


def _shape(call: Call, run: Document) -> dict[str, Any]:
    url = f"{call.base}/actions/runs/{run['id']}"
    repository = repository_shape(call.platform, call.repository)
    head = call.bare.commit(run["head_sha"])
    links = ("jobs", "logs", "artifacts", "cancel", "rerun")
    keys = ("id", "head_branch", "head_sha", "run_number", "event", "status", "conclusion", "created_at", "updated_at")
    who = person(call.platform, run["actor"])
    return {
        **{key: run[key] for key in keys},
        **{f"{link}_url": f"{url}/{link}" for link in links},
        "url": url,
        "name": run["workflow"].removesuffix(".yml"),
        "path": f".github/workflows/{run['workflow']}",
        "display_title": head.message.partition("\n")[0],
        "node_id": node_id("WorkflowRun", run["id"]),
        "check_suite_id": run["id"],
        "check_suite_node_id": node_id("CheckSuite", run["id"]),
        "check_suite_url": f"{call.base}/check-suites/{run['id']}",
        "workflow_id": 1,
        "workflow_url": f"{call.base}/actions/workflows/1",
        "html_url": f"{call.html}/actions/runs/{run['id']}",
        "previous_attempt_url": None,
        "pull_requests": [],
        "run_attempt": 1,
        "run_started_at": run["created_at"],
        "actor": who,
        "triggering_actor": who,
        "head_commit": {
            "id": head.sha, "tree_id": head.tree, "message": head.message, "timestamp": head.committer.date,
            "author": {"name": head.author.name, "email": head.author.email},
            "committer": {"name": head.committer.name, "email": head.committer.email},
        },
        "repository": repository,
        "head_repository": repository,
    }  # fmt: skip


def _list(call: Call) -> Answer:
    keys = {"branch": "head_branch", "event": "event", "head_sha": "head_sha", "actor": "actor"}
    asked = {key: call.query[name] for name, key in keys.items() if call.query.get(name)}
    runs = call.platform.store.all("workflow_run", call.name, **asked)[::-1]
    wanted = call.query.get("status")
    found = [run for run in runs if wanted in (None, run["status"], run["conclusion"])]
    return page_of(call, found, lambda run: _shape(call, run), inside="workflow_runs")


def _get(call: Call) -> dict[str, Any]:
    runs = call.platform.store.all("workflow_run", call.name)
    return _shape(call, known(next((run for run in runs if str(run["id"]) == call.path["run_id"]), None)))


ROUTES = [
    route("GET", "/actions/runs", _list),
    route("GET", "/actions/runs/{run_id}", _get),
]
