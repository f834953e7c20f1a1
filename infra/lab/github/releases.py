"""Releases: what people and pipelines read a version from.

In a repository with immutable releases a published one keeps its tag and its assets for ever, and its tag's name is
never given again, even after the release was deleted. All else about it can still be edited.
"""

import re
from typing import Any

from infra.lab.github.answers import Answer, ApiError, invalid, now, timestamp
from infra.lab.github.assets import asset_shape, assets_of
from infra.lab.github.bare import REF
from infra.lab.github.lengths import RELEASE, must_fit
from infra.lab.github.people import node_id, person, repository_shape
from infra.lab.github.pushes import announce_push
from infra.lab.github.rest import Call, known, page_of, required, route
from infra.lab.github.rules import RESERVED
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
        "assets": [asset_shape(call, asset) for asset in assets_of(call, release)],
        "immutable": release.get("immutable", False),
        **{key: release[key] for key in (*_FIELDS, "created_at", "published_at", "updated_at")},
    }  # fmt: skip


def _newest_first(call: Call) -> list[Document]:
    """By `created_at`, the date of the tagged commit: not by publication. Drafts only for who may push."""
    releases = call.platform.store.all("release", call.name)
    seen = [r for r in releases if call.user["write"] or not r["draft"]]
    return sorted(seen, key=lambda r: (r["created_at"], r["id"]), reverse=True)


def _latest(call: Call) -> dict[str, Any]:
    return _shape(call, known(_the_latest(call)))


def _the_latest(call: Call) -> Document | None:
    full = [r for r in _newest_first(call) if not r["draft"] and not r["prerelease"]]
    pinned = [r for r in full if r["latest_since"]]
    # The one that was last published (or edited) as the latest; without any, the newest tagged commit.
    return max(pinned, key=lambda r: r["latest_since"]) if pinned else next(iter(full), None)


def _create(call: Call) -> Answer:
    required(call, "tag_name")
    must_fit(call.body, RELEASE)
    given = {key: call.body[key] for key in _FIELDS if call.body.get(key) is not None}
    release: Document = {"target_commitish": "main", "name": None, "body": None, "draft": False}
    release |= {"prerelease": False} | given
    _must_be_new(call, release)
    times = _publish(call, release)
    release["immutable"] = bool(call.repository.get("immutable_releases")) and not release["draft"]
    kept = call.platform.store.add(
        "release", call.name, **release, **times, author=call.user["login"], updated_at=now(),
        latest_since=_latest_since(call, release | times),
    )  # fmt: skip
    if not kept["draft"]:
        _reserve(call, kept)
        _announce(call, kept, "published")
    return Answer(_shape(call, kept), 201)


def _update(call: Call) -> dict[str, Any]:
    before = release_of(call)
    must_fit(call.body, RELEASE)
    release = before | {key: call.body[key] for key in _FIELDS if call.body.get(key) is not None}
    _must_stay(before, release)
    if release["tag_name"] != before["tag_name"] or (before["draft"] and not release["draft"]):
        _must_be_new(call, release)
        release |= _publish(call, release) | ({} if before["draft"] else {"published_at": before["published_at"]})
    if before["draft"] and not release["draft"]:
        release["immutable"] = bool(call.repository.get("immutable_releases"))
        _reserve(call, release)
    if "make_latest" in call.body or (before["draft"] and not release["draft"]):
        release["latest_since"] = _latest_since(call, release)
    after = call.platform.store.change(before, **(release | {"updated_at": now()}))
    if before["draft"] and not after["draft"]:
        _announce(call, after, "published")
    else:
        changed = [key for key in ("tag_name", "name", "body") if before[key] != after[key]]
        _announce(call, after, "edited", changes={key: {"from": before[key] or ""} for key in changed})
    return _shape(call, after)


def _must_be_new(call: Call, release: Document) -> None:
    if not REF.fullmatch(f"refs/tags/{release['tag_name']}"):
        raise invalid("Release", "tag_name", "custom", "tag_name is not well-formed")
    twins = call.platform.store.all("release", call.name, tag_name=release["tag_name"], draft=False)
    if any(twin["id"] != release.get("id") for twin in twins):
        raise invalid("Release", "tag_name", "already_exists")
    reserved = call.platform.store.first("reserved_tag", call.name, tag_name=release["tag_name"])
    if reserved is not None and not release["draft"]:
        said = {"resource": "Release", "code": "custom"}
        rule = f"pre_receive Repository rule violations found\n\n{RESERVED}\n\n"
        raise ApiError(422, "Validation Failed", [
            said | {"field": "pre_receive", "message": rule},
            said | {"field": "tag_name", "message": "tag_name was used by an immutable release"},
            said | {"message": "Published releases must have a valid tag"},
        ])  # fmt: skip


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


def _must_stay(before: Document, after: Document) -> None:
    fixed = ("tag_name", "draft") if before.get("immutable") else ()
    for name in fixed:
        if before[name] != after[name]:
            raise invalid("Release", name, "custom", f"{name} cannot be changed on an immutable release")


def _reserve(call: Call, release: Document) -> None:
    """The name of an immutable release's tag is taken for good."""
    if release["immutable"]:
        call.platform.store.add("reserved_tag", call.name, tag_name=release["tag_name"])


def _latest_since(call: Call, release: Document) -> int:
    """A number that grows with each release declared the latest; 0 for one that is not."""
    wanted = str(call.body.get("make_latest", "true")).lower()
    if wanted not in ("true", "false", "legacy"):
        raise invalid("Release", "make_latest", "invalid")
    latest = _the_latest(call)
    if wanted == "legacy" and latest is not None and _age(release) < _age(latest):
        wanted = "false"
    if wanted == "false" or release["draft"] or release["prerelease"]:
        return 0
    return 1 + max((r["latest_since"] for r in call.platform.store.all("release", call.name)), default=0)


def _age(release: Document) -> tuple[str, list[int]]:
    """What `legacy` goes by: the date of the tagged commit, then the version."""
    return release["created_at"], [int(number) for number in re.findall(r"\d+", release["tag_name"])]


def _delete(call: Call) -> Answer:
    """The tag stays where it is."""
    release = release_of(call)
    call.platform.store.remove(release)
    _announce(call, release, "deleted")
    return Answer(None, 204)


def _announce(call: Call, release: Document, action: str, **more: Any) -> None:
    payload = {
        "action": action,
        "release": _shape(call, release),
        "repository": repository_shape(call.platform, call.repository),
        "sender": person(call.platform, call.user["login"]),
        **more,
    }
    call.platform.courier.announce(call.name, "release", payload)


def release_of(call: Call) -> Document:
    """The release that the call is about; raises the 404."""
    found = [r for r in _newest_first(call) if str(r["id"]) == call.path["release_id"]]
    return dict(known(found[0] if found else None))


def _get(call: Call) -> dict[str, Any]:
    return _shape(call, release_of(call))


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
    route("DELETE", "/releases/{release_id}", _delete),
]
