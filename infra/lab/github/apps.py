"""GitHub Apps: who signs with the App's key gets tokens of its installations, which end.

The signature is verified with `cryptography` alone, and not by the library that the product signs with.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.lab.github.answers import Answer, ApiError, not_found, timestamp
from infra.lab.github.installations import permissions
from infra.lab.github.people import person
from infra.lab.github.platform import Platform
from infra.lab.github.renames import Renamed
from infra.lab.github.rest import moved, respond
from infra.lab.github.store import Document, Store

LONGEST = 600  # seconds that a JWT may be good for


def _token(request: Request) -> Answer:
    platform, app = _platform(request), _app(request)
    found = _installation(platform, app, id=int(request.path_params["id"]))
    if found["suspended"]:
        raise ApiError(403, "This installation has been suspended")
    # GitHub says whole seconds; a token of the lab ends in time also where it lives for one or two.
    until = int(time.time()) + float(found["seconds"])
    login = f"{app['slug']}[bot]"
    made = platform.store.add("app_token", token=f"ghs_{secrets.token_hex(18)}", login=login, until=until)
    body = {"token": made["token"], "expires_at": timestamp(datetime.fromtimestamp(until, UTC))}
    return Answer({**body, "permissions": permissions(found), "repository_selection": "all"}, 201)


def _of_repository(request: Request) -> Answer:
    platform, app = _platform(request), _app(request)
    if "repository_id" in request.path_params:
        known = platform.store.all("repository")
        name = next(each["full_name"] for each in known if str(each["id"]) == request.path_params["repository_id"])
    else:
        name = platform.repository("{owner}/{repo}".format(**request.path_params))["full_name"]
    owner = name.partition("/")[0]
    found = _installation(platform, app, owner=owner)
    url = f"{platform.api}/app/installations/{found['id']}"
    return Answer({
        "id": found["id"], "account": person(platform, owner), "repository_selection": "all",
        "access_tokens_url": f"{url}/access_tokens", "repositories_url": f"{platform.api}/installation/repositories",
        "html_url": f"{platform.url}/organizations/{owner}/settings/installations/{found['id']}",
        "app_id": app["id"], "app_slug": app["slug"], "target_id": 1, "target_type": "Organization",
        "permissions": permissions(found), "events": [], "single_file_name": None,
        "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
        "suspended_by": None, "suspended_at": None,
    })  # fmt: skip


def _installation(platform: Platform, app: Document, **equal: Any) -> Document:
    found = next((i for i in platform.store.all("installation", app=app["id"]) if equal.items() <= i.items()), None)
    if found is None:
        raise not_found()
    return found


def _app(request: Request) -> Document:
    """The App that signed the JWT of a request; raises GitHub's refusals."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        signed, _, signature = token.rpartition(".")
        head, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        app = _known(_platform(request).store, str(claims["iss"]))
        key = load_pem_public_key(app["public_key"].encode())
        if kind.lower() != "bearer" or head["alg"] != "RS256" or not isinstance(key, RSAPublicKey):
            raise ValueError(head)
        key.verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise ApiError(401, "A JSON web token could not be decoded") from error
    now = time.time()
    if claims["iat"] > now:
        raise ApiError(
            401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )
    if claims["exp"] <= now:
        raise ApiError(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time")
    if claims["exp"] > now + LONGEST:
        raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")
    request.scope["seen"]["user"] = app["slug"]
    return app


def _known(store: Store, issuer: str) -> Document:
    found = next((app for app in store.all("app") if issuer in (str(app["id"]), app["client_id"])), None)
    if found is None:
        raise ApiError(404, "Integration not found")
    return found


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


def _route(method: str, path: str, handler: Callable[[Request], Answer]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            answer = await run_in_threadpool(handler, request)
        except ApiError as error:
            answer = error.answer
        except Renamed as renamed:
            answer = moved(request, renamed)
        return respond(request, answer)

    return Route(f"/api/v3{path}", endpoint, methods=[method])


ROUTES = [
    _route("POST", "/app/installations/{id:int}/access_tokens", _token),
    _route("GET", "/repos/{owner}/{repo}/installation", _of_repository),
    _route("GET", "/repositories/{repository_id}/installation", _of_repository),
]
