"""Actions at the lab's GitHub: its token, its runs and checks, by plain git and plain HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from infra.lab.sink import Sink, sink
from tests.integration.plain_git import commit, git, new_clone, rest, try_git

WORKFLOW = ".github/workflows/deploy.yml"


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    return clone


@pytest.fixture(name="ear")
def _ear(tmp_path: Path) -> Iterator[Sink]:
    with sink(tmp_path) as ear:
        yield ear


def touch_workflow(clone: Path) -> None:
    """Commit a workflow file."""
    (clone / ".github" / "workflows").mkdir(parents=True, exist_ok=True)
    commit(clone, WORKFLOW)


def test_a_tag_pushed_by_actions_starts_nothing(host: GitHost, name: str, clone: Path, ear: Sink) -> None:
    """Neither the push nor the release of an Actions token is told to anybody; an app's push is."""
    host.add_webhook(name, f"{ear.url}/hook", "whisper")
    actions = host.actions_token()

    git("push", "--quiet", "origin", "main:refs/tags/v1.0.0", at=clone, token=actions)
    rest(host, actions, "POST", f"/repos/{name}/releases", tag_name="v1.0.0").raise_for_status()
    git("push", "--quiet", "origin", "main:refs/tags/v1.0.1", at=clone, token=host.app_token("lab-app"))

    wait_until(lambda: ear.messages(), what="an event", seconds=20, process=ear.process)
    assert [(e["body"]["ref"], e["body"]["sender"]["type"]) for e in ear.messages()] == [("refs/tags/v1.0.1", "Bot")]
    author = rest(host, actions, "GET", f"/repos/{name}/releases/tags/v1.0.0").json()["author"]
    assert (actions[:4], author["login"], author["type"]) == ("ghs_", "github-actions[bot]", "Bot")


def test_a_workflow_file_needs_a_permission_of_its_own(host: GitHost, name: str, clone: Path) -> None:
    """A token without it is refused in the words for its kind, whatever the branch; with it the push arrives."""
    touch_workflow(clone)
    tokens = [host.app_token("lab-app"), host.token("scopeless", workflows=False), host.app_token("other-app")]

    refused = [try_git("push", "origin", "main", "main:topic", at=clone, token=token) for token in tokens[:2]]

    said = [
        f"(refusing to allow a GitHub App to create or update workflow `{WORKFLOW}` without `workflows` permission)",
        "(refusing to allow a Personal Access Token to create or update workflow "
        f"`{WORKFLOW}` without `workflow` scope)",
    ]
    for done, sentence in zip(refused, said, strict=True):
        assert done.returncode != 0
        assert done.stderr.count(f"! [remote rejected] main -> main {sentence}") == 1
    git("push", "--quiet", "origin", "main", at=clone, token=host.app_token("trusted-app", workflows=True))
    git("push", "--quiet", "origin", "main:topic", at=clone, token=tokens[2])
    commit(clone, "harmless")
    git("push", "--quiet", "origin", "main", at=clone, token=tokens[2])


def test_a_merge_of_a_workflow_needs_it_too(host: GitHost, name: str, clone: Path) -> None:
    """A request that brings a workflow file is merged by who pushed it, and not by an app without the permission."""
    ada, app = host.token("ada"), host.app_token("lab-app")
    git("checkout", "--quiet", "-b", "topic", at=clone)
    touch_workflow(clone)
    git("push", "--quiet", "origin", "topic", at=clone, token=ada)
    number = rest(host, ada, "POST", f"/repos/{name}/pulls", title="x", head="topic", base="main").json()["number"]
    path = f"/repos/{name}/pulls/{number}/merge"

    for method in ("merge", "squash", "rebase"):
        refused = rest(host, app, "PUT", path, merge_method=method)
        assert refused.status_code == 403
        assert refused.json()["message"].endswith("without `workflows` permission")
    assert rest(host, ada, "PUT", path).status_code == 200


def test_a_run_is_found_by_its_tag_and_followed_to_its_end(host: GitHost, name: str, clone: Path) -> None:
    """A run of a tag's push has the tag as its branch; it runs until it has a conclusion."""
    token, sha = host.token("reader", write=False), git("rev-parse", "main", at=clone)
    git("push", "--quiet", "origin", "main:refs/tags/v1.0.0", at=clone, token=host.token("ada"))
    path = f"/repos/{name}/actions/runs"
    assert rest(host, token, "GET", path).json() == {"total_count": 0, "workflow_runs": []}

    run = host.start_run(name, "v1.0.0", actor="ada")

    def count(query: str) -> int:
        return int(rest(host, token, "GET", f"{path}?{query}").json()["total_count"])

    queries = ["branch=v1.0.0&event=push", f"head_sha={sha}", "branch=main", "event=schedule", "status=in_progress"]
    assert [count(query) for query in queries] == [1, 1, 0, 0, 1]
    host.finish_run(name, run, "failure")
    seen = rest(host, token, "GET", f"{path}/{run}").json()
    assert (seen["status"], seen["conclusion"], seen["head_branch"]) == ("completed", "failure", "v1.0.0")
    assert rest(host, token, "GET", f"{path}/1").status_code == 404


def test_checks_are_made_by_apps_alone(host: GitHost, name: str, clone: Path) -> None:
    """An app writes and ends a check run, a person may only read; the last one of a name counts."""
    app, sha = host.app_token("lab-app"), git("rev-parse", "main", at=clone)
    path = f"/repos/{name}/check-runs"
    host.set_check(name, "main", "build", "failure")

    made = rest(host, app, "POST", path, name="build", head_sha=sha, status="in_progress")
    refused = rest(host, host.token("ada"), "POST", path, name="build", head_sha=sha)
    rest(host, app, "PATCH", f"{path}/{made.json()['id']}", conclusion="success").raise_for_status()

    assert (made.status_code, refused.status_code) == (201, 403)
    assert refused.json()["message"] == "You must authenticate via a GitHub App."
    listed = rest(host, app, "GET", f"/repos/{name}/commits/main/check-runs").json()
    assert listed["total_count"] == 1
    assert [(run["name"], run["status"], run["conclusion"]) for run in listed["check_runs"]] == [
        ("build", "completed", "success"),
    ]  # fmt: skip
    every = rest(host, app, "GET", f"/repos/{name}/commits/main/check-runs?filter=all").json()
    assert every["total_count"] == 2
