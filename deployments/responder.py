"""The fast path: execute runs of one queue of the work pool in this warm process, without starting a new one.

It claims a run as a worker does, by proposing Pending: whoever proposes first has it. What this process leaves
behind when it dies, an ordinary worker on the same pool takes over. Nothing depends on the fast path. The monitor
has a queue and a process of its own: a cycle over many services would keep a recovery waiting for seconds.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow, State, flow, task
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.client.schemas import OrchestrationResult
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Cancelled, Pending

from tasks.fence import LostServer
from tasks.settings import read_settings

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 30
HUNG_SECONDS = 60.0  # a cycle that runs this long has met something that hangs, and no longer keeps others away
AT_ONCE = 16  # recoveries and monitor cycles; each mostly waits for other systems
RECOVERIES, WATCHING = "default", "monitor"  # queues of the work pool

log = logging.getLogger("ripcord.responder")


class Responder:
    """Executes runs in threads of this process."""

    def __init__(self, pool: str, queue: str, client: SyncPrefectClient) -> None:
        """`client` is shared by all threads; its connections are."""
        self._pool, self._queue, self._client = pool, queue, client
        self._name = f"ripcord-{queue}"
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="respond")
        self._taken: dict[UUID, float] = {}
        self._entrypoints: dict[UUID, str] = {}

    def submit(self, run_id: UUID) -> None:
        """Execute a scheduled run now, unless somebody else has claimed it."""
        if run_id in self._taken:
            return
        self._taken[run_id] = time.monotonic()
        self._threads.submit(self._execute, run_id)

    async def poll(self) -> None:
        """Take up the pool's due runs, for ever: those of the schedule, of people, and retries."""
        async with get_client() as client:
            beaten = 0.0
            while True:
                try:
                    if asyncio.get_running_loop().time() - beaten > HEARTBEAT_SECONDS or not beaten:
                        await client.send_worker_heartbeat(self._pool, self._name, HEARTBEAT_SECONDS)
                        beaten = asyncio.get_running_loop().time()
                    await self._take_due(client)
                except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                    log.warning("the Prefect server did not answer, trying again: %s", error)
                await asyncio.sleep(POLL_SECONDS)

    async def _take_due(self, client: PrefectClient) -> None:
        due = await client.get_scheduled_flow_runs_for_work_pool(
            self._pool, work_queue_names=[self._queue], scheduled_before=datetime.now(UTC)
        )
        await self._take(client, [response.flow_run for response in due])

    async def _take(self, client: PrefectClient, due: Sequence[FlowRun]) -> None:
        for run in due:
            self.submit(run.id)

    def _execute(self, run_id: UUID) -> None:
        try:
            run = self._client.read_flow_run(run_id)
            claimed = self._claim(run)
            if run.deployment_id is None or claimed is None:
                return
            flow = load_flow(self._entrypoint(run.deployment_id))
            # The answer to the claim is the run's newest state: to read the run again would cost a recovery time.
            run = run.model_copy(update={"state": claimed})
            state = run_flow(flow, flow_run=run, return_type="state")
            if isinstance(state, State):
                log.info("%s: %s", run.name, state)
        except LostServer as lost:
            log.warning("run %s crashed and will be revived: %s", run_id, lost)
        except Exception:
            # The run's own failures are its states; this is ours, and the sweep of the monitor finds the run.
            log.exception("run %s was left behind", run_id)
        finally:
            self._taken.pop(run_id, None)

    def _entrypoint(self, deployment: UUID) -> str:
        """Where a deployment's flow is; a deployment made anew under its id keeps it: all are dotted paths of ours."""
        if deployment not in self._entrypoints:
            self._entrypoints[deployment] = str(self._client.read_deployment(deployment).entrypoint)
        return self._entrypoints[deployment]

    def _claim(self, run: FlowRun) -> State[Any] | None:
        if run.deployment_id is None or run.state is None or not run.state.is_scheduled():
            return None
        answer: OrchestrationResult[Any] = self._client.set_flow_run_state(
            run.id, Pending(message=f"claimed by {self._name}")
        )
        return answer.state if answer.status == SetStateStatus.ACCEPT else None


class Watcher(Responder):
    """Executes the monitor's cycles, one at a time.

    One that is due beside a newer one or after it, or while another runs, is cancelled: left to the worker it would
    become a process of its own, and after an outage of an hour a hundred at once.
    """

    _newest = (-math.inf, datetime.min.replace(tzinfo=UTC))  # of all begun: when it was begun, and when it was due

    async def _take(self, client: PrefectClient, due: Sequence[FlowRun]) -> None:
        waiting = [run for run in due if run.id not in self._taken]
        newest = max(waiting, key=_due, default=None)
        for run in waiting:
            # The server leaves out of its answer what it is about to change (FOR UPDATE SKIP LOCKED in its
            # get-runs-from-worker-queues.sql): it marks what is late, and an older one may come after a newer one.
            if run is newest and not self._is_behind(run) and not self._is_busy():
                self._newest = time.monotonic(), _due(run)
                self.submit(run.id)
            else:
                await client.set_flow_run_state(run.id, Cancelled(message="another cycle looks at the same"))

    def _is_behind(self, run: FlowRun) -> bool:
        """Whether a newer one was begun; for a while only, lest a clock that is set back blinds us."""
        begun, due = self._newest
        return time.monotonic() - begun < HUNG_SECONDS and _due(run) <= due

    def _is_busy(self) -> bool:
        return any(time.monotonic() - begun < HUNG_SECONDS for begun in list(self._taken.values()))


def _due(run: FlowRun) -> datetime:
    """When a run is due as it stands: one that a person retries is due again."""
    return run.next_scheduled_start_time or run.expected_start_time or datetime.max.replace(tzinfo=UTC)


async def watch() -> None:
    """Execute the monitor's runs, for ever."""
    load_flow("flows.monitor.monitor")
    with get_client(sync_client=True) as client:
        await Watcher(read_settings().work_pool, WATCHING, client).poll()


@flow(name="warm up", flow_run_name="warm up", persist_result=True)
def warm_up() -> None:
    """What a first run costs is paid when the process starts, and not by the first incident."""
    _warm_inner()


@flow(name="warm up inside", flow_run_name="warm up inside", persist_result=True)
def _warm_inner() -> None:
    """A flow within a flow, and a step whose result is kept, as a recovery has them."""
    _warm_step()


@task(name="warm up step", persist_result=True)
def _warm_step() -> str:
    return "warm"


@lru_cache(maxsize=32)
def load_flow(entrypoint: str) -> Flow[..., object]:
    """Load a flow once; all of ours are dotted module paths, so that a class exists only once."""
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
