"""Protected branches of the lab's GitHub: what is refused to a push, to the API, to a merge, and in which words."""

import subprocess
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from tests.integration.plain_git import commit, git, new_clone, rest, try_git
from tests.integration.test_lab_github_pulls import branch, call, merge, opened, state


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    return clone


def pushed(host: GitHost, clone: Path, *what: str) -> tuple[int, list[str]]:
    """Push; returns the exit status and what the remote said."""
    done = try_git("push", *what, at=clone, token=host.token("ada"))
    said = [line.removeprefix("remote:").strip() for line in done.stderr.splitlines() if line.startswith("remote:")]
    refusals = [" ".join(line.split()) for line in done.stderr.splitlines() if "rejected]" in line]
    return done.returncode, [*said, *refusals]


def test_a_push_to_a_protected_branch_is_declined_in_githubs_words(host: GitHost, name: str, clone: Path) -> None:
    """GH006, each broken rule on a line of its own, and the branch stays; other branches are free."""
    before = git("rev-parse", "main", at=clone)
    host.protect(name, "main", ("build", "test"), signatures=True, merge_queue=True)
    commit(clone, "later")

    status, said = pushed(host, clone, "origin", "main", "main:refs/heads/free")

    assert status == 1
    assert said == [
        "error: GH006: Protected branch update failed for refs/heads/main.", "",
        "- Changes must be made through the merge queue", "",
        "- Changes must be made through a pull request.", "",
        "- 2 of 2 required status checks are expected.", "",
        "- Commits must have verified signatures.", "",
        "! [remote rejected] main -> main (protected branch hook declined)",
    ]  # fmt: skip
    assert git("rev-parse", "main", at=host.bare(name)) == before
    assert git("rev-parse", "free", at=host.bare(name)) == git("rev-parse", "main", at=clone)


def test_an_atomic_push_moves_nothing_when_one_ref_is_protected(host: GitHost, name: str, clone: Path) -> None:
    """The tag that would have been free does not arrive either; without --atomic it does."""
    host.protect(name, "main")
    commit(clone, "later")

    status, said = pushed(host, clone, "--atomic", "origin", "main", "main:refs/tags/v1.0.1")

    assert status == 1
    assert "! [remote rejected] main -> main (protected branch hook declined)" in said
    assert git("tag", "--list", at=host.bare(name)) == ""
    assert pushed(host, clone, "origin", "main", "main:refs/tags/v1.0.1")[0] == 1
    assert git("tag", "--list", at=host.bare(name)) == "v1.0.1"


def test_a_ruleset_declines_with_a_code_of_its_own(host: GitHost, name: str, clone: Path) -> None:
    """GH013 with the address of the rules, and the unsigned commits by name."""
    host.protect(name, "main", ("build",), signatures=True, ruleset=True)
    sha = commit(clone, "later")

    status, said = pushed(host, clone, "origin", "main")

    assert status == 1
    assert said[:3] == [
        "error: GH013: Repository rule violations found for refs/heads/main.",
        f"Review all repository rules at {host.url}/{name}/rules?ref=refs%2Fheads%2Fmain",
        "",
    ]
    assert '- Required status check "build" is expected.' in said
    assert said[-5:] == [
        "Found 1 violation:", "", sha, "",
        "! [remote rejected] main -> main (push declined due to repository rule violations)",
    ]  # fmt: skip


def test_history_is_not_rewritten_on_a_protected_branch(host: GitHost, name: str, clone: Path) -> None:
    """A forced push and a deletion are declined whatever else is asked for."""
    commit(clone, "later")
    assert pushed(host, clone, "origin", "main")[0] == 0
    host.protect(name, "main", pull_request=False)

    forced = pushed(host, clone, "--force", "origin", "main~1:main")
    deleted = pushed(host, clone, "origin", ":main")

    assert (forced[0], "- Cannot force-push to this branch" in forced[1]) == (1, True)
    assert (deleted[0], "- Cannot delete this branch" in deleted[1]) == (1, True)
    commit(clone, "last")
    assert pushed(host, clone, "origin", "main")[0] == 0


def test_a_checked_and_signed_commit_may_be_pushed(host: GitHost, name: str, clone: Path, tmp_path: Path) -> None:
    """Where no pull request is asked for, a commit with a registered signature and a passed check arrives."""
    host.protect(name, "main", ("build",), signatures=True, pull_request=False)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    git("config", "gpg.format", "ssh", at=clone)
    git("config", "user.signingkey", str(key), at=clone)
    git("commit", "--quiet", "--allow-empty", "-S", "-m", "Signed", at=clone)
    head = git("rev-parse", "HEAD", at=clone)
    git("push", "--quiet", "origin", "main:refs/heads/topic", at=clone, token=host.token("ada"))

    assert pushed(host, clone, "origin", "main")[0] == 1
    host.trust_key(Path(f"{key}.pub").read_text())
    assert "- Commits must have verified signatures." not in pushed(host, clone, "origin", "main")[1]
    host.set_check(name, "topic", "build")
    assert pushed(host, clone, "origin", "main")[0] == 0

    seen = call(host, name, "GET", f"/git/commits/{head}").json()["verification"]
    assert (seen["verified"], seen["reason"]) == (True, "valid")


