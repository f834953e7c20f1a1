"""How long a text the lab's GitHub takes: as long as GitHub, and no character more."""

from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from tests.integration.plain_git import commit, git, new_clone, rest

TITLE, BODY, NOTES = ("Issue", "title", 256), ("Issue", "body", 65_536), ("Release", "body", 125_000)
DESCRIPTION, CONTEXT = ("Status", "description", 140), ("Status", "context", 255)


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    """With an open pull request, a Release and a deployment."""
    clone, token = new_clone(host, name, tmp_path / "clone"), host.token("ada")
    git("checkout", "--quiet", "-b", "topic", at=clone)
    commit(clone, "new")
    git("push", "--quiet", "origin", "main", "topic", "main:refs/heads/other", at=clone, token=token)
    for path, body in (
        ("/pulls", {"title": "x", "head": "topic", "base": "main"}),
        ("/releases", {"tag_name": "v1.0.0"}),
        ("/deployments", {"ref": "main"}),
    ):
        rest(host, token, "POST", f"/repos/{name}{path}", **body).raise_for_status()
    return clone


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/pulls", TITLE),
        ("POST", "/pulls", BODY),
        ("PATCH", "/pulls/1", TITLE),
        ("PATCH", "/pulls/1", BODY),
        ("POST", "/releases", NOTES),
        ("PATCH", "/releases/{release}", NOTES),
        ("POST", "/statuses/{sha}", DESCRIPTION),
        ("POST", "/statuses/{sha}", CONTEXT),
        ("POST", "/deployments/{deployment}/statuses", ("DeploymentStatus", "description", 140)),
    ],
    ids=["title", "body", "new-title", "new-body", "notes", "new-notes", "description", "context", "deployed"],
)
def test_a_text_may_be_so_long_and_no_longer(
    host: GitHost, name: str, clone: Path, method: str, path: str, limit: tuple[str, str, int]
) -> None:
    """Characters count, not bytes; one more is a 422 that names the field, and nothing has changed."""
    (resource, field, longest), token, base = limit, host.token("ada"), f"/repos/{name}"
    release = rest(host, token, "GET", f"{base}/releases").json()[0]["id"]
    deployment = rest(host, token, "GET", f"{base}/deployments").json()[0]["id"]
    place = base + path.format(release=release, deployment=deployment, sha=git("rev-parse", "main", at=clone))
    needed = {"/pulls": {"title": "x", "head": "topic", "base": "other"}, "/releases": {"tag_name": "v2.0.0"}}
    body = needed.get(path, {"state": "success"} if path.endswith(("{sha}", "statuses")) else {})

    refused = rest(host, token, method, place, **body | {field: "ä" * (longest + 1)})
    taken = rest(host, token, method, place, **body | {field: "ä" * longest})

    said = f"{field} is too long (maximum is {longest} characters)"
    assert refused.status_code == 422
    assert refused.json()["message"] == "Validation Failed"
    assert refused.json()["errors"] == [{"resource": resource, "field": field, "code": "custom", "message": said}]
    assert taken.json()[field] == "ä" * longest


def test_a_comment_may_be_so_long_and_no_longer(host: GitHost, name: str, clone: Path) -> None:
    """The 422 of a comment has words of its own."""
    place, token = f"/repos/{name}/issues/1/comments", host.token("ada")

    refused = rest(host, token, "POST", place, body="x" * 65_537)
    taken = rest(host, token, "POST", place, body="x" * 65_536)

    said = "Body is too long (maximum is 65536 characters)"
    assert refused.json()["errors"] == [
        {"resource": "IssueComment", "code": "unprocessable", "field": "data", "message": said}
    ]
    assert (refused.status_code, taken.status_code) == (422, 201)
