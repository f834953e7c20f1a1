"""The files of releases: only their names and sizes are kept."""

from typing import Any

from starlette.routing import Route

from infra.lab.github.answers import Answer, ApiError, invalid, now
from infra.lab.github.people import node_id, person
from infra.lab.github.rest import Call, known, page_of, route
from infra.lab.github.store import Document


def assets_of(call: Call, release: Document) -> list[Document]:
    """The assets of a release."""
    return call.platform.store.all("asset", call.name, release=release.get("id"))


def asset_shape(call: Call, asset: Document) -> dict[str, Any]:
    """A release asset."""
    return {
        "url": f"{call.base}/releases/assets/{asset['id']}",
        "browser_download_url": f"{call.html}/releases/download/{asset['release']}/{asset['name']}",
        "id": asset["id"],
        "node_id": node_id("ReleaseAsset", asset["id"]),
        "label": None,
        "state": "uploaded",
        "digest": None,
        "download_count": 0,
        **{key: asset[key] for key in ("name", "content_type", "size", "created_at")},
        "updated_at": asset["created_at"],
        "uploader": person(call.platform, asset["uploader"]),
    }


def _upload(call: Call) -> Answer:
    release = _release(call)
    name = call.query.get("name", "")
    if release.get("immutable"):
        raise ApiError(422, "Cannot upload assets to an immutable release")
    if any(asset["name"] == name for asset in assets_of(call, release)):
        raise invalid("ReleaseAsset", "name", "already_exists")
    asset = call.platform.store.add(
        "asset", call.name, release=release["id"], name=name, size=call.size, content_type="application/octet-stream",
        created_at=now(), uploader=call.user["login"],
    )  # fmt: skip
    return Answer(asset_shape(call, asset), 201)


def _list(call: Call) -> Answer:
    return page_of(call, assets_of(call, _release(call)), lambda asset: asset_shape(call, asset))


def _delete(call: Call) -> Answer:
    assets = call.platform.store.all("asset", call.name)
    asset = known(next((each for each in assets if str(each["id"]) == call.path["asset_id"]), None))
    if any(each["id"] == asset["release"] for each in call.platform.store.all("release", call.name, immutable=True)):
        raise ApiError(422, "Cannot delete asset from an immutable release")
    call.platform.store.remove(asset)
    return Answer(None, 204)


def _release(call: Call) -> Document:
    releases = call.platform.store.all("release", call.name)
    return dict(known(next((each for each in releases if str(each["id"]) == call.path["release_id"]), None)))


_UPLOAD = route("POST", "/releases/{release_id}/assets", _upload)

ROUTES = [
    route("GET", "/releases/{release_id}/assets", _list),
    route("DELETE", "/releases/assets/{asset_id}", _delete),
]
UPLOADS = [Route(_UPLOAD.path.replace("/api/v3/", "/api/uploads/"), _UPLOAD.endpoint, methods=["POST"])]
"""At an address of their own, as `upload_url` says."""
