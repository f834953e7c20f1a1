"""The monitor's cycles on a real Prefect server: one at a time, and a backlog is cleared away; HTTP is the witness."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from infra.lab.postgres import Postgres
from infra.lab.prefect import PrefectServer, prefect_server
from infra.lab.process import run, wait_until
from tasks.cycles import drop_backlog

ROOT = Path(__file__).parents[2]
POOL = "cycles"


@dataclass(frozen=True)
class Schedule:
    """A deployment on the monitor's queue, and its runs."""

    api: httpx.Client
    deployment: str

    def due(self, ago: timedelta) -> str:
        """A run that was due so long ago; the id."""
        at = (datetime.now(UTC) - ago).isoformat()
        body = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": at}}}
        made = self.api.post(f"deployments/{self.deployment}/create_flow_run", json=body)
        return str(made.raise_for_status().json()["id"])

    def state(self, run_id: str) -> str:
        """How a run stands."""
        return str(self.api.get(f"flow_runs/{run_id}").raise_for_status().json()["state_type"])

    def end_of(self, run_id: str) -> str:
        """How a run ends."""
        ends = {"COMPLETED", "CANCELLED", "CRASHED", "FAILED"}
        wait_until(lambda: self.state(run_id) in ends, what="the end of a run", seconds=60, every=0.2)
        return self.state(run_id)

    def names(self, runs: list[str]) -> set[str]:
        """What their states are called."""
        return {str(self.api.get(f"flow_runs/{each}").raise_for_status().json()["state_name"]) for each in runs}

    def states(self, runs: list[str]) -> Counter[str]:
        """How they all stand."""
        return Counter(self.state(each) for each in runs)


