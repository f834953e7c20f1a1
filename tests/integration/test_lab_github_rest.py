"""The lab's GitHub over its REST API, by plain HTTP and by PyGithub, against plain git."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github import Auth, Github, GithubException, UnknownObjectException
from github.Repository import Repository

from infra.lab.githost import GitHost
from tests.integration.plain_git import commit, git, new_clone, rest

DAYS = [f"2026-01-0{day}T12:00:00+00:00" for day in (1, 2, 3)]


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    for number, day in enumerate(DAYS, start=1):
        commit(clone, f"file-{number}", date=day)
        git("tag", "--annotate", "-m", f"Number {number}", f"v1.{number}.0", at=clone, date=day)
    git("push", "--quiet", "origin", "main", "--tags", at=clone, token=host.token("ada"))
    return clone


@pytest.fixture(name="repository")
def _repository(host: GitHost, name: str, clone: Path) -> Iterator[Repository]:
    at_once = Github(
        base_url=host.api_url, auth=Auth.Token(host.token("ada")), retry=0, per_page=2,
        seconds_between_requests=0, seconds_between_writes=0,
    )  # fmt: skip
    with at_once as client:
        yield client.get_repo(name)


def test_a_client_sees_what_git_has(repository: Repository, clone: Path) -> None:
    """Refs, annotated tags, commits, branches and comparisons are those of the repository itself."""
    head, tag = git("rev-parse", "HEAD", "v1.3.0", at=clone).split()

    ref = repository.get_git_ref("tags/v1.3.0")
    compared = repository.compare("v1.1.0", "main")

    assert (ref.object.type, ref.object.sha) == ("tag", tag)
    assert repository.get_git_tag(tag).object.sha == head
    assert repository.get_git_commit(head).tree.sha == git("rev-parse", "HEAD^{tree}", at=clone)
    assert repository.get_branch("main").commit.sha == head
    assert (compared.status, compared.ahead_by, [f.filename for f in compared.files]) == (
        "ahead", 2, ["file-2", "file-3"],
    )  # fmt: skip
    assert [r.ref for r in repository.get_git_matching_refs("tags/v1")] == [f"refs/tags/v1.{n}.0" for n in (1, 2, 3)]


def test_releases_are_listed_by_the_date_of_their_commit(repository: Repository) -> None:
    """The order of publication does not count; pages are followed to the end."""
    for tag in ("v1.3.0", "v1.1.0", "v1.2.0"):
        repository.create_git_release(tag, tag, "notes")

    assert [r.tag_name for r in repository.get_releases()] == ["v1.3.0", "v1.2.0", "v1.1.0"]
    assert repository.get_release("v1.1.0").created_at.day == 1


def test_the_latest_release_is_the_one_that_was_declared_so(repository: Repository, host: GitHost, name: str) -> None:
    """A new release is the latest unless it says no; drafts and prereleases never are."""
    token, path = host.token("ada"), f"/repos/{name}/releases"

    def latest_after(**release: Any) -> str:
        assert rest(host, token, "POST", path, **release).status_code == 201
        return repository.get_latest_release().tag_name

    assert latest_after(tag_name="v1.2.0") == "v1.2.0"
    assert latest_after(tag_name="v1.3.0", make_latest="false") == "v1.2.0"
    assert latest_after(tag_name="v1.4.0-rc.1", prerelease=True) == "v1.2.0"
    assert latest_after(tag_name="v9.0.0", draft=True) == "v1.2.0"
    assert latest_after(tag_name="v1.1.0") == "v1.1.0"


def test_a_second_release_of_a_tag_is_refused_in_githubs_words(repository: Repository) -> None:
    """The duplicate is a 422 whose error says already_exists on tag_name."""
    repository.create_git_release("v1.1.0", "One", "notes")

    with pytest.raises(GithubException) as refused:
        repository.create_git_release("v1.1.0", "Again", "notes")

    assert refused.value.status == 422
    assert refused.value.data["errors"] == [{"resource": "Release", "field": "tag_name", "code": "already_exists"}]


def test_a_release_makes_the_tag_that_is_missing(repository: Repository, host: GitHost, name: str, clone: Path) -> None:
    """The tag is a lightweight one at target_commitish; a draft makes none."""
    target = git("rev-parse", "v1.2.0^{commit}", at=clone)

    repository.create_git_release("v2.0.0", "Two", "notes", target_commitish=target)
    repository.create_git_release("v3.0.0", "Three", "notes", draft=True)

    assert git("cat-file", "-t", "v2.0.0", at=host.bare(name)) == "commit"
    assert git("rev-parse", "v2.0.0", at=host.bare(name)) == target
    assert git("tag", "--list", "v3.0.0", at=host.bare(name)) == ""


def test_a_release_can_be_annotated_later(repository: Repository) -> None:
    """An update keeps what it does not mention."""
    release = repository.create_git_release("v1.1.0", "One", "notes")

    release.update_release("One (withdrawn)", "taken back")

    kept = repository.get_release("v1.1.0")
    assert (kept.name, kept.body, kept.published_at) == ("One (withdrawn)", "taken back", release.published_at)


def test_the_last_status_of_each_context_decides(repository: Repository) -> None:
    """The combined status is a failure while any context's last word is one."""
    head = repository.get_branch("main").commit
    for state, context in (("failure", "ci/deploy"), ("success", "ci/test")):
        head.create_status(state, "http://127.0.0.1/log", "said", context)
    assert head.get_combined_status().state == "failure"

    head.create_status("success", "http://127.0.0.1/log", "said", "ci/deploy")

    combined = head.get_combined_status()
    assert (combined.state, combined.total_count) == ("success", 2)
    assert len(list(head.get_statuses())) == 3


