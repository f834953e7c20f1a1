"""Start, find and revive flow runs: the only task module that speaks to Prefect about itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client, get_run_logger, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import AwaitingRetry, Failed, Scheduled
from prefect.variables import Variable

from recovery.catalog import RestoredBy
from recovery.errors import Refused, Unavailable
from recovery.incidents import Cause, Mode, Source, incident_key, repeated
from recovery.revivals import Revival, RunState, plan_revivals
from tasks.fence import alive_runs
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE

RESPOND, HOTFIX, RESTORE = "respond/respond", "hotfix/hotfix", "restore_database/restore_database"
SALVAGE, FIX, RESTORE_RDS = "salvage/salvage", "fix_forward/fix_forward", "restore_rds/restore_rds"
RESTORE_CNPG = "restore_cnpg/restore_cnpg"
RESTORES = {"restore_database": RESTORE, "restore_rds": RESTORE_RDS, "restore_cnpg": RESTORE_CNPG}
ACTING = (
    "respond", "undo_rollout", "revert_release", "hotfix", "aftermath", "restore_database", "restore_rds",
    "restore_cnpg", "salvage", "fix_forward",
)  # fmt: skip
MODE = "ripcord_mode"
BADLY = (StateType.FAILED, StateType.CANCELLED)  # what crashed is revived


@dataclass(frozen=True, slots=True)
class Launched:
    """A run that answers an incident: the one that was started, or the one that already did."""

    run_id: str
    name: str
    url: str
    fresh: bool
    failed: bool = False  # it has ended, and not well

    def __str__(self) -> str:
        """Where people find it, and what they must do there when nothing goes on by itself."""
        return f"{self.url}" + (", which has failed: look why, then press Retry there" if self.failed else "")


@task(name="note the time", **ON_UNAVAILABLE)
def dated(because: Cause) -> Cause:
    """Give a cause without a time the present one; the result is kept, so that a retry sees the same."""
    return because if because.seen_at else because.model_copy(update={"seen_at": datetime.now(UTC)})


@task(name="read mode", **{**LOOKING_AGAIN, "retries": 1})
def read_mode() -> Mode:
    """Read the global switch; unset means act, unreadable or unknown means notify."""
    try:
        return Mode(str(Variable.get(MODE, default=Mode.ACT)))
    except (ValueError, httpx.HTTPError, PrefectHTTPStatusError):
        return Mode.NOTIFY


@task(
    name="read orders",
    task_run_name="read the switch and the recoveries of {service}",
    **{**LOOKING_AGAIN, "retries": 1},
)
def read_orders(service: str) -> tuple[Mode, int]:
    """The global switch, and how often a service was recovered in the last 24 hours. Raises Unavailable."""
    return read_mode.fn(), _recoveries(service)


def _recoveries(service: str) -> int:
    since = FlowRunFilterStartTime(after_=datetime.now(UTC) - timedelta(hours=24))
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=["respond"])),
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
                    tags=FlowRunFilterTags(all_=[f"service:{service}"]),
                    start_time=since,
                ),
                limit=200,
            )
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise Unavailable(f"the Prefect server did not answer: {error}") from error
    return len(runs)


@task(name="launch respond", task_run_name="launch respond {service} {version}", **ON_UNAVAILABLE)
def launch_respond(service: str, version: str, because: Cause, number: int = 1) -> Launched:
    """Start the run that answers an incident, or find the one that already does."""
    with get_client(sync_client=True) as client:
        return launch(client, service, version, because, number)


def launch(
    client: SyncPrefectClient,
    service: str,
    version: str,
    because: Cause,
    number: int = 1,
    to: str | None = None,
    hotfix: bool = False,
) -> Launched:
    """Create the run that answers an incident, under the incident's idempotency key: a repeat returns the first run.

    Raises Refused when the flow is not deployed, Unavailable when the Prefect server does not answer.
    """
    key = incident_key(service, version, number, to, hotfix, because.data_corrupt)
    return _create(client, RESPOND, service, version, because, key, {"to": to, "hotfix": hotfix})


@task(name="launch hotfix", task_run_name="launch hotfix {service} {version}", **LOOKING_AGAIN)
def launch_hotfix(
    service: str, version: str, because: Cause, why: str, to: str | None = None, number: int = 1
) -> Launched:
    """Start the run that prepares a hotfix and waits for a person, or find the one that already does.

    A higher number asks again after a hotfix was abandoned.
    """
    with get_client(sync_client=True) as client:
        key = repeated(f"hotfix/{service}/{version}", number)
        return _create(client, HOTFIX, service, version, because, key, {"why": why, "to": to})


@task(name="launch restore", task_run_name="launch restore {service} {version}", **ON_UNAVAILABLE)
def launch_restore(
    service: str, version: str, because: Cause, number: int = 1, by: RestoredBy = "restore_database"
) -> Launched:
    """Start the run that asks a person whether the database goes back to its point, or find the one that already does.

    A higher number asks again after a no; `by` is the flow that restores, as the catalogue has it.
    """
    with get_client(sync_client=True) as client:
        key = repeated(f"restore/{service}/{version}", number)
        return _create(client, RESTORES[by], service, version, because, key, {})


@task(name="launch salvage", task_run_name="launch salvage {service} {version}", **ON_UNAVAILABLE)
def launch_salvage(service: str, version: str, number: int = 1) -> Launched:
    """Start the run that exports what was written after a point and asks what goes back, or find it."""
    with get_client(sync_client=True) as client:
        key = repeated(f"salvage/{service}/{version}", number)
        return _create(client, SALVAGE, service, version, None, key, {})


@task(name="launch fix", task_run_name="launch fix {service} {version}", **ON_UNAVAILABLE)
def launch_fix(service: str, version: str, because: Cause, script: str, digest: str, number: int = 1) -> Launched:
    """Start the run that tries a script on a clone and then applies it, or find the one of this very script."""
    with get_client(sync_client=True) as client:
        key = repeated(f"fix/{service}/{version}/{digest}", number)
        return _create(client, FIX, service, version, because, key, {"script": script})


def _create(
    client: SyncPrefectClient,
    name: str,
    service: str,
    version: str,
    because: Cause | None,
    key: str,
    parameters: dict[str, Any],
) -> Launched:
    began = datetime.now(UTC)
    cause = {"because": because.model_dump(mode="json")} if because else {}
    source = because.source if because else Source.PERSON
    try:
        deployment = client.read_deployment_by_name(name)
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={
                "service": service,
                "version": version,
                "rehearse": False,
                **cause,
                **parameters,
            },
            name=f"{name.partition('/')[0]} {service} {version}",
            tags=[f"service:{service}", f"version:{version}", f"source:{source}"],
            idempotency_key=key,
            state=Scheduled(),
        )
    except ObjectNotFound:
        raise Refused(f"deployment {name} is not there: run 'ripcord up' or 'prefect deploy --all'") from None
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise Unavailable(f"the Prefect server did not answer: {error}") from error
    failed = run.state is not None and run.state.type in BADLY
    return Launched(str(run.id), run.name, run_url(str(run.id)), _is_fresh(run, began), failed)


@task(name="find the dead", **{**ON_UNAVAILABLE, "retries": 1, "persist_result": False})
def find_the_dead() -> list[Revival]:
    """Find the recoveries whose process is gone; none where there is no lock to tell. Raises Unavailable."""
    runs = acting_runs()
    alive = alive_runs() if runs else set()
    return [] if alive is None else plan_revivals(runs, alive, datetime.now(UTC))


@task(name="revive the dead", **{**ON_UNAVAILABLE, "retries": 1, "persist_result": False})
def revive_the_dead(dead: Sequence[Revival]) -> list[str]:
    """Have them started again, or ended where they died too often; says what was done for each."""
    return [revive(revival) for revival in dead]


def acting_runs() -> list[RunState]:
    """The recoveries that have begun and not ended, or that crashed. Raises Unavailable."""
    states = [StateType.PENDING, StateType.RUNNING, StateType.CRASHED]
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=list(ACTING))),
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)),
                    parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=True),
                ),
                limit=200,
            )
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise Unavailable(f"the Prefect server did not answer: {error}") from error
    return [
        RunState(str(run.id), run.name, run.state.type.value, run.state.timestamp, run.run_count)
        for run in runs
        if run.state is not None and run.deployment_id is not None
    ]


def revive(revival: Revival) -> str:
    """Have the run started again where it stopped, or end it when it died too often."""
    state: State[Any] = AwaitingRetry(message=revival.reason) if revival.again else Failed(message=revival.reason)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(revival.run.id))
        if run.state is None or run.state.timestamp != revival.run.since:
            return f"skipped: {run.name} has moved on by itself"
        client.set_flow_run_state(run.id, state, force=True)
    get_run_logger().warning(revival.reason)
    return revival.reason


def this_run() -> str:
    """The page of the run that we are in, which is where people answer it."""
    return run_url(str(flow_run.id))


def run_url(run_id: str) -> str:
    """The run's page in the Prefect UI."""
    settings = get_current_settings()
    base = settings.ui_url or str(settings.api.url or "").removesuffix("/api")
    return f"{base}/runs/flow-run/{run_id}"


def _is_fresh(run: FlowRun, began: datetime) -> bool:
    return run.created is not None and run.created >= began
