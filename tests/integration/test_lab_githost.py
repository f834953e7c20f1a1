"""The lab's Git host over plain git: tokens, pushes, fetches, and what survives its death."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from infra.lab.githost import GitHost
from tests.integration.plain_git import commit, git, new_clone, rest, try_git

REPOSITORY = "acme/shop"
NOBODY_SEES = "ghp_wrong"


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    return new_clone(host, name, tmp_path / "clone")


def test_what_is_pushed_is_in_the_bare_repository_and_in_a_fresh_clone(
    host: GitHost, name: str, clone: Path, tmp_path: Path
) -> None:
    """A push with a token arrives byte by byte, and anybody with a token can clone it."""
    token = host.token("ada")
    head = git("rev-parse", "HEAD", at=clone)

    git("push", "--quiet", "origin", "main", at=clone, token=token)
    git("clone", "--quiet", host.clone_url(name), "copy", at=tmp_path, token=host.token("reader", write=False))

    assert git("rev-parse", "refs/heads/main", at=host.bare(name)) == head
    assert git("rev-parse", "HEAD", at=tmp_path / "copy") == head


def test_a_wrong_token_is_let_in_nowhere(host: GitHost, name: str, clone: Path) -> None:
    """Neither reading nor writing works with a token that nobody was given, or with none."""
    for token in (NOBODY_SEES, ""):
        assert try_git("ls-remote", "origin", at=clone, token=token).returncode != 0
        assert try_git("push", "origin", "main", at=clone, token=token).returncode != 0

    assert git("for-each-ref", at=host.bare(name)) == ""


def test_a_reader_may_fetch_and_not_push(host: GitHost, name: str, clone: Path) -> None:
    """A read-only token's push is refused with GitHub's 403, and nothing moves."""
    reader = host.token("reader", write=False)

    assert git("ls-remote", "origin", at=clone, token=reader) == ""
    refused = try_git("push", "origin", "main", at=clone, token=reader)

    assert refused.returncode != 0
    assert "403" in refused.stderr
    assert git("for-each-ref", at=host.bare(name)) == ""


def test_an_atomic_push_moves_nothing_when_its_tag_exists(host: GitHost, name: str, clone: Path) -> None:
    """With a must-not-exist lease on a tag that is there, main stays where it was; with a new tag both arrive."""
    token, bare = host.token("ada"), host.bare(name)
    before = git("rev-parse", "HEAD", at=clone)
    git("push", "--quiet", "origin", "main", "main:refs/tags/v1.0.1", at=clone, token=token)
    after = commit(clone, "second")

    def push(tag: str) -> int:
        lease = ["--atomic", f"--force-with-lease=refs/tags/{tag}:"]
        refs = ["HEAD:refs/heads/main", f"HEAD:refs/tags/{tag}"]
        return try_git("push", *lease, "origin", *refs, at=clone, token=token).returncode

    assert push("v1.0.1") != 0
    assert git("rev-parse", "refs/heads/main", at=bare) == before
    assert push("v1.0.2") == 0
    assert git("rev-parse", "refs/heads/main", "refs/tags/v1.0.2", at=bare).split() == [after, after]


def test_a_blobless_bare_clone_of_one_tip_brings_no_blobs(
    host: GitHost, name: str, clone: Path, tmp_path: Path
) -> None:
    """Partial clones work, and a single object can be asked for by its id."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    head = git("rev-parse", "HEAD", at=clone)
    git("init", "--quiet", "--bare", "bare", at=tmp_path)

    fetch = ["fetch", "--quiet", "--depth=1", "--filter=blob:none", host.clone_url(name), head]
    git(*fetch, at=tmp_path / "bare", token=token)

    packed = git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)", at=tmp_path / "bare").split()
    assert sorted(packed) == ["commit", "tree"]


def test_a_push_of_many_megabytes_streams_through(host: GitHost, name: str, clone: Path) -> None:
    """A body that git sends in chunks, larger than any buffer on the way, arrives whole."""
    (clone / "large").write_bytes(bytes(range(256)) * 4 + os.urandom(8_000_000))
    git("add", "large", at=clone)
    git("commit", "--quiet", "-m", "Large", at=clone)

    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))

    git("fsck", "--strict", at=host.bare(name))
    blobs = [git("rev-parse", "main:large", at=place) for place in (clone, host.bare(name))]
    assert blobs[0] == blobs[1]


def test_fifty_at_once_are_all_served(host: GitHost, name: str, clone: Path) -> None:
    """A crowd of clones, as the pods of a whole build farm make it, gets fifty answers."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main", at=clone, token=token)

    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda _: git("ls-remote", "origin", at=clone, token=token), range(50)))

    assert len(set(answers)) == 1
    assert answers[0].endswith("refs/heads/main")


def test_everything_survives_the_death_of_the_server(host: GitHost, name: str, clone: Path) -> None:
    """After SIGKILL and a restart on the same port refs, releases, statuses and tokens are as they were."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    sha = git("rev-parse", "HEAD", at=clone)
    rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v1.0.0", name="One").raise_for_status()
    rest(host, token, "POST", f"/repos/{name}/statuses/{sha}", state="success").raise_for_status()
    paths = [f"/repos/{name}/{path}" for path in ("releases/latest", f"commits/{sha}/status", "git/ref/heads/main")]
    before = [rest(host, token, "GET", path).json() for path in paths]

    host.process.kill()
    host.restart()

    assert [rest(host, token, "GET", path).json() for path in paths] == before
    assert git("ls-remote", "origin", "refs/heads/main", at=clone, token=token).split()[0] == sha


def test_a_fault_hits_as_often_as_it_was_told_to(host: GitHost, name: str) -> None:
    """Calls that fit fail with the status asked for, others do not, and the next ones are well again."""
    host.create_repository(name)
    token = host.token("ada")
    host.break_calls({"method": "GET", "path": f"{name}/releases$", "times": 2, "status": 503})

    seen = [rest(host, token, "GET", f"/repos/{name}/{what}").status_code for what in ("releases", "branches")]
    seen += [rest(host, token, "GET", f"/repos/{name}/releases").status_code for _ in range(2)]

    assert seen == [503, 200, 503, 200]


def test_a_lost_answer_leaves_its_effect(host: GitHost, name: str, clone: Path) -> None:
    """With `after_effect` the caller sees a 502 and the release is there all the same; so is a push."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    lost = {"status": 502, "after_effect": True, "method": "POST"}
    host.break_calls({"path": f"{name}/releases", **lost}, {"path": f"{name}.git/git-receive-pack", **lost})

    made = rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v1.0.0")
    later = commit(clone, "later")
    pushed = try_git("push", "origin", "main", at=clone, token=token)

    assert made.status_code == 502
    assert rest(host, token, "GET", f"/repos/{name}/releases/tags/v1.0.0").status_code == 200
    assert pushed.returncode != 0
    assert git("rev-parse", "refs/heads/main", at=host.bare(name)) == later


def test_the_log_tells_who_asked_for_what_and_no_token(host: GitHost, name: str, clone: Path) -> None:
    """Every call is listed with method, path, status and user; no token is anywhere in it."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    rest(host, NOBODY_SEES, "GET", f"/repos/{name}")

    answer = httpx.get(f"{host.url}/_lab/requests", trust_env=False)
    seen = {(r["method"], r["path"], r["status"], r["user"]) for r in answer.json()}

    assert ("POST", f"/{name}.git/git-receive-pack", 200, "ada") in seen
    assert ("GET", f"/api/v3/repos/{name}", 401, None) in seen
    assert token not in answer.text
    assert NOBODY_SEES not in answer.text