def test_a_deployment_that_succeeds_retires_the_one_before(repository: Repository) -> None:
    """In one environment only the last success is active, as GitHub shows it."""
    first, second = (repository.create_deployment(tag) for tag in ("v1.1.0", "v1.2.0"))
    for deployment in (first, second):
        deployment.create_status("in_progress")
        deployment.create_status("success", target_url="http://127.0.0.1/log")

    states = [[status.state for status in d.get_statuses()] for d in repository.get_deployments()]
    assert states == [["success", "in_progress"], ["inactive", "success", "in_progress"]]


def test_a_ref_made_by_the_api_is_there_and_made_once(
    repository: Repository, host: GitHost, name: str, clone: Path
) -> None:
    """The second creation is GitHub's 422, and the ref stays where it was."""
    one, two = git("rev-parse", "v1.1.0^{commit}", "v1.2.0^{commit}", at=clone).split()
    repository.create_git_ref("refs/tags/v1.1.1", one)

    with pytest.raises(GithubException, match="Reference already exists"):
        repository.create_git_ref("refs/tags/v1.1.1", two)

    assert git("rev-parse", "refs/tags/v1.1.1", at=host.bare(name)) == one


def test_a_pull_request_is_merged_by_the_push_of_its_merge(
    repository: Repository, host: GitHost, name: str, clone: Path
) -> None:
    """Whoever merges by hand and pushes finds the request merged, by the commit that did it."""
    token = host.token("ada")
    git("checkout", "--quiet", "-b", "feature/x", at=clone)
    commit(clone, "x")
    git("push", "--quiet", "origin", "feature/x", at=clone, token=token)
    pull = repository.create_pull("main", "feature/x", title="Add x")
    assert (pull.merged, pull.commits, pull.changed_files) == (False, 1, 1)

    git("checkout", "--quiet", "main", at=clone)
    git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #1", "feature/x", at=clone)
    git("push", "--quiet", "origin", "main", ":feature/x", at=clone, token=token)

    merged = repository.get_pull(pull.number)
    assert (merged.state, merged.merged) == ("closed", True)
    assert merged.merge_commit_sha == git("rev-parse", "HEAD", at=clone)


def test_errors_are_githubs(repository: Repository, host: GitHost, name: str) -> None:
    """401 for a bad token, 403 for a reader's write, 404 for what is not there."""
    reader = host.token("reader", write=False)

    assert rest(host, "ghp_wrong", "GET", f"/repos/{name}").json()["message"] == "Bad credentials"
    assert rest(host, reader, "POST", f"/repos/{name}/releases", tag_name="v1.1.0").status_code == 403
    assert rest(host, reader, "GET", f"/repos/{name}/releases").json() == []
    assert rest(host, reader, "GET", "/repos/acme/nothing").json()["message"] == "Not Found"
    with pytest.raises(UnknownObjectException):
        repository.get_release("v9.9.9")
    with pytest.raises(UnknownObjectException):
        repository.get_git_ref("tags/v9.9.9")
