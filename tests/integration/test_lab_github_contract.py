"""The lab's GitHub against GitHub's own description of its API, through githubkit.

githubkit's models are generated from that description and are strict: an answer that GitHub could not give does not
pass. A description knows no meanings, though: those are the matter of the other `test_lab_github_*` files.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from githubkit import AppAuthStrategy, GitHub, TokenAuthStrategy
from githubkit.exception import RequestFailed
from githubkit.response import Response

from infra.lab.githost import GitHost
from tests.integration.app_shop import pair
from tests.integration.plain_git import commit, git, new_clone, rest

OWNER, REPO = "acme", "contract"
NAME = f"{OWNER}/{REPO}"
Client = GitHub[TokenAuthStrategy]


@dataclass
class World:
    """A repository with one of everything."""

    host: GitHost
    person: Client
    app: Client
    reader: Client
    head: str
    tag: str
    number: int
    merged: int
    release: int
    deployment: int
    check: int
    run: int


@pytest.fixture(name="world", scope="module")
def _world(host: GitHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    clone = new_clone(host, NAME, tmp_path_factory.mktemp("contract") / "clone")
    git("tag", "--annotate", "-m", "One", "v1.0.0", at=clone)
    for branch in ("topic", "other", "third"):
        git("checkout", "--quiet", "-b", branch, "main", at=clone)
        commit(clone, branch)
    refs = ["main", "topic", "other", "third", "topic:old", "v1.0.0"]
    git("push", "--quiet", "origin", *refs, at=clone, token=host.token("ada"))
    with (
        _client(host, host.token("ada")) as person,
        _client(host, host.app_token("ripcord")) as app,
        _client(host, host.token("reader", write=False)) as reader,
    ):
        yield _filled(host, clone, person, app, reader)


def _filled(host: GitHost, clone: Path, person: Client, app: Client, reader: Client) -> World:
    def post(path: str, **body: Any) -> dict[str, Any]:
        answer = rest(host, host.token("ada"), "POST", f"/repos/{NAME}{path}", **body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    number, merged = (post("/pulls", title="x", head=head, base="main")["number"] for head in ("topic", "other"))
    rest(host, host.token("ada"), "PUT", f"/repos/{NAME}/pulls/{merged}/merge").raise_for_status()
    post(f"/issues/{number}/comments", body="Fine")
    host.approve(NAME, number, "bob")
    release = post("/releases", tag_name="v1.0.0", name="One")["id"]
    deployment = post("/deployments", ref="v1.0.0")["id"]
    post(f"/deployments/{deployment}/statuses", state="success")
    head, tag = git("rev-parse", "topic", "v1.0.0", at=clone).split()
    post(f"/statuses/{head}", state="success", context="ci")
    check, run = host.set_check(NAME, "topic", "build"), host.start_run(NAME, "v1.0.0", actor="ada")
    return World(host, person, app, reader, head, tag, number, merged, release, deployment, check, run)


def _client(host: GitHost, token: str) -> Client:
    return GitHub(token, base_url=host.api_url, http_cache=False, auto_retry=False, trust_env=False)


@dataclass(frozen=True)
class Case:
    """One call, by its name in GitHub's description; `who` makes it."""

    operation: str
    arguments: Callable[[World], dict[str, Any]] = lambda world: {}
    status: int = 200
    who: str = "person"

    def __str__(self) -> str:
        """Its name in a report."""
        return f"{self.operation}-{self.status}"

    def call(self, world: World) -> Response[Any, Any]:
        """Make the call about the repository."""
        part, operation = self.operation.split(".")
        client: Client = getattr(world, self.who)
        where = {} if part == "users" else {"owner": OWNER, "repo": REPO}
        method = getattr(getattr(client.rest, part), operation)
        answer: Response[Any, Any] = method(**(where | self.arguments(world)))
        return answer


def made(**arguments: Any) -> Callable[[World], dict[str, Any]]:
    """Arguments that depend on nothing."""
    return lambda world: arguments


