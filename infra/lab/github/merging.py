"""Merge a pull request: a real commit in the bare repository, told to the webhooks like any push."""

from dataclasses import dataclass
from typing import Any

from infra.lab.github.answers import Answer, ApiError, now
from infra.lab.github.bare import Commit, GitError, Signature
from infra.lab.github.heads import head_of, lags
from infra.lab.github.mergeability import Judgement, judge, merged_tree
from infra.lab.github.pulls import one_pull
from infra.lab.github.pushes import announce_push
from infra.lab.github.rest import Call, route
from infra.lab.github.rules import protection, workflow_sentence
from infra.lab.github.store import Document

METHODS = {"merge": "Merge commits are", "squash": "Squash merges are", "rebase": "Rebase merges are"}
_NOT_MERGEABLE = "Pull Request is not mergeable"
_MOVED = "Base branch was modified. Review and try the merge again."
_OUT_OF_DATE = "Head branch is out of date. Review and try the merge again."
_UNSIGNABLE = "Base branch requires signed commits. Rebase merges cannot be automatically signed by GitHub."
_GITHUB = ("GitHub", "noreply@github.com")


@dataclass(frozen=True)
class _Merge:
    """One merge about to be made."""

    call: Call
    pull: Document
    base: str
    head: str
    tree: str

    @property
    def commits(self) -> list[Commit]:
        """What it brings, oldest first."""
        return self.call.bare.commits(f"{self.base}..{self.head}")[::-1]


def _merge(call: Call) -> dict[str, Any]:
    pull = one_pull(call)
    base, head = call.bare.commit_of(f"heads/{pull['base']}"), head_of(call.bare, pull)
    if pull["state"] != "open" or base is None:
        raise ApiError(405, _NOT_MERGEABLE)
    if pull["draft"]:
        raise ApiError(405, "Pull Request is still a draft")
    if call.body.get("sha", head) != head:
        raise ApiError(409, "Head branch was modified. Review and try the merge again.")
    if lags(pull):
        raise ApiError(409, _OUT_OF_DATE)
    method = _method(call)
    tree = _allowed_tree(judge(call.ground, pull, base, head))
    merge = _Merge(call, pull, base, head, tree)
    sha = {"merge": _by_merge, "squash": _by_squash, "rebase": _by_rebase}[method](merge)
    _arrive(merge, sha)
    return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


def _method(call: Call) -> str:
    method = str(call.body.get("merge_method") or "merge")
    if method not in METHODS:
        raise ApiError(422, f'Invalid request.\n\n"{method}" is not a member of ["merge", "squash", "rebase"].')
    if method not in call.repository.get("merge_methods", METHODS):
        raise ApiError(405, f"{METHODS[method]} not allowed on this repository.")
    return method


def _allowed_tree(judgement: Judgement) -> str:
    if judgement.tree is None:
        raise ApiError(405, _NOT_MERGEABLE)
    if judgement.refusal:
        raise ApiError(405, judgement.refusal)
    if judgement.behind:
        raise ApiError(409, _OUT_OF_DATE)
    return judgement.tree


def _by_merge(merge: _Merge) -> str:
    pull, owner = merge.pull, merge.call.name.split("/")[0]
    title = f"Merge pull request #{pull['number']} from {owner}/{pull['head']}"
    parents = [merge.base, merge.head]
    return _own_commit(merge.call, merge.tree, parents, _message(merge.call, title, pull["title"]))


def _by_squash(merge: _Merge) -> str:
    commits = merge.commits
    title, _, body = commits[0].message.partition("\n\n")
    if len(commits) > 1:
        title, body = merge.pull["title"], "\n\n".join(f"* {commit.message}" for commit in commits)
    message = _message(merge.call, f"{title} (#{merge.pull['number']})", body)
    return _own_commit(merge.call, merge.tree, [merge.base], message)


