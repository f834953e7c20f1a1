"""Releases: what people and pipelines read a version from."""

from typing import Any

from infra.lab.github.answers import Answer, invalid, now, timestamp
from infra.lab.github.bare import REF
from infra.lab.github.people import node_id, person, repository_shape
from infra.lab.github.pushes import announce_push
from infra.lab.github.rest import Call, known, page_of, required, route
from infra.lab.github.store import Document

_FIELDS = ("tag_name", "target_commitish", "name", "body", "draft", "prerelease")


def _shape(call: Call, release: Document) -> dict[str, Any]:
    url = f"{call.base}/releases/{release['id']}"
    uploads = url.replace("/api/v3/", "/api/uploads/")
    tag = release["tag_name"]
    return {
        "url": url,
        "assets_url": f"{url}/assets",
        "upload_url": f"{uploads}/assets{{?name,label}}",
        "html_url": f"{call.html}/releases/tag/{tag}",
        "id": release["id"],
        "node_id": node_id("Release", release["id"]),
        "author": person(call.platform, release["author"]),
        "tarball_url": f"{call.base}/tarball/{tag}",
        "zipball_url": f"{call.base}/zipball/{tag}",
        "assets": [],
        "immutable": False,
        **{key: release[key] for key in (*_FIELDS, "created_at", "published_at", "updated_at")},
    }  # fmt: skip


def _newest_first(call: Call) -> list[Document]:
    """By `created_at`, the date of the tagged commit: not by publication. Drafts only for who may push."""
    releases = call.platform.store.all("release", call.name)
    seen = [r for r in releases if call.user["write"] or not r["draft"]]
    return sorted(seen, key=lambda r: (r["created_at"], r["id"]), reverse=True)


def _latest(call: Call) -> dict[str, Any]:
    full = [r for r in _newest_first(call) if not r["draft"] and not r["prerelease"]]
    pinned = [r for r in full if r["latest_since"]]
    # The one that was last published (or edited) as the latest; without any, the newest tagged commit.
    chosen = max(pinned, key=lambda r: r["latest_since"]) if pinned else next(iter(full), None)
    return _shape(call, known(chosen))


def _create(call: Call) -> Answer:
    required(call, "tag_name")
    given = {key: call.body[key] for key in _FIELDS if call.body.get(key) is not None}
    release: Document = {"target_commitish": "main", "name": None, "body": None, "draft": False}
    release |= {"prerelease": False} | given
    _must_be_new(call, release)
    times = _publish(call, release)
    kept = call.platform.store.add(
        "release", call.name, **release, **times, author=call.user["login"], updated_at=now(),
        latest_since=_latest_since(call, release, "true"),
    )  # fmt: skip
    if not kept["draft"]:
        _announce(call, kept, "published")
    return Answer(_shape(call, kept), 201)


def _update(call: Call) -> dict[str, Any]:
    before = _by_id(call)
    release = before | {key: call.body[key] for key in _FIELDS if call.body.get(key) is not None}
    if release["tag_name"] != before["tag_name"] or (before["draft"] and not release["draft"]):
        _must_be_new(call, release)
        release |= _publish(call, release) | ({} if before["draft"] else {"published_at": before["published_at"]})
    if "make_latest" in call.body or (before["draft"] and not release["draft"]):
        release["latest_since"] = _latest_since(call, release, "true")
    after = call.platform.store.change(before, **(release | {"updated_at": now()}))
    _announce(call, after, "published" if before["draft"] and not after["draft"] else "edited")
    return _shape(call, after)


def _must_be_new(call: Call, release: Document) -> None:
    if not REF.fullmatch(f"refs/tags/{release['tag_name']}"):
        raise invalid("Release", "tag_name", "custom", "tag_name is not well-formed")
    twins = call.platform.store.all("release", call.name, tag_name=release["tag_name"], draft=False)
    if any(twin["id"] != release.get("id") for twin in twins):
        raise invalid("Release", "tag_name", "already_exists")


def _publish(call: Call, release: Document) -> dict[str, Any]:
    """The times of a release. Publishing makes the (lightweight) tag where it is missing, as GitHub does."""
    name = f"refs/tags/{release['tag_name']}"
    commit = call.bare.commit_of(name.removeprefix("refs/"))
    if commit is None and release["draft"]:
        return {"created_at": now(), "published_at": None}
    if commit is None:
        commit = call.bare.commit_of(release["target_commitish"])
        if commit is None:
            raise invalid("Release", "target_commitish", "invalid")
        call.bare.git("update-ref", "--end-of-options", name, commit, "0" * 40)
        announce_push(call.platform, call.name, call.user["login"])
    created = timestamp(call.bare.commit(commit).committer.date)
    return {"created_at": created, "published_at": None if release["draft"] else now()}


def _latest_since(call: Call, release: Document, default: str) -> int:
    """A number that grows with each release declared the latest; 0 for one that is not."""
    wanted = str(call.body.get("make_latest", default)) == "true"
    if not wanted or release["draft"] or release["prerelease"]:
        return 0
    return 1 + max((r["latest_since"] for r in call.platform.store.all("release", call.name)), default=0)


def _announce(call: Call, release: Document, action: str) -> None:
    payload = {
        "action": action,
        "release": _shape(call, release),
        "repository": repository_shape(call.platform, call.repository),
        "sender": person(call.platform, call.user["login"]),
    }
    call.platform.courier.announce(call.name, "release", payload)


def _by_id(call: Call) -> Document:
    found = [r for r in _newest_first(call) if str(r["id"]) == call.path["release_id"]]
    return dict(known(found[0] if found else None))


def _get(call: Call) -> dict[str, Any]:
    return _shape(call, _by_id(call))


def _by_tag(call: Call) -> dict[str, Any]:
    release = call.platform.store.first("release", call.name, tag_name=call.path["tag"], draft=False)
    return _shape(call, known(release))


def _list(call: Call) -> Answer:
    return page_of(call, _newest_first(call), lambda release: _shape(call, release))


ROUTES = [
    route("GET", "/releases", _list),
    route("POST", "/releases", _create),
    route("GET", "/releases/latest", _latest),
    route("GET", "/releases/tags/{tag:path}", _by_tag),
    route("GET", "/releases/{release_id}", _get),
    route("PATCH", "/releases/{release_id}", _update),
]
