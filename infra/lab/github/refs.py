"""Refs over the REST API, under the same rules as a push."""

from typing import Any

from infra.lab.github.answers import Answer, ApiError
from infra.lab.github.bare import REF, GitError
from infra.lab.github.people import node_id
from infra.lab.github.pushes import announce_push
from infra.lab.github.rest import Call, known, page_of, required, route
from infra.lab.github.rules import refuses
from infra.lab.github.store import ZERO, RefChange
from infra.lab.github.tokens import not_accessible


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
    _must_be_allowed(call, RefChange(name, ZERO, sha))
    try:
        # The zero as the old value: only if the ref is not there yet, decided under Git's own lock.
        call.bare.git("update-ref", "--end-of-options", name, sha, "0" * 40)
    except GitError as error:
        raise ApiError(422, "Reference already exists") from error
    announce_push(call.platform, call.name, call.user["login"])
    return Answer(_ref(call, name, sha), 201)


def _update(call: Call) -> dict[str, Any]:
    required(call, "sha")
    name, sha = f"refs/{call.path['ref']}", call.body["sha"]
    before = _known(call, name)
    if call.bare.kind(sha) is None:
        raise ApiError(422, "Object does not exist")
    if not call.body.get("force") and not call.bare.contains(sha, before):
        raise ApiError(422, "Update is not a fast forward")
    _must_be_allowed(call, RefChange(name, before, sha))
    _write(call, name, sha, before)
    return _ref(call, name, sha)


def _delete(call: Call) -> Answer:
    name = f"refs/{call.path['ref']}"
    before = _known(call, name)
    _must_be_allowed(call, RefChange(name, before, ZERO))
    _write(call, name, ZERO, before)
    return Answer(None, 204)


def _known(call: Call, name: str) -> str:
    """The object of a ref that is to change: what is missing is a 422 here, not a 404."""
    found = call.bare.refs(name).get(name)
    if found is None:
        raise ApiError(422, "Reference does not exist")
    return found


def _must_be_allowed(call: Call, change: RefChange) -> None:
    refusal = refuses(call.ground, call.user, change)
    if refusal is not None and not refusal.code:
        raise not_accessible(call.user)
    if refusal is not None:
        raise ApiError(422, refusal.message)


def _write(call: Call, name: str, after: str, before: str) -> None:
    try:
        call.bare.git("update-ref", "--end-of-options", name, after, before)
    except GitError as error:
        raise ApiError(422, "Reference cannot be updated") from error
    announce_push(call.platform, call.name, call.user["login"])


ROUTES = [
    route("GET", "/git/ref/{ref:path}", _get_ref),
    route("GET", "/git/refs/{ref:path}", _get_ref),
    route("GET", "/git/matching-refs/{ref:path}", _matching_refs),
    route("POST", "/git/refs", _create_ref),
    route("PATCH", "/git/refs/{ref:path}", _update),
    route("DELETE", "/git/refs/{ref:path}", _delete),
]