def _by_rebase(merge: _Merge) -> str:
    rules = protection(merge.call.ground, merge.pull["base"])
    if rules is not None and rules["signatures"]:
        raise ApiError(405, _UNSIGNABLE)
    tip = merge.base
    for commit in merge.commits:
        if len(commit.parents) == 1:
            tip = _replay(merge.call, commit, tip)
    return tip


def _replay(call: Call, commit: Commit, tip: str) -> str:
    """A commit again on another one: the merge of both over the commit's own parent."""
    parent = commit.parents[0]
    ours = _commit(call, call.bare.commit(tip).tree, [parent], "onto", commit.author)
    tree = merged_tree(call.ground, ours, commit.sha)
    if tree is None:
        raise ApiError(405, "This branch can't be rebased")
    return _commit(call, tree, [tip], commit.message, commit.author)


def _own_commit(call: Call, tree: str, parents: list[str], message: str) -> str:
    """A commit of GitHub's own, which counts as signed."""
    login = call.user["login"]
    author = Signature(login, f"{call.user['id']}+{login}@users.noreply.lab", now())
    sha = _commit(call, tree, parents, message, author)
    call.platform.store.add("own_commit", call.name, sha=sha, at=now())
    return sha


def _commit(call: Call, tree: str, parents: list[str], message: str, author: Signature) -> str:
    committer = Signature(*_GITHUB, now())
    env: dict[str, str] = {}
    for role, who in (("AUTHOR", author), ("COMMITTER", committer)):
        env |= {f"GIT_{role}_NAME": who.name, f"GIT_{role}_EMAIL": who.email, f"GIT_{role}_DATE": who.date}
    flags = [flag for parent in parents for flag in ("-p", parent)]
    return call.bare.git("commit-tree", tree, *flags, stdin=message, env=env).strip()


def _message(call: Call, title: str, body: str | None) -> str:
    said = call.body.get("commit_title") or title, call.body.get("commit_message", body)
    return "\n\n".join(part for part in said if part)


def _arrive(merge: _Merge, sha: str) -> None:
    call, ref = merge.call, f"refs/heads/{merge.pull['base']}"
    touched = call.bare.git("diff", "--name-only", merge.base, sha, "--", ".github/workflows").splitlines()
    if touched and not call.user.get("workflows", True):
        raise ApiError(403, workflow_sentence(call.user, touched[0]))
    try:
        call.bare.git("update-ref", "--end-of-options", ref, sha, merge.base)
    except GitError as error:
        raise ApiError(405, _MOVED) from error
    call.platform.store.change(
        merge.pull, state="closed", merged_at=now(), closed_at=now(), merged_by=call.user["login"],
        merge_commit_sha=sha, head_sha=merge.head, updated_at=now(),
    )  # fmt: skip
    announce_push(call.platform, call.name, call.user["login"])


def _update_branch(call: Call) -> Answer:
    """Merge the base into the head, so that the request is up to date again."""
    pull = one_pull(call)
    base, head = call.bare.commit_of(f"heads/{pull['base']}"), head_of(call.bare, pull)
    if pull["state"] != "open" or base is None:
        raise ApiError(422, "Cannot update the branch of a closed pull request.")
    if call.body.get("expected_head_sha", head) != head or lags(pull):
        raise ApiError(422, "expected head sha didn't match current head ref.")
    if call.bare.contains(head, base):
        raise ApiError(422, "There are no new commits on the base branch.")
    tree = merged_tree(call.ground, head, base)
    if tree is None:
        raise ApiError(422, "merge conflict between base and head")
    sha = _own_commit(call, tree, [head, base], f"Merge branch '{pull['base']}' into {pull['head']}")
    call.bare.git("update-ref", "--end-of-options", f"refs/heads/{pull['head']}", sha, head)
    announce_push(call.platform, call.name, call.user["login"])
    url = f"{call.base}/pulls/{pull['number']}"
    return Answer({"message": "Updating pull request branch.", "url": url}, 202)


ROUTES = [
    route("PUT", "/pulls/{number}/merge", _merge),
    route("PUT", "/pulls/{number}/update-branch", _update_branch),
]
