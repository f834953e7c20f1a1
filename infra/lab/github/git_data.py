"""The Git database: refs, tag objects, commits."""

from typing import Any

from infra.lab.github.answers import Answer, ApiError
from infra.lab.github.bare import REF, Commit, GitError, Signature
from infra.lab.github.people import node_id
from infra.lab.github.pushes import announce_push
from infra.lab.github.rest import Call, known, page_of, required, route

UNSIGNED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


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
        "verification": UNSIGNED,
    }


def parent_shape(call: Call, sha: str, kind: str) -> dict[str, str]:
    """A parent of a commit."""
    return {"sha": sha, "url": f"{call.base}{kind}/{sha}", "html_url": f"{call.html}/commit/{sha}"}


def _ref(call: Call, name: str, sha: str) -> dict[str, Any]:
    kind = call.bare.kind(sha)
    return {
        "ref": name,
        "node_id": node_id("Ref", name),
        "url": f"{call.base}/git/{name}",
        "object": {"type": kind, "sha": sha, "url": f"{call.base}/git/{kind}s/{sha}"},
    }


def _get_ref(call: Call) -> dict[str, Any]:
    name = f"refs/{call.path['ref']}"
    return _ref(call, name, known(call.bare.refs(name).get(name)))


def _matching_refs(call: Call) -> Answer:
    found = sorted(call.bare.refs(f"refs/{call.path['ref']}").items())
    return page_of(call, found, lambda pair: _ref(call, *pair))


def _create_ref(call: Call) -> Answer:
    required(call, "ref", "sha")
    name, sha = call.body["ref"], call.body["sha"]
    if not REF.fullmatch(name) or name.count("/") < 2:
        raise ApiError(422, "Reference name must start with 'refs/' and have at least one more slash.")
    if call.bare.kind(sha) is None:
        raise ApiError(422, "Object does not exist")
    try:
        # The zero as the old value: only if the ref is not there yet, decided under Git's own lock.
        call.bare.git("update-ref", "--end-of-options", name, sha, "0" * 40)
    except GitError as error:
        raise ApiError(422, "Reference already exists") from error
    announce_push(call.platform, call.name, call.user["login"])
    return Answer(_ref(call, name, sha), 201)


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
    route("GET", "/git/ref/{ref:path}", _get_ref),
    route("GET", "/git/refs/{ref:path}", _get_ref),
    route("GET", "/git/matching-refs/{ref:path}", _matching_refs),
    route("POST", "/git/refs", _create_ref),
    route("GET", "/git/tags/{sha}", _get_tag),
    route("GET", "/git/commits/{sha}", _get_commit),
]
