"""Receive alerts over HTTP and answer each incident with one run.

`POST /alerts/<source>` takes a bearer token and answers with the runs' addresses; `/metrics` shows the probes;
`/healthz` says that we are here.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import uvicorn
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deployments.responder import RECOVERIES, Responder, load_flow, warm_up
from recovery.alarms import Alarm, read_alertmanager
from recovery.catalog import Catalogue
from recovery.errors import Refused, Unavailable
from tasks.probes import prober
from tasks.runs import Launched, launch
from tasks.settings import read_catalogue, read_settings

LARGEST_BODY = 1 << 20  # bytes; a full Alertmanager group is far smaller
ENTRYPOINTS = ("flows.respond.respond", "flows.hotfix.hotfix")

Read = Callable[[Mapping[str, object], Catalogue], tuple[list[Alarm], list[str]]]
SOURCES: dict[str, Read] = {"alertmanager": read_alertmanager}

log = logging.getLogger("ripcord.receiver")


def build_app() -> Starlette:
    """The receiver with the responder and the prober in the same process.

    Raises Refused when no token is set: an unauthenticated receiver would let anybody roll a release back.
    """
    settings = read_settings()
    catalogue = read_catalogue()
    if not settings.receiver_token.get_secret_value():
        raise Refused("RIPCORD_RECEIVER_TOKEN is not set: without it anybody could have a release taken back")
    registry = CollectorRegistry()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        for entrypoint in ENTRYPOINTS:
            load_flow(entrypoint)
        with get_client(sync_client=True) as client:
            app.state.client = client
            app.state.responder = Responder(settings.work_pool, RECOVERIES, client)
            ongoing = [
                asyncio.create_task(asyncio.to_thread(_warm)),
                asyncio.create_task(app.state.responder.poll()),
                asyncio.create_task(prober(catalogue.services, registry)),
            ]
            yield
            for each in ongoing:
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(generate_latest(registry).decode(), media_type="text/plain; version=0.0.4")

    routes = [
        Route("/alerts/{source}", receive, methods=["POST"]),
        Route("/metrics", metrics),
        Route("/healthz", lambda request: PlainTextResponse("ok")),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def receive(request: Request) -> Response:
    """One delivery: 202 with the runs, 401, 404, 413, 422 with a sentence, or 503 for the sender to try again."""
    token = read_settings().receiver_token.get_secret_value()
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return _answer(401, "wrong or missing bearer token: send 'Authorization: Bearer <RIPCORD_RECEIVER_TOKEN>'")
    read = SOURCES.get(request.path_params["source"])
    if read is None:
        return _answer(404, f"no such alert source: known are {', '.join(SOURCES)}")
    body = await _bounded_body(request)
    if body is None:
        return _answer(413, f"the body is larger than {LARGEST_BODY} bytes: send fewer alerts at once")
    try:
        payload = json.loads(body)
        if not isinstance(payload, dict):
            raise TypeError
        alarms, passed = read(payload, read_catalogue())
        launched = await asyncio.to_thread(_launch_all, request.app.state.client, request.app.state.responder, alarms)
    except (ValueError, TypeError):
        return _answer(422, "the body is not a JSON object")
    except Refused as refusal:
        return _answer(422, str(refusal))
    except Unavailable as trouble:
        return _answer(503, str(trouble))
    return JSONResponse({"runs": [_shown(each) for each in launched], "passed": passed}, status_code=202)


def _warm() -> None:
    with suppress(Exception):  # a server that is away now may be there when it matters
        warm_up()


def _launch_all(client: SyncPrefectClient, responder: Responder, alarms: list[Alarm]) -> list[Launched]:
    """Create the runs, and execute the fresh ones at once in this process."""
    launched = []
    for service, version in dict.fromkeys((alarm.service, alarm.version) for alarm in alarms):
        first = next(alarm for alarm in alarms if (alarm.service, alarm.version) == (service, version))
        run = launch(client, service, version, first.cause)
        if run.fresh:
            responder.submit(UUID(run.run_id))
        launched.append(run)
    return launched


async def _bounded_body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _shown(run: Launched) -> dict[str, object]:
    return {"id": run.run_id, "name": run.name, "url": run.url, "fresh": run.fresh}


def _answer(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)


def main() -> None:
    """Serve until killed."""
    settings = read_settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvicorn.run(build_app(), host=settings.receiver_host, port=settings.receiver_port, log_level="warning")


if __name__ == "__main__":
    main()
