"""Pull requests of the lab's GitHub: how they are judged and merged, by plain HTTP, against plain git."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.githost import GitHost
from tests.integration.plain_git import commit, git, new_clone, rest
from tests.objections import Objections


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    return clone


def branch(host: GitHost, clone: Path, *files: str, content: str = "x\n") -> str:
    """Push the branch `topic` with one commit per file, and stay on main; returns its head."""
    git("checkout", "--quiet", "-B", "topic", "main", at=clone)
    head = [commit(clone, file, content) for file in files][-1]
    git("push", "--quiet", "--force", "origin", "topic", at=clone, token=host.token("ada"))
    git("checkout", "--quiet", "main", at=clone)
    return head


def call(host: GitHost, name: str, method: str, path: str, user: str = "ada", **body: Any) -> httpx.Response:
    """One call about the repository."""
    return rest(host, host.token(user), method, f"/repos/{name}{path}", **body)


def opened(host: GitHost, name: str, **more: Any) -> int:
    """Open a request of topic into main; returns its number."""
    made = call(host, name, "POST", "/pulls", title="Add it", body="Because.", head="topic", base="main", **more)
    assert made.status_code == 201, made.text
    return int(made.json()["number"])


def state(host: GitHost, name: str, number: int) -> tuple[bool | None, str]:
    """What GitHub says when it has had the time to find out: the second answer counts."""
    pull = [call(host, name, "GET", f"/pulls/{number}").json() for _ in range(2)][-1]
    return pull["mergeable"], pull["mergeable_state"]


def merge(host: GitHost, name: str, number: int, **body: Any) -> tuple[int, str]:
    """Ask for the merge; returns the status and what is said."""
    answer = call(host, name, "PUT", f"/pulls/{number}/merge", **body)
    return answer.status_code, answer.json()["message"]


def test_a_merge_is_a_commit_of_both_with_the_words_asked_for(host: GitHost, name: str, clone: Path) -> None:
    """The commit has both parents, GitHub as its committer, and the title and message that were given."""
    base, head = git("rev-parse", "main", at=clone), branch(host, clone, "one", "two")
    number = opened(host, name)

    answer = call(host, name, "PUT", f"/pulls/{number}/merge", commit_title="Take it", commit_message="All of it")

    sha, bare = answer.json()["sha"], host.bare(name)
    assert git("rev-parse", "main", "main^1", "main^2", at=bare).split() == [sha, base, head]
    assert git("log", "-1", "--format=%B|%an|%cn", sha, at=bare) == "Take it\n\nAll of it|ada|GitHub"
    pull = call(host, name, "GET", f"/pulls/{number}").json()
    assert (pull["merged"], pull["merge_commit_sha"], pull["merged_by"]["login"]) == (True, sha, "ada")
    assert merge(host, name, number) == (405, "Pull Request is not mergeable")


def test_a_squash_is_one_commit_and_a_rebase_as_many_as_before(host: GitHost, name: str, clone: Path) -> None:
    """A squash has one parent and lists the commits; a rebase puts each commit on top again, with its author."""
    branch(host, clone, "one", "two")
    squashed = opened(host, name)
    assert merge(host, name, squashed, merge_method="squash") == (200, "Pull Request successfully merged")
    bare = host.bare(name)
    assert git("log", "-1", "--format=%P|%B", "main", at=bare).split("|")[1] == (
        "Add it (#1)\n\n* Write one\n\n* Write two"
    )
    git("fetch", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    git("reset", "--quiet", "--hard", "FETCH_HEAD", at=clone)
    branch(host, clone, "three", "four")
    commit(clone, "meanwhile")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))

    assert merge(host, name, opened(host, name), merge_method="rebase")[0] == 200

    log = git("log", "-3", "--format=%s by %an, %cn", "main", at=bare).splitlines()
    assert log == ["Write four by Ada, GitHub", "Write three by Ada, GitHub", "Write meanwhile by Ada, Ada"]
    assert git("ls-tree", "--name-only", "main", at=bare).split() == [
        "first", "four", "meanwhile", "one", "three", "two",
    ]  # fmt: skip


def test_only_the_ways_that_a_repository_allows_merge(host: GitHost, name: str, clone: Path) -> None:
    """The others are GitHub's 405, and the repository tells which it allows."""
    branch(host, clone, "one")
    number = opened(host, name)
    host.allow_merges(name, "squash")

    assert merge(host, name, number) == (405, "Merge commits are not allowed on this repository.")
    assert merge(host, name, number, merge_method="rebase") == (
        405,
        "Rebase merges are not allowed on this repository.",
    )
    assert call(host, name, "GET", "").json()["allow_merge_commit"] is False
    assert merge(host, name, number, merge_method="squash")[0] == 200


def test_a_head_that_has_moved_is_not_merged(host: GitHost, name: str, clone: Path) -> None:
    """Who names the commit that was looked at gets a 409 when there is another by now."""
    seen = branch(host, clone, "one")
    number = opened(host, name)
    later = branch(host, clone, "one", "two")

    assert merge(host, name, number, sha=seen) == (409, "Head branch was modified. Review and try the merge again.")
    assert merge(host, name, number, sha=later)[0] == 200