ANSWERS = [
    Case("users.get_authenticated"),
    Case("repos.get"),
    Case("git.get_ref", made(ref="tags/v1.0.0")),
    Case("git.list_matching_refs", made(ref="heads/")),
    Case("git.create_ref", lambda w: {"ref": "refs/heads/fresh", "sha": w.head}, 201),
    Case("git.update_ref", lambda w: {"ref": "heads/third", "sha": w.head, "force": True}),
    Case("git.delete_ref", made(ref="heads/old"), 204),
    Case("git.get_tag", lambda w: {"tag_sha": w.tag}),
    Case("git.get_commit", lambda w: {"commit_sha": w.head}),
    Case("repos.list_commits", made(sha="main")),
    Case("repos.get_commit", made(ref="main")),
    Case("repos.compare_commits", made(basehead="v1.0.0...main")),
    Case("repos.list_branches"),
    Case("repos.get_branch", made(branch="main")),
    Case("repos.get_branch_rules", made(branch="main")),
    Case("repos.list_releases"),
    Case("repos.get_latest_release"),
    Case("repos.get_release_by_tag", made(tag="v1.0.0")),
    Case("repos.get_release", lambda w: {"release_id": w.release}),
    Case("repos.create_release", made(tag_name="v2.0.0", target_commitish="main", make_latest="false"), 201),
    Case("repos.update_release", lambda w: {"release_id": w.release, "body": "Taken back", "make_latest": "legacy"}),
    Case("repos.list_release_assets", lambda w: {"release_id": w.release}),
    Case("repos.create_commit_status", lambda w: {"sha": w.head, "state": "pending", "context": "more"}, 201),
    Case("repos.list_commit_statuses_for_ref", made(ref="topic")),
    Case("repos.get_combined_status_for_ref", made(ref="topic")),
    Case("repos.create_deployment", made(ref="main", auto_merge=False), 201),
    Case("repos.list_deployments"),
    Case("repos.get_deployment", lambda w: {"deployment_id": w.deployment}),
    Case("repos.create_deployment_status", lambda w: {"deployment_id": w.deployment, "state": "failure"}, 201),
    Case("repos.list_deployment_statuses", lambda w: {"deployment_id": w.deployment}),
    Case("repos.list_pull_requests_associated_with_commit", made(commit_sha="topic")),
    Case("pulls.create", made(title="Third", head="third", base="main", draft=True), 201),
    Case("pulls.list", made(state="all", head="acme:topic")),
    Case("pulls.get", lambda w: {"pull_number": w.number}),
    Case("pulls.get", lambda w: {"pull_number": w.merged}),
    Case("pulls.update", lambda w: {"pull_number": w.number, "title": "y", "body": "z"}),
    Case("pulls.list_commits", lambda w: {"pull_number": w.number}),
    Case("pulls.list_files", lambda w: {"pull_number": w.number}),
    Case("pulls.update_branch", lambda w: {"pull_number": w.number, "expected_head_sha": w.head}, 202),
    Case("pulls.check_if_merged", lambda w: {"pull_number": w.merged}, 204),
    Case("pulls.create_review", lambda w: {"pull_number": w.number, "event": "COMMENT", "body": "x"}),
    Case("pulls.list_reviews", lambda w: {"pull_number": w.number}),
    Case("issues.create_comment", lambda w: {"issue_number": w.number, "body": "x"}, 201),
    Case("issues.list_comments", lambda w: {"issue_number": w.number}),
    Case("issues.add_labels", lambda w: {"issue_number": w.number, "labels": ["revert"]}),
    Case("issues.list_labels_on_issue", lambda w: {"issue_number": w.number}),
    Case("checks.create", lambda w: {"name": "lint", "head_sha": w.head, "status": "in_progress"}, 201, "app"),
    Case("checks.get", lambda w: {"check_run_id": w.check}),
    Case("checks.update", lambda w: {"check_run_id": w.check, "conclusion": "failure"}, 200, "app"),
    Case("checks.list_for_ref", made(ref="topic")),
    Case("actions.list_workflow_runs_for_repo", made(branch="v1.0.0", event="push")),
    Case("actions.get_workflow_run", lambda w: {"run_id": w.run}),
    Case("pulls.merge", lambda w: {"pull_number": w.number, "merge_method": "squash"}),
]

REFUSALS = [
    Case("git.get_ref", made(ref="tags/none"), 404),
    Case("git.get_tag", made(tag_sha="0" * 40), 404),
    Case("git.get_commit", made(commit_sha="0" * 40), 404),
    Case("git.create_ref", lambda w: {"ref": "refs/heads/main", "sha": w.head}, 422),
    Case("git.update_ref", lambda w: {"ref": "heads/none", "sha": w.head}, 422),
    Case("git.delete_ref", made(ref="heads/none"), 422),
    Case("repos.get", made(repo="none"), 404),
    Case("repos.get_branch", made(branch="none"), 404),
    Case("repos.get_branch_protection", made(branch="main"), 404),
    Case("repos.get_commit", made(ref="none"), 404),
    Case("repos.compare_commits", made(basehead="main...none"), 404),
    Case("repos.get_release_by_tag", made(tag="none"), 404),
    Case("repos.get_release", made(release_id=1), 404),
    Case("repos.create_release", made(tag_name="v1.0.0"), 422),
    Case("repos.update_release", made(release_id=1, name="x"), 404),
    Case("repos.get_deployment", made(deployment_id=1), 404),
    Case(
        "repos.create_deployment_status", lambda w: {"deployment_id": w.deployment, "state": "success"}, 403, "reader"
    ),
    Case("pulls.create", made(title="x", head="topic", base="main"), 422),
    Case("pulls.create", made(title="x", head="topic", base="main"), 403, "reader"),
    Case("pulls.get", made(pull_number=99), 404),
    Case("pulls.update", lambda w: {"pull_number": w.merged, "state": "open"}, 422),
    Case("pulls.update", lambda w: {"pull_number": w.number, "title": "x"}, 403, "reader"),
    Case("pulls.merge", made(pull_number=99), 404),
    Case("pulls.merge", lambda w: {"pull_number": w.number}, 403, "reader"),
    Case("pulls.merge", lambda w: {"pull_number": w.merged}, 405),
    Case("pulls.merge", lambda w: {"pull_number": w.number, "sha": "0" * 40}, 409),
    Case("pulls.update_branch", lambda w: {"pull_number": w.merged}, 422),
    Case("pulls.create_review", lambda w: {"pull_number": w.number, "event": "APPROVE"}, 422),
    Case("issues.create_comment", made(issue_number=99, body="x"), 404),
    Case("issues.create_comment", lambda w: {"issue_number": w.number, "body": "x"}, 403, "reader"),
]