@pytest.fixture(name="prefect", scope="module")
def _prefect(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server, server.client() as client:
        client.post("work_pools/", json={"name": POOL, "type": "process"}).raise_for_status()
        yield server


@pytest.fixture(name="schedule")
def _schedule(prefect: PrefectServer, request: pytest.FixtureRequest) -> Iterator[Schedule]:
    with prefect.client() as api:
        flow = api.post("flows/", json={"name": request.node.name}).json()["id"]
        made = api.post("deployments/", json={
            "name": "monitor", "flow_id": flow, "entrypoint": "tests.integration.cycle_flow.cycle",
            "work_pool_name": POOL, "work_queue_name": "monitor",
        })  # fmt: skip
        yield Schedule(api, made.raise_for_status().json()["id"])


@dataclass(frozen=True)
class Watch:
    """`ripcord watch`, and the files by which its cycles and a test speak with each other."""

    begun: Path
    may_end: Path

    def saw(self, cycles: int) -> bool:
        """Answer whether so many cycles began, or more."""
        return self.begun.exists() and self.begun.read_text().count("begun\n") >= cycles


@contextmanager
def watcher(prefect: PrefectServer, directory: Path, hung: float = 600.0) -> Iterator[Watch]:
    """Take up the pool's cycles, which end only when they may."""
    watch = Watch(directory / "cycles", directory / "may-end")
    env = os.environ | prefect.environment | {
        "RIPCORD_WORK_POOL": POOL, "RIPCORD_CATALOGUE": str(ROOT / "deployments" / "services.yaml"),
        "CYCLES": str(watch.begun), "CYCLES_MAY_END": str(watch.may_end), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    script = "import sys; from deployments import cli, responder; responder.HUNG_SECONDS = float(sys.argv.pop()); "
    argv = [sys.executable, "-c", f"{script}sys.argv[1:] = ['watch']; cli.main()", str(hung)]
    with run("watcher", argv, directory=directory, env=env, cwd=ROOT):
        yield watch


def test_of_an_hours_backlog_one_cycle_runs(prefect: PrefectServer, schedule: Schedule, tmp_path: Path) -> None:
    """The newest of thirty that are due; the others are cancelled and never begin."""
    runs = [schedule.due(timedelta(seconds=30 * number)) for number in range(1, 31)]
    # As after an hour; while the server marks one as late, it does not tell of it.
    wait_until(lambda: schedule.names(runs) == {"Late"}, what="the server's mark", seconds=60, every=0.5)

    with watcher(prefect, tmp_path) as watch:
        watch.may_end.touch()
        wait_until(lambda: not schedule.states(runs)["SCHEDULED"], what="the backlog", seconds=90, every=0.5)
        wait_until(lambda: schedule.state(runs[0]) == "COMPLETED", what="the newest", seconds=60, every=0.5)

    assert schedule.states(runs) == {"COMPLETED": 1, "CANCELLED": 29}
    assert watch.begun.read_text() == "begun\n"


def test_a_cycle_that_is_due_while_another_runs_is_cancelled(
    prefect: PrefectServer, schedule: Schedule, tmp_path: Path
) -> None:
    """The running one comes to its end; the next that is due afterwards runs."""
    with watcher(prefect, tmp_path) as watch:
        first = schedule.due(timedelta())
        wait_until(lambda: watch.saw(1), what="the first", seconds=90, every=0.2)
        second = schedule.due(timedelta())
        wait_until(lambda: schedule.state(second) == "CANCELLED", what="the second's end", seconds=60, every=0.2)
        assert schedule.state(first) == "RUNNING"
        assert not watch.saw(2)
        watch.may_end.touch()
        wait_until(lambda: schedule.state(first) == "COMPLETED", what="the first's end", seconds=60, every=0.2)
        # The watcher lets go of a run just after the server says that it ended: one due in between is cancelled too.
        wait_until(lambda: schedule.due(timedelta()) and watch.saw(2), what="the next", seconds=60, every=2)


def test_a_cycle_that_comes_to_light_after_a_newer_one_is_cancelled(
    prefect: PrefectServer, schedule: Schedule, tmp_path: Path
) -> None:
    """It was due before: the newer one has looked. What is due after that one runs."""
    with watcher(prefect, tmp_path) as watch:
        watch.may_end.touch()
        newer = schedule.due(timedelta())
        wait_until(lambda: schedule.state(newer) == "COMPLETED", what="the newer one", seconds=90, every=0.2)
        for _ in range(3):  # the watcher looks each second, and by the second it has let go of the newer one
            assert schedule.end_of(schedule.due(timedelta(seconds=300))) == "CANCELLED"
        assert watch.begun.read_text() == "begun\n"
        wait_until(lambda: schedule.due(timedelta()) and watch.saw(2), what="the next", seconds=60, every=2)


def test_a_cycle_that_hangs_keeps_the_next_one_away_for_a_while_only(
    prefect: PrefectServer, schedule: Schedule, tmp_path: Path
) -> None:
    """What hangs on a system that does not answer must not blind us for ever, nor a clock that was set back."""
    with watcher(prefect, tmp_path, hung=1.0) as watch:
        schedule.due(timedelta())
        wait_until(lambda: watch.saw(1), what="the first", seconds=90, every=0.2)
        earlier = timedelta(hours=1)
        wait_until(lambda: schedule.due(earlier) and watch.saw(2), what="another", seconds=60, every=2)


def test_a_late_cycle_clears_the_backlog_away(
    prefect: PrefectServer, schedule: Schedule, request: pytest.FixtureRequest
) -> None:
    """The newest that is due stays for whoever takes it up, and so does what is not due yet."""
    late = [schedule.due(timedelta(seconds=30 * number)) for number in range(1, 9)]
    future = schedule.due(-timedelta(hours=1))
    known = {PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: prefect.credential}

    with temporary_settings(known):
        assert drop_backlog(request.node.name) == 7
        assert drop_backlog(request.node.name) == 0

    assert schedule.states(late) == {"CANCELLED": 7, "SCHEDULED": 1}
    assert schedule.states([late[0], future]) == {"SCHEDULED": 2}