def test_whether_it_can_be_merged_is_unknown_at_first(host: GitHost, name: str, clone: Path) -> None:
    """The first answer after head or base has moved says null and unknown, the next one knows."""
    branch(host, clone, "one")
    made = call(host, name, "POST", "/pulls", title="Add it", head="topic", base="main").json()
    assert (made["mergeable"], made["mergeable_state"]) == (None, "unknown")
    assert state(host, name, 1) == (True, "clean")

    commit(clone, "one", "other\n")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))

    first = call(host, name, "GET", "/pulls/1").json()
    assert (first["mergeable"], first["mergeable_state"]) == (None, "unknown")
    assert state(host, name, 1) == (False, "dirty")
    assert merge(host, name, 1) == (405, "Pull Request is not mergeable")


def test_a_draft_is_ready_only_by_graphql(host: GitHost, name: str, clone: Path, objections: Objections) -> None:
    """REST takes `draft: false` and does nothing; the mutation does it, and then the request can be merged."""
    branch(host, clone, "one")
    number = opened(host, name, draft=True)
    assert state(host, name, number) == (True, "draft")
    assert merge(host, name, number) == (405, "Pull Request is still a draft")
    assert call(host, name, "PATCH", f"/pulls/{number}", draft=False).json()["draft"] is True
    assert objections.take()[0].endswith("pulls/update does not take: it has no `draft` in its body")

    node = call(host, name, "GET", f"/pulls/{number}").json()["node_id"]
    query = (
        "mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id}) { pullRequest { isDraft } } }"
    )
    answers = [_graphql(host, query, id=each) for each in ("nobody", node)]

    assert answers[0]["errors"][0]["type"] == "NOT_FOUND"
    assert answers[1] == {"data": {"markPullRequestReadyForReview": {"pullRequest": {"isDraft": False}}}}
    assert "errors" in _graphql(host, "query { viewer { login } }")
    assert state(host, name, number) == (True, "clean")


def _graphql(host: GitHost, query: str, **variables: str) -> Any:
    headers = {"Authorization": f"Bearer {host.token('ada')}"}
    body = {"query": query, "variables": variables}
    return httpx.post(f"{host.url}/api/graphql", json=body, headers=headers, trust_env=False, timeout=30).json()


def test_a_twin_and_an_empty_request_are_refused(host: GitHost, name: str, clone: Path) -> None:
    """Both are 422 with GitHub's sentence."""
    branch(host, clone, "one")
    opened(host, name)
    git("push", "--quiet", "origin", "main:refs/heads/same", at=clone, token=host.token("ada"))

    refused = [call(host, name, "POST", "/pulls", title="x", head=head, base="main") for head in ("topic", "same")]

    assert [answer.status_code for answer in refused] == [422, 422]
    assert [answer.json()["errors"][0]["message"] for answer in refused] == [
        "A pull request already exists for acme:topic.", "No commits between main and same",
    ]  # fmt: skip


def test_requests_are_found_by_head_base_and_state(host: GitHost, name: str, clone: Path) -> None:
    """The head needs its owner to filter; a closed request is found only when asked for, and can be opened again."""
    branch(host, clone, "one", "two")
    number = opened(host, name)

    def found(query: str) -> int:
        return len(call(host, name, "GET", f"/pulls?{query}").json())

    assert [found(q) for q in ("head=acme:topic", "head=acme:other", "head=other", "base=main", "base=x")] == [
        1, 0, 1, 1, 0,
    ]  # fmt: skip
    changed = call(host, name, "PATCH", f"/pulls/{number}", title="New", body="B", state="closed").json()
    assert (changed["title"], changed["body"], changed["state"]) == ("New", "B", "closed")
    assert [found(q) for q in ("", "state=closed", "state=all")] == [0, 1, 1]
    assert call(host, name, "PATCH", f"/pulls/{number}", state="open").json()["state"] == "open"
    commits = call(host, name, "GET", f"/pulls/{number}/commits").json()
    files = call(host, name, "GET", f"/pulls/{number}/files").json()
    assert [each["commit"]["message"] for each in commits] == ["Write one", "Write two"]
    assert [each["filename"] for each in files] == ["one", "two"]


def test_a_request_can_be_talked_about(host: GitHost, name: str, clone: Path) -> None:
    """Comments, labels and reviews are kept with their authors; nobody approves of their own."""
    branch(host, clone, "one")
    number = opened(host, name)

    assert call(host, name, "POST", f"/issues/{number}/comments", "bob", body="Fine").status_code == 201
    assert call(host, name, "POST", f"/issues/{number}/labels", labels=["revert"]).json()[0]["name"] == "revert"
    own = call(host, name, "POST", f"/pulls/{number}/reviews", event="APPROVE")
    assert (own.status_code, own.json()["errors"]) == (422, ["Can not approve your own pull request"])

    comments = call(host, name, "GET", f"/issues/{number}/comments").json()
    assert [(each["user"]["login"], each["body"]) for each in comments] == [("bob", "Fine")]
    pull = call(host, name, "GET", f"/pulls/{number}").json()
    assert (pull["comments"], [label["name"] for label in pull["labels"]]) == (1, ["revert"])
    assert call(host, name, "GET", "/issues/99/comments").status_code == 404
