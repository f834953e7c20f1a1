"""Every operation of the lab's GitHub at least once, as it goes well and as it is refused.

Each test fails when a request or an answer is not as GitHub describes it: see `tests/conftest.py`. A description knows
no meanings, though: those are the matter of the other `test_lab_github_*` files.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.githost import GitHost
from infra.lab.github.application import RESOURCES
from tests.integration.plain_git import commit, git, new_clone, rest

NAME = "acme/contract"
NOBODY = "0" * 40


@dataclass(frozen=True)
class World:
    """What a repository with one of everything has, for the paths and bodies of the cases."""

    head: str
    tag: str
    number: int
    merged: int
    release: int
    deployment: int
    check: int
    run: int
    asset: int
    delivery: int


@pytest.fixture(name="world", scope="module")
def _world(host: GitHost, tmp_path_factory: pytest.TempPathFactory) -> World:
    clone = new_clone(host, NAME, tmp_path_factory.mktemp("contract") / "clone")
    git("tag", "--annotate", "-m", "One", "v1.0.0", at=clone)
    for branch in ("topic", "other", "third"):
        git("checkout", "--quiet", "-b", branch, "main", at=clone)
        commit(clone, branch)
    refs = ["main", "topic", "other", "third", "topic:old", "v1.0.0"]
    host.create_repository(NAME)
    host.add_webhook(NAME, "http://127.0.0.1:9/", "secret")
    git("push", "--quiet", "origin", *refs, at=clone, token=host.token("ada"))
    return _filled(host, clone)


def _filled(host: GitHost, clone: Path) -> World:
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
    asset = upload(host, release, "shop.tgz").json()["id"]
    delivery = next(each["id"] for each in host.deliveries() if each["of"] == NAME)  # other tests' are there, too
    return World(head, tag, number, merged, release, deployment, check, run, asset, delivery)


def upload(host: GitHost, release: int, name: str) -> httpx.Response:
    """Add a file to a Release, at the address of its own that this has."""
    url = f"{host.url}/api/uploads/repos/{NAME}/releases/{release}/assets?name={name}"
    headers = {"Authorization": f"Bearer {host.token('ada')}", "Content-Type": "application/gzip"}
    return httpx.post(url, content=b"file", headers=headers, trust_env=False)


@dataclass(frozen=True)
class Case:
    """One call below the repository's address; `{names}` in it are the world's, and `who` makes it."""

    method: str
    path: str
    status: int = 200
    body: tuple[tuple[str, Any], ...] = ()
    who: str = "person"

    def __str__(self) -> str:
        """Its name in a report."""
        return f"{self.method}-{self.path}-{self.status}"

    def call(self, host: GitHost, world: World) -> httpx.Response:
        """Make the call."""
        tokens = {
            "person": host.token("ada"),
            "app": host.app_token("ripcord"),
            "reader": host.token("reader", write=False),
        }
        body = {key: each.format(**asdict(world)) if isinstance(each, str) else each for key, each in self.body}
        return rest(
            host, tokens[self.who], self.method, self.path.format(repo=f"/repos/{NAME}", **asdict(world)), **body
        )


def case(method: str, path: str, status: int = 200, who: str = "person", /, **body: Any) -> Case:
    """A call about the repository, or one from its root where the path says so."""
    return Case(method, path if path.startswith("/user") else f"{{repo}}{path}", status, tuple(body.items()), who)


ANSWERS = [
    case("GET", "/user"),
    case("GET", ""),
    case("GET", "/git/ref/tags/v1.0.0"),
    case("GET", "/git/refs/heads/main"),
    case("GET", "/git/matching-refs/heads/"),
    case("POST", "/git/refs", 201, ref="refs/heads/fresh", sha="{head}"),
    case("PATCH", "/git/refs/heads/third", sha="{head}", force=True),
    case("DELETE", "/git/refs/heads/old", 204),
    case("GET", "/git/tags/{tag}"),
    case("GET", "/git/commits/{head}"),
    case("GET", "/commits?sha=main"),
    case("GET", "/commits/main"),
    case("GET", "/compare/v1.0.0...main"),
    case("GET", "/branches"),
    case("GET", "/branches/main"),
    case("GET", "/rules/branches/main"),
    case("GET", "/releases"),
    case("GET", "/releases/latest"),
    case("GET", "/releases/tags/v1.0.0"),
    case("GET", "/releases/{release}"),
    case("POST", "/releases", 201, tag_name="v2.0.0", target_commitish="main", make_latest="false"),
    case("PATCH", "/releases/{release}", body="Taken back", make_latest="legacy"),
    case("GET", "/releases/{release}/assets"),
    case("DELETE", "/releases/assets/{asset}", 204),
    case("POST", "/statuses/{head}", 201, state="pending", context="more"),
    case("GET", "/commits/topic/statuses"),
    case("GET", "/statuses/topic"),
    case("GET", "/commits/topic/status"),
    case("POST", "/deployments", 201, ref="main", auto_merge=False),
    case("GET", "/deployments"),
    case("GET", "/deployments/{deployment}"),
    case("POST", "/deployments/{deployment}/statuses", 201, state="failure"),
    case("GET", "/deployments/{deployment}/statuses"),
    case("GET", "/commits/topic/pulls"),
    case("POST", "/pulls", 201, title="Third", head="third", base="main", draft=True),
    case("GET", "/pulls?state=all&head=acme:topic"),
    case("GET", "/pulls/{number}"),
    case("GET", "/pulls/{merged}"),
    case("PATCH", "/pulls/{number}", title="y", body="z"),
    case("GET", "/pulls/{number}/commits"),
    case("GET", "/pulls/{number}/files"),
    case("PUT", "/pulls/{number}/update-branch", 202, expected_head_sha="{head}"),
    case("GET", "/pulls/{merged}/merge", 204),
    case("POST", "/pulls/{number}/reviews", event="COMMENT", body="x"),
    case("GET", "/pulls/{number}/reviews"),
    case("POST", "/issues/{number}/comments", 201, body="x"),
    case("GET", "/issues/{number}/comments"),
    case("POST", "/issues/{number}/labels", labels=["revert"]),
    case("GET", "/issues/{number}/labels"),
    case("POST", "/check-runs", 201, "app", name="lint", head_sha="{head}", status="in_progress"),
    case("GET", "/check-runs/{check}"),
    case("PATCH", "/check-runs/{check}", 200, "app", conclusion="failure"),
    case("GET", "/commits/topic/check-runs"),
    case("GET", "/actions/runs?branch=v1.0.0&event=push"),
    case("GET", "/actions/runs/{run}"),
    case("POST", "/hooks/1/deliveries/{delivery}/attempts", 202),
    case("PUT", "/pulls/{number}/merge", merge_method="squash"),
    case("DELETE", "/releases/{release}", 204),
]

REFUSALS = [
    case("GET", "/user", 403, "app"),
    case("GET", "/git/ref/tags/none", 404),
    case("GET", f"/git/tags/{NOBODY}", 404),
    case("GET", f"/git/commits/{NOBODY}", 404),
    case("POST", "/git/refs", 422, ref="refs/heads/main", sha="{head}"),
    case("PATCH", "/git/refs/heads/none", 422, sha="{head}"),
    case("DELETE", "/git/refs/heads/none", 422),
    case("GET", "/branches/none", 404),
    case("GET", "/branches/main/protection", 404),
    case("GET", "/branches/main/protection", 403, "app"),
    case("GET", "/commits/none", 404),
    case("GET", "/compare/main...none", 404),
    case("GET", "/releases/tags/none", 404),
    case("GET", "/releases/1", 404),
    case("POST", "/releases", 422, tag_name="v1.0.0"),
    case("PATCH", "/releases/1", 404, name="x"),
    case("GET", "/deployments/1", 404),
    case("POST", "/deployments/{deployment}/statuses", 403, "reader", state="success"),
    case("POST", "/pulls", 422, title="x", head="topic", base="main"),
    case("POST", "/pulls", 403, "reader", title="x", head="topic", base="main"),
    case("GET", "/pulls/99", 404),
    case("PATCH", "/pulls/{merged}", 422, state="open"),
    case("PATCH", "/pulls/{number}", 403, "reader", title="x"),
    case("PUT", "/pulls/99/merge", 404),
    case("PUT", "/pulls/{number}/merge", 403, "reader"),
    case("PUT", "/pulls/{merged}/merge", 405),
    case("PUT", "/pulls/{number}/merge", 409, sha=NOBODY),
    case("PUT", "/pulls/{merged}/update-branch", 422),
    case("POST", "/pulls/{number}/reviews", 422, event="APPROVE"),
    case("POST", "/issues/99/comments", 404, body="x"),
    case("POST", "/issues/{number}/comments", 403, "reader", body="x"),
]


@pytest.mark.parametrize("each", REFUSALS, ids=str)
def test_a_refusal_is_as_github_describes_it(host: GitHost, world: World, each: Case) -> None:
    """The status is the one expected, and the body has what every refusal of GitHub's has."""
    response = each.call(host, world)

    assert response.status_code == each.status, response.text
    assert {"message", "documentation_url", "status"} <= response.json().keys()


