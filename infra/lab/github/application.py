"""The whole server as one ASGI application."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from infra.lab.github import (
    apps,
    assets,
    branches,
    checks,
    commits,
    conversations,
    deployments,
    git_data,
    git_http,
    graphql,
    hooks,
    merging,
    people,
    pulls,
    refs,
    releases,
    runs,
    statuses,
)
from infra.lab.github.answers import ApiError, not_found
from infra.lab.github.courier import Courier
from infra.lab.github.faults import Unreliable
from infra.lab.github.people import person
from infra.lab.github.platform import Platform
from infra.lab.github.pushes import announce_push
from infra.lab.github.rest import by_number
from infra.lab.github.store import Store
from infra.lab.github.tokens import authenticate, not_accessible
from infra.lab.github_description import OBJECTIONS, find_description

if TYPE_CHECKING:
    from infra.lab.github.witness import Witness

# commits comes last: its `/commits/{ref:path}` would take what belongs to the others.
RESOURCES = (
    people, git_data, refs, releases, assets, statuses, checks, pulls, merging, conversations, deployments, hooks, runs,
    branches, commits,
)  # fmt: skip


def application(directory: Path, url: str) -> ASGIApp:
    """GitHub at `url`, with its repositories and its memory in `directory`."""
    store = Store(memory(directory))
    witness = _witness()
    courier = Courier(store, witness.see_event if witness else None)
    platform = Platform(store, repositories(directory), url, courier)
    named = [route for part in RESOURCES for route in part.ROUTES]
    numbered = [by_number(route) for route in named]
    others = [Route("/api/v3/user", _user), *apps.ROUTES, *assets.UPLOADS, *graphql.ROUTES, *git_http.ROUTES]
    inner = Starlette(
        routes=[*named, *numbered, *others],
        lifespan=_lifespan,
        exception_handlers={404: _unknown},
    )
    inner.state.platform = platform
    outer = Unreliable(inner, store)
    inner.router.routes.extend(outer.routes)
    return witness.over(outer) if witness else outer


def _witness() -> "Witness | None":
    """GitHub's own description looks on where somebody reads what it objects to: only the tests do."""
    objections = os.environ.get(OBJECTIONS)
    if not objections:
        return None
    from infra.lab.github.contract import Contract  # the tests alone have what it needs
    from infra.lab.github.witness import Witness

    return Witness(Contract(json.loads(find_description().read_text())), Path(objections))


def memory(directory: Path) -> Path:
    """The file of the store."""
    return directory / "github.sqlite3"


def repositories(directory: Path) -> Path:
    """Where the bare repositories are, as `<owner>/<name>.git`."""
    return directory / "repositories"


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """First finish what a killed predecessor left: pushes not announced, events not delivered."""
    platform: Platform = app.state.platform
    platform.courier.resume()
    for repository in platform.store.all("repository"):
        announce_push(platform, repository["full_name"], "ghost")
    yield
    platform.courier.close()


def _user(request: Request) -> Response:
    platform: Platform = request.app.state.platform
    try:
        user = authenticate(platform, request.headers.get("authorization"))
        if user.get("account") == "Bot":
            raise not_accessible(user)
    except ApiError as error:
        return JSONResponse(error.answer.body, error.answer.status)
    times = dict.fromkeys(("created_at", "updated_at"), "2024-01-01T00:00:00Z")
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    unknown = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
    return JSONResponse({**person(platform, user["login"]), **times, **counts, **unknown})


def _unknown(request: Request, error: Exception) -> Response:
    answer = not_found().answer
    return JSONResponse(answer.body, answer.status)