def test_the_api_obeys_the_same_rules(host: GitHost, name: str, clone: Path) -> None:
    """A ref of a protected branch is not moved by REST: 422 in the words of the kind of rule."""
    git("push", "--quiet", "origin", "main:refs/heads/free", at=clone, token=host.token("ada"))
    sha = branch(host, clone, "one")
    said = []
    for ruleset in (False, True):
        host.protect(name, "main", ruleset=ruleset)
        refused = call(host, name, "PATCH", "/git/refs/heads/main", sha=sha)
        said.append((refused.status_code, refused.json()["message"]))

    assert said == [
        (422, "Changes must be made through a pull request."),
        (422, "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"),
    ]
    assert call(host, name, "PATCH", "/git/refs/heads/free", sha=sha).json()["object"]["sha"] == sha
    back = call(host, name, "PATCH", "/git/refs/heads/free", sha=git("rev-parse", "main", at=clone))
    assert (back.status_code, back.json()["message"]) == (422, "Update is not a fast forward")
    assert call(host, name, "DELETE", "/git/refs/heads/free").status_code == 204
    assert call(host, name, "DELETE", "/git/refs/heads/free").json()["message"] == "Reference does not exist"


def test_a_request_is_blocked_until_its_rules_are_met(host: GitHost, name: str, clone: Path) -> None:
    """First a review is missing, then a check, then nothing; each refusal says what is missing."""
    branch(host, clone, "one")
    number = opened(host, name)
    host.protect(name, "main", ("build",), reviews=1)

    assert state(host, name, number) == (True, "blocked")
    assert merge(host, name, number) == (
        405,
        "At least 1 approving review is required by reviewers with write access. "
        'Required status check "build" is expected.',
    )
    host.approve(name, number, "bob")
    host.set_check(name, "topic", "build", None)
    assert merge(host, name, number) == (405, 'Required status check "build" is in progress.')
    host.set_check(name, "topic", "build", "failure")
    assert merge(host, name, number) == (405, 'Required status check "build" is failing.')
    host.set_check(name, "topic", "build")
    host.set_check(name, "topic", "lint", "failure")
    assert state(host, name, number) == (True, "unstable")
    host.set_check(name, "topic", "lint")
    assert state(host, name, number) == (True, "clean")
    assert merge(host, name, number)[0] == 200


def test_a_strict_branch_wants_a_head_that_is_up_to_date(host: GitHost, name: str, clone: Path) -> None:
    """Behind, a request waits; with the base merged into it, it goes."""
    token = host.token("ada")
    branch(host, clone, "one")
    number = opened(host, name)
    commit(clone, "meanwhile")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    host.protect(name, "main", strict=True)

    assert state(host, name, number) == (True, "behind")
    assert merge(host, name, number) == (409, "Head branch is out of date. Review and try the merge again.")
    updated = call(host, name, "PUT", f"/pulls/{number}/update-branch")
    assert (updated.status_code, updated.json()["message"]) == (202, "Updating pull request branch.")
    assert state(host, name, number) == (True, "clean")
    assert merge(host, name, number)[0] == 200


def test_the_merge_queue_lets_nobody_merge_directly(host: GitHost, name: str, clone: Path) -> None:
    """The request is clean, and the merge is refused all the same."""
    branch(host, clone, "one")
    number = opened(host, name)
    host.protect(name, "main", merge_queue=True, ruleset=True)

    assert state(host, name, number) == (True, "clean")
    assert merge(host, name, number) == (
        405, "Repository rule violations found\n\nChanges must be made through the merge queue\n\n",
    )  # fmt: skip


def test_githubs_own_merges_are_signed_but_for_a_rebase(host: GitHost, name: str, clone: Path, tmp_path: Path) -> None:
    """Where signatures are asked for, a merge of signed commits is verified, and a rebase is refused."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    host.trust_key(Path(f"{key}.pub").read_text())
    for setting, value in (("gpg.format", "ssh"), ("user.signingkey", str(key)), ("commit.gpgsign", "true")):
        git("config", setting, value, at=clone)
    branch(host, clone, "one")
    number = opened(host, name)
    host.protect(name, "main", signatures=True)

    assert "Rebase merges cannot be automatically signed" in merge(host, name, number, merge_method="rebase")[1]
    assert merge(host, name, number)[0] == 200

    seen = call(host, name, "GET", "/commits/main").json()["commit"]["verification"]
    assert (seen["verified"], seen["reason"]) == (True, "valid")


def test_who_may_see_which_rules(host: GitHost, name: str, clone: Path) -> None:
    """Everybody sees that a branch is protected and what a ruleset asks; the protection itself only administrators."""
    reader, app = host.token("reader", write=False), host.app_token("lab-app")
    path = f"/repos/{name}/branches/main"
    assert rest(host, reader, "GET", path).json()["protected"] is False
    host.protect(name, "main", ("build",))

    seen = rest(host, reader, "GET", path).json()
    assert (seen["protected"], seen["protection"]["required_status_checks"]["contexts"]) == (True, ["build"])
    assert rest(host, reader, "GET", f"/repos/{name}/rules/branches/main").json() == []
    hidden = [rest(host, token, "GET", f"{path}/protection") for token in (host.token("ada"), app)]
    assert [(answer.status_code, answer.json()["message"]) for answer in hidden] == [
        (404, "Not Found"), (403, "Resource not accessible by integration"),
    ]  # fmt: skip

    host.protect(name, "main", ("build",), signatures=True, merge_queue=True, ruleset=True)
    rules = rest(host, reader, "GET", f"/repos/{name}/rules/branches/main").json()
    assert [rule["type"] for rule in rules] == [
        "deletion", "non_fast_forward", "pull_request", "required_status_checks", "required_signatures", "merge_queue",
    ]  # fmt: skip
    assert rest(host, reader, "GET", path).json()["protected"] is True
