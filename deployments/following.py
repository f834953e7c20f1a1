"""Start a run from the command line and tell its steps until it ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import TaskRunSort
from prefect.exceptions import PrefectHTTPStatusError
from rich.console import Console

from recovery.errors import Unavailable
from recovery.hotfixes import A_PERSON_WANTS_IT
from recovery.incidents import Cause, Source
from recovery.versions import parse_version
from tasks.fence import LostServer
from tasks.runs import Launched, dated, launch, launch_hotfix
from tasks.settings import read_service

POLL_SECONDS = 1.0
REVIVAL_SECONDS = 90.0  # within which the monitor has a crashed run started again
PATIENCE_SECONDS = 60.0  # with a server that does not answer, before the command gives up waiting


def start(
    service: str,
    version: str,
    because: str,
    number: int = 1,
    to: str | None = None,
    hotfix: bool = False,
    data_corrupt: bool = False,
) -> Launched:
    """Check service and versions, then create the run or find it."""
    entry = read_service(service)
    faulty = parse_version(version, entry.tag_prefix)
    chosen = parse_version(to, entry.tag_prefix).tag if to else None
    cause = dated.fn(Cause(sentence=because, source=Source.PERSON, seen_at=None, data_corrupt=data_corrupt))
    with known_server(), get_client(sync_client=True) as client:
        return launch(client, entry.name, faulty.tag, cause, number, chosen, hotfix)


def start_hotfix(service: str, version: str, because: str, number: int = 1) -> Launched:
    """Check service and version, then create the run that prepares a hotfix, or find it."""
    entry = read_service(service)
    faulty = parse_version(version, entry.tag_prefix)
    cause = dated.fn(Cause(sentence=because, source=Source.PERSON, seen_at=None))
    with known_server():
        return launch_hotfix.fn(entry.name, faulty.tag, cause, A_PERSON_WANTS_IT, number=number)


@contextmanager
def known_server() -> Iterator[None]:
    """Say in a sentence that Prefect's server is not known, or silent. Raises Unavailable."""
    try:
        yield
    except (httpx.HTTPError, PrefectHTTPStatusError, LostServer, RuntimeError, ValueError) as error:
        raise Unavailable(
            f"the Prefect server did not answer ({error}): set PREFECT_API_URL to one that does"
        ) from None


def follow_run(run_id: str, *, quiet: bool) -> tuple[str, str]:
    """Wait until a run ends or asks a person, printing each step as it ends; returns the state's type and message."""
    console = Console(quiet=quiet)
    told: set[UUID] = set()
    crashes: dict[UUID, float] = {}  # when we saw them first: the server's clock may not be ours
    silent_since = time.monotonic()
    with get_client(sync_client=True) as client:
        while True:
            try:
                run = client.read_flow_run(UUID(run_id))
                only = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
                steps = client.read_task_runs(flow_run_filter=only, sort=TaskRunSort.END_TIME_DESC, limit=100)
                silent_since = time.monotonic()
            except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                if time.monotonic() - silent_since > PATIENCE_SECONDS:
                    raise Unavailable(f"the Prefect server stopped answering ({error}); the run goes on") from None
                time.sleep(POLL_SECONDS)
                continue
            for step in sorted(steps, key=lambda each: each.end_time.timestamp() if each.end_time else 0):
                if step.end_time and step.id not in told:
                    told.add(step.id)
                    console.print(f"  {step.end_time:%H:%M:%S} {step.name}", markup=False, highlight=False)
            if run.state is not None and _is_over(run.state, crashes):
                return run.state.type.value, run.state.message or ""
            time.sleep(POLL_SECONDS)


def _is_over(state: State, crashes: dict[UUID, float]) -> bool:
    """A crashed run is over when nobody has revived it."""
    if state.is_crashed():
        now = time.monotonic()
        return now - crashes.setdefault(state.id, now) > REVIVAL_SECONDS
    return state.is_final() or state.is_paused()