UNDOCUMENTED = {
    ("git.delete_ref", 422): "only the 409 has a shape there; a ref that is gone is a 422 all the same",
    ("repos.get_release", 404): "it speaks of the 404 and gives it no shape",
    ("repos.create_deployment_status", 403): "no operation of deployments says what a token without rights gets",
}
"""Errors of GitHub's that its description leaves out: only their common shape can be looked at."""


@pytest.mark.parametrize("case", REFUSALS, ids=str)
def test_a_refusal_has_the_shape_that_github_describes(world: World, case: Case) -> None:
    """The status is the one expected, and the body passes the model that the description gives for it."""
    with pytest.raises(RequestFailed) as failed:
        case.call(world)

    response = failed.value.response
    assert response.status_code == case.status, response.text
    body = response.json()
    assert {"message", "documentation_url", "status"} <= body.keys()
    documented = not isinstance(response.parsed_data, dict)
    assert documented == ((case.operation, case.status) not in UNDOCUMENTED)


@pytest.mark.parametrize("case", ANSWERS, ids=str)
def test_an_answer_has_the_shape_that_github_describes(world: World, case: Case) -> None:
    """The status is the documented one, and the body passes the strict model; a 204 has none."""
    response = case.call(world)

    assert response.status_code == case.status
    if case.status == 204:
        assert response.content == b""
    else:
        assert response.parsed_data is not None


def test_rules_have_the_shape_that_github_describes(world: World) -> None:
    """Each kind of rule that a ruleset of the lab can hold passes the model."""
    world.host.protect(NAME, "ruled", ("build",), signatures=True, merge_queue=True, reviews=1, ruleset=True)

    rules = world.person.rest.repos.get_branch_rules(OWNER, REPO, "ruled").parsed_data

    assert {str(rule.type) for rule in rules} >= {"pull_request", "required_status_checks", "merge_queue"}


def test_a_token_of_an_app_is_told_so(world: World) -> None:
    """The user behind it is nobody's business, and neither is a protection: 403, in GitHub's words."""
    for operation in ("users.get_authenticated", "repos.get_branch_protection"):
        arguments = {} if operation.startswith("users") else {"branch": "main"}
        with pytest.raises(RequestFailed) as failed:
            Case(operation, made(**arguments), 403, "app").call(world)
        assert failed.value.response.status_code == 403
        assert failed.value.response.json()["message"] == "Resource not accessible by integration"


def test_an_app_and_its_tokens_have_the_shape_that_github_describes(world: World) -> None:
    """The installation of a repository, a token of it, and what is said to who signs with another key."""
    key, public = pair()
    app = world.host.register_app("described", public)
    number = world.host.install_app(app, OWNER)
    with _app_client(world.host, app, key) as client:
        found = client.rest.apps.get_repo_installation(OWNER, REPO)
        made = client.rest.apps.create_installation_access_token(number)
        with pytest.raises(RequestFailed) as missing:
            client.rest.apps.create_installation_access_token(number + 1000)

        assert (found.parsed_data.id, found.parsed_data.app_slug) == (number, "described")
        assert made.parsed_data.token.startswith("ghs_")
        assert (made.status_code, missing.value.response.status_code) == (201, 404)
        assert not isinstance(missing.value.response.parsed_data, dict)
    other = world.host.register_app("other", public.replace("A", "B", 1))
    with _app_client(world.host, other, key) as client, pytest.raises(RequestFailed) as failed:
        client.rest.apps.create_installation_access_token(number)
    assert failed.value.response.status_code == 401


def _app_client(host: GitHost, app: int, key: str) -> GitHub[AppAuthStrategy]:
    return GitHub(AppAuthStrategy(app, key), base_url=host.api_url, http_cache=False, auto_retry=False, trust_env=False)
