"""Commits, and what lies between two of them."""

from pathlib import PurePosixPath
from typing import Any

from infra.lab.github.answers import Answer, ApiError
from infra.lab.github.bare import Bare, Commit, GitError
from infra.lab.github.git_data import git_commit, parent_shape
from infra.lab.github.rest import Call, known, page_of, route

_STATUS = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "C": "copied", "T": "changed"}


def commit_shape(call: Call, commit: Commit) -> dict[str, Any]:
    """A commit, as in `commit`; the lab's people have no GitHub account, so `author` is null."""
    inner = git_commit(call, commit)
    url = f"{call.base}/commits/{commit.sha}"
    return {
        "url": url,
        "sha": commit.sha,
        "node_id": inner["node_id"],
        "html_url": inner["html_url"],
        "comments_url": f"{url}/comments",
        "commit": {key: inner[key] for key in ("url", "author", "committer", "message", "tree", "verification")}
        | {"comment_count": 0},
        "author": None,
        "committer": None,
        "parents": [parent_shape(call, parent, "/commits") for parent in commit.parents],
    }


def changed_files(call: Call, before: str, after: str) -> list[dict[str, Any]]:
    """The files that differ between two commits, as in `diff-entry`."""
    options = ["-M", "-r", "--no-commit-id", "--end-of-options", before, after]
    fields = iter(call.bare.git("diff-tree", "-z", "--raw", "--numstat", "--abbrev=40", *options).split("\0")[:-1])
    raw: dict[str, tuple[str, str, str | None]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for entry in fields:
        if entry.startswith(":"):
            sha, letter = entry.split()[3], entry.split()[4][0]
            old = next(fields) if letter in "RC" else None
            raw[next(fields)] = (sha, letter, old)
        else:
            added, removed, path = entry.split("\t")
            if not path:
                next(fields)
                path = next(fields)
            counts[path] = (_lines(added), _lines(removed))
    return [_file(call, after, path, *raw[path], *counts[path]) for path in raw]


def resolve(call: Call, revision: str) -> str:
    """The commit of a branch, tag or sha; raises the 404."""
    return str(known(call.bare.commit_of(revision)))


def merge_base(bare: Bare, one: str, other: str) -> str | None:
    """The best common ancestor, or None for unrelated histories."""
    try:
        return bare.git("merge-base", one, other).split()[0]
    except GitError:
        return None


def _file(
    call: Call, after: str, path: str, sha: str, letter: str, old: str | None, added: int, removed: int
) -> dict[str, Any]:
    blob = f"{after}/{PurePosixPath(path)}"
    return {
        "sha": sha,
        "filename": path,
        "status": _STATUS[letter],
        "additions": added,
        "deletions": removed,
        "changes": added + removed,
        "blob_url": f"{call.html}/blob/{blob}",
        "raw_url": f"{call.html}/raw/{blob}",
        "contents_url": f"{call.base}/contents/{path}?ref={after}",
        **({"previous_filename": old} if old else {}),
    }


def _lines(count: str) -> int:
    return 0 if count == "-" else int(count)


def _get(call: Call) -> dict[str, Any]:
    commit = call.bare.commit(resolve(call, call.path["ref"]))
    # Git's well-known empty tree: the first commit of a history has nothing before it.
    before = commit.parents[0] if commit.parents else "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    files = changed_files(call, before, commit.sha)
    added, removed = sum(f["additions"] for f in files), sum(f["deletions"] for f in files)
    stats = {"additions": added, "deletions": removed, "total": added + removed}
    return commit_shape(call, commit) | {"stats": stats, "files": files}


def _list(call: Call) -> Answer:
    start = resolve(call, call.query.get("sha", "main"))
    return page_of(call, call.bare.commits(start), lambda commit: commit_shape(call, commit))


def _compare(call: Call) -> dict[str, Any]:
    left, separator, right = call.path["basehead"].partition("...")
    if not separator:
        known(None)
    base, head = resolve(call, left), resolve(call, right)
    common = merge_base(call.bare, base, head)
    if common is None:
        raise ApiError(404, f"No common ancestor between {left} and {right}.")
    ahead, behind = (call.bare.commits(f"{a}..{b}") for a, b in ((base, head), (head, base)))
    words = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    address = f"{call.html}/compare/{left}...{right}"
    return {
        "url": f"{call.base}/compare/{left}...{right}",
        "html_url": address,
        "permalink_url": f"{call.html}/compare/{base}...{head}",
        "diff_url": f"{address}.diff",
        "patch_url": f"{address}.patch",
        "base_commit": commit_shape(call, call.bare.commit(base)),
        "merge_base_commit": commit_shape(call, call.bare.commit(common)),
        "status": words.get((bool(ahead), bool(behind)), "diverged"),
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [commit_shape(call, commit) for commit in reversed(ahead)][:250],
        "files": changed_files(call, common, head)[:300],
    }


ROUTES = [
    route("GET", "/compare/{basehead:path}", _compare),
    route("GET", "/commits", _list),
    route("GET", "/commits/{ref:path}", _get),
]
"""The last one takes every path: put more particular ones before it."""
