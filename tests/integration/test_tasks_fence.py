"""The fence between two recoveries of one service, on a real PostgreSQL, between real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from prefect.logging import disable_run_logger

from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from recovery.errors import Unavailable
from tasks import fence
from tasks.fence import alive_runs, lock_key, one_at_a_time, under_way

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from tasks import fence
from tasks.fence import one_at_a_time
fence.BEAT_SECONDS = 1.0
with one_at_a_time(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""
WHO_HOLDS = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted = %s ORDER BY 1
"""


@pytest.fixture(name="database", scope="module")
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of our own: it is restarted here."""
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(autouse=True)
def _settings(database: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RIPCORD_LOCK_URL", database.dsn())
    monkeypatch.setattr(fence, "BEAT_SECONDS", 0.1)
    with disable_run_logger():
        yield


@pytest.fixture(name="stack")
def _stack() -> Iterator[ExitStack]:
    """Ends whatever a test has started."""
    with ExitStack() as stack:
        yield stack


def begin(stack: ExitStack, run: str, service: str = "shop") -> "subprocess.Popen[str]":
    """A process of its own that is the run and enters the fence; it leaves when it is told a line."""
    environment = os.environ | {"PREFECT__RUNTIME__FLOW_RUN__ID": run}
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, service],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
    )  # fmt: skip
    stack.callback(process.kill)
    return process


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert heard(process) == "left"


def sessions(database: Postgres, *, granted: bool) -> list[str]:
    """Who holds, or awaits, an advisory lock, as PostgreSQL's own views tell it."""
    with psycopg.connect(database.dsn()) as connection:
        return [str(row[0]) for row in connection.execute(WHO_HOLDS, (granted,)).fetchall()]


def until(database: Postgres, names: list[str], *, granted: bool) -> None:
    what = f"{names} in pg_locks, granted={granted}"
    wait_until(lambda: sessions(database, granted=granted) == names, what=what, seconds=20, every=0.1)


def test_a_second_run_of_a_service_waits_for_the_first(database: Postgres, stack: ExitStack) -> None:
    """It gets in when the first has left, and not before; both are alive in the meantime."""
    first = begin(stack, "run-1")
    assert heard(first) == "held"
    second = begin(stack, "run-2")
    until(database, ["ripcord run run-2"], granted=False)

    assert sessions(database, granted=True) == ["ripcord run run-1"]
    assert alive_runs() == {"run-1", "run-2"}
    leave(first)
    assert heard(second) == "held"
    leave(second)
    until(database, [], granted=True)
    assert alive_runs() == set()


def test_another_service_does_not_wait(database: Postgres, stack: ExitStack) -> None:
    """Each service has a lock of its own."""
    for run, service in (("run-1", "shop"), ("run-2", "billing")):
        assert heard(begin(stack, run, service)) == "held"

    assert lock_key("shop") != lock_key("billing")
    assert sessions(database, granted=True) == ["ripcord run run-1", "ripcord run run-2"]


def test_who_is_under_way_is_alive_between_its_locks_and_keeps_nobody_out(database: Postgres, stack: ExitStack) -> None:
    """The run can be told from a dead one, and another run of the service gets in."""
    with under_way():
        assert len(alive_runs() or ()) == 1
        with one_at_a_time("shop"):
            pass
        assert heard(begin(stack, "run-2")) == "held"
        assert sessions(database, granted=True) == ["ripcord run run-2"]
        assert "run-2" in (alive_runs() or ())
        assert len(alive_runs() or ()) == 2


def test_kill_9_frees_the_lock_at_once(database: Postgres, stack: ExitStack) -> None:
    """The dead no longer count as alive, and whoever waited goes on."""
    first = begin(stack, "run-1")
    assert heard(first) == "held"
    second = begin(stack, "run-2")
    until(database, ["ripcord run run-2"], granted=False)

    first.kill()

    assert heard(second) == "held"
    until(database, ["ripcord run run-2"], granted=True)
    assert alive_runs() == {"run-2"}


def test_a_restart_of_postgresql_does_not_end_the_fence(database: Postgres, stack: ExitStack) -> None:
    """The holder takes its lock again, and a run that comes later still waits."""
    with one_at_a_time("shop"):
        database.restart()
        until(database, ["ripcord run None"], granted=True)
        second = begin(stack, "run-2")
        until(database, ["ripcord run run-2"], granted=False)

    assert heard(second) == "held"


def test_a_run_that_comes_right_after_a_restart_lets_the_holder_go_first(database: Postgres, stack: ExitStack) -> None:
    """The server has forgotten who held the lock: a newcomer that is quicker than the holder's beat steps back."""
    first = begin(stack, "run-1")
    assert heard(first) == "held"
    database.restart()
    second = begin(stack, "run-2")

    until(database, ["ripcord run run-1"], granted=True)
    until(database, ["ripcord run run-2"], granted=False)
    leave(first)
    assert heard(second) == "held"


def test_whoever_left_while_retaking_the_lock_does_not_keep_it(database: Postgres, stack: ExitStack) -> None:
    """A holder cut off, overtaken and then done must not take the lock when it becomes free."""
    with one_at_a_time("shop"):
        second = begin(stack, "run-2")
        until(database, ["ripcord run run-2"], granted=False)
        with psycopg.connect(database.dsn(), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ripcord run None'"
            )
        assert heard(second) == "held"
        wait_until(lambda: alive_runs() == {"None", "run-2"}, what="the new connection", seconds=20, every=0.1)

    leave(second)

    until(database, [], granted=True)
    assert heard(begin(stack, "run-3")) == "held"


def test_inside_itself_it_does_not_wait(database: Postgres) -> None:
    """A recovery whose parts are fenced too is one recovery: the inner fence neither waits nor frees."""
    with one_at_a_time("shop"):
        with one_at_a_time("shop"):
            pass
        assert sessions(database, granted=True) == ["ripcord run None"]

    until(database, [], granted=True)


def test_the_fence_opens_when_the_block_fails(database: Postgres) -> None:
    """An error goes through and the lock is free."""
    with pytest.raises(ZeroDivisionError), one_at_a_time("shop"):
        raise ZeroDivisionError

    until(database, [], granted=True)


def test_without_postgresql_nobody_acts_and_no_password_is_told(
    database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer is Unavailable; the sentence does not hold its password."""
    monkeypatch.setenv("RIPCORD_LOCK_URL", database.dsn().replace(f":{database.port}/", ":1/"))
    acted = []

    with pytest.raises(Unavailable, match="the lock database did not answer") as first, one_at_a_time("shop"):
        acted.append("acted")
    with pytest.raises(Unavailable, match="the lock database did not answer") as second:
        alive_runs()

    assert acted == []
    assert database.password not in f"{first.value} {second.value}"


def test_without_a_fence_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address: the block runs all the same, and who is alive is unknown rather than nobody."""
    monkeypatch.delenv("RIPCORD_LOCK_URL")
    acted = []

    with one_at_a_time("shop"):
        acted.append("acted")

    assert acted == ["acted"]
    assert alive_runs() is None