@pytest.mark.parametrize("each", ANSWERS, ids=str)
def test_an_answer_is_as_github_describes_it(host: GitHost, world: World, each: Case) -> None:
    """The status is the documented one."""
    response = each.call(host, world)

    assert response.status_code == each.status, response.text


def test_each_operation_is_among_them() -> None:
    """None is added to the lab without its call here; files are added at an address of their own."""
    calls = [(each.method, each.path.format_map(_Anything())) for each in ANSWERS]
    routes = [route for part in RESOURCES for route in part.ROUTES]

    missing = [
        f"{method} {route.path}"
        for route in routes
        for method in route.methods - {"HEAD"}
        if not any(method == made and route.path_regex.match(path.partition("?")[0]) for made, path in calls)
    ]
    assert missing == ["GET /api/v3/repos/{owner}/{repo}/branches/{branch:path}/protection"]  # it is always refused


class _Anything(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"/api/v3/repos/{NAME}" if name == "repo" else "1"


def test_rules_are_as_github_describes_them(host: GitHost, world: World) -> None:
    """Each kind of rule that a ruleset of the lab can hold."""
    host.protect(NAME, "ruled", ("build",), signatures=True, merge_queue=True, reviews=1, ruleset=True)

    rules = rest(host, host.token("ada"), "GET", f"/repos/{NAME}/rules/branches/ruled").json()

    assert {rule["type"] for rule in rules} >= {"pull_request", "required_status_checks", "merge_queue"}


def test_a_token_of_an_app_is_told_so(host: GitHost, world: World) -> None:
    """The user behind it is nobody's business, and neither is a protection: 403, in GitHub's words."""
    for path in ("/user", "/branches/main/protection"):
        response = case("GET", path, 403, "app").call(host, world)
        assert response.status_code == 403
        assert response.json()["message"] == "Resource not accessible by integration"
