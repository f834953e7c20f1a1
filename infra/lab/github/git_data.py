"""The Git database: tag objects and commits; its refs are in `refs.py`."""

from typing import Any

from infra.lab.github.bare import Commit, Signature
from infra.lab.github.people import node_id
from infra.lab.github.rest import Call, known, route
from infra.lab.github.signing import UNSIGNED, verification


def signature(who: Signature) -> dict[str, str]:
    """An author, committer or tagger."""
    return {"name": who.name, "email": who.email, "date": who.date}


def git_commit(call: Call, commit: Commit) -> dict[str, Any]:
    """A commit, as in `git-commit`."""
    return {
        "sha": commit.sha,
        "node_id": node_id("Commit", commit.sha),
        "url": f"{call.base}/git/commits/{commit.sha}",
        "html_url": f"{call.html}/commit/{commit.sha}",
        "author": signature(commit.author),
        "committer": signature(commit.committer),
        "tree": {"sha": commit.tree, "url": f"{call.base}/git/trees/{commit.tree}"},
        "message": commit.message,
        "parents": [parent_shape(call, parent, "/git/commits") for parent in commit.parents],
        "verification": verification(call.platform.store, call.bare, call.name, commit.sha),
    }


def parent_shape(call: Call, sha: str, kind: str) -> dict[str, str]:
    """A parent of a commit."""
    return {"sha": sha, "url": f"{call.base}{kind}/{sha}", "html_url": f"{call.html}/commit/{sha}"}


def _get_tag(call: Call) -> dict[str, Any]:
    sha = call.path["sha"]
    if call.bare.kind(sha) != "tag":
        known(None)
    head, _, message = call.bare.git("cat-file", "tag", sha).partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    kind = fields["type"]
    return {
        "sha": sha,
        "node_id": node_id("Tag", sha),
        "url": f"{call.base}/git/tags/{sha}",
        "tag": fields["tag"],
        "message": message,
        "tagger": _tagger(call, fields["tag"], sha),
        "object": {"type": kind, "sha": fields["object"], "url": f"{call.base}/git/{kind}s/{fields['object']}"},
        "verification": UNSIGNED,
    }


def _tagger(call: Call, name: str, sha: str) -> dict[str, str]:
    form = "%(taggername)%1f%(taggeremail:trim)%1f%(taggerdate:iso-strict)"
    answer = call.bare.git("for-each-ref", f"--points-at={sha}", f"--format={form}", f"refs/tags/{name}")
    return signature(Signature(*known(answer.strip() or None).split("\x1f")))


def _get_commit(call: Call) -> dict[str, Any]:
    if call.bare.kind(call.path["sha"]) != "commit":
        known(None)
    return git_commit(call, call.bare.commit(call.path["sha"]))


ROUTES = [
    route("GET", "/git/tags/{sha}", _get_tag),
    route("GET", "/git/commits/{sha}", _get_commit),
]
