"""A fix among other people's locks and deaths: applied exactly once, or not at all, and it says which."""

import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest

from infra.lab.postgres import Postgres
from infra.lab.process import wait_until
from recovery.errors import Incomplete, Unavailable
from recovery.fixes import LOCK_TIMEOUT, FixPlan, Ground
from tasks.postgres import applying, clones, fixing, scripts
from tasks.postgres.applying import apply_fix, verify_fix
from tasks.postgres.connection import Session
from tasks.postgres.scripts import Done
from tests.integration.lost_commits import kill_all, through
from tests.integration.mending import Mended, mended_shop

FIX = (
    "INSERT INTO carts (id) VALUES (5000); ALTER TABLE carts ADD note text; CREATE INDEX carts_by_note ON carts (note)"
)
SENDS = 7  # BEGIN, the register's row, three statements, the constraints, COMMIT
numbers = itertools.count(1)


@pytest.fixture(name="mended")
def _mended(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mended]:
    with mended_shop(archiving, f"shop{next(numbers)}", monkeypatch) as mended:
        yield mended


def apply(mended: Mended, rehearsed: tuple[FixPlan, Ground]) -> str:
    """Apply a plan as the flow would."""
    plan, ground = rehearsed
    return apply_fix.fn(plan, mended.shop.database, ground)


def is_applied(mended: Mended) -> bool:
    """Whether the fix is in the database: all of it with its row in the register, or nothing. Else the test fails."""
    rows = mended.run("SELECT count(*) FROM carts WHERE id = 5000")[0][0]
    columns = mended.run("SELECT count(*) FROM pg_attribute WHERE attrelid = 'carts'::regclass AND attname = 'note'")
    seen = (rows, columns[0][0], len(mended.registered()))
    assert seen in ((0, 0, 0), (1, 1, 1))
    return seen == (1, 1, 1)


def nobody_left(mended: Mended) -> None:
    """Wait until the server has noticed that we are gone."""
    gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'ripcord%'"
    wait_until(lambda: mended.run(gone) == [(0,)], what="the end of our sessions", seconds=30)


def die_at(count: int, *, after: bool) -> int:
    """A child of ours that dies by kill -9 before or after a statement of the fix; returns its exit status."""
    original, sent = scripts._send, itertools.count(1)

    def deadly(*given: object, **named: object) -> object:
        number = next(sent)
        if number == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = original(*given, **named)  # type: ignore[arg-type]
        if number == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    scripts._send = deadly  # type: ignore[assignment]
    return count


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a child of ours; returns the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@contextmanager
def holding(mended: Mended, statement: str, name: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Somebody else's transaction that holds what a statement locks."""
    with psycopg.connect(mended.shop.server.dsn(mended.shop.service.name), application_name=name) as connection:
        connection.execute(statement.encode())
        yield connection


def test_a_long_transaction_is_named_and_nobody_queues_behind_us(
    mended: Mended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We do not even begin to wait: a query of somebody else is never held up; when it ends, the fix is applied."""
    rehearsed, slowest, over = mended.rehearsed(FIX), [0.0], threading.Event()
    monkeypatch.setattr(applying, "LOCK_TIMEOUT", LOCK_TIMEOUT / 4)

    def ask() -> None:
        with psycopg.connect(mended.shop.server.dsn(mended.shop.service.name), autocommit=True) as connection:
            while not over.wait(0.02):
                began = time.monotonic()
                connection.execute("SELECT count(*) FROM carts")
                slowest[0] = max(slowest[0], time.monotonic() - began)

    with holding(mended, "SELECT count(*) FROM carts", "nightly report") as report:
        time.sleep(0.6)
        asking = threading.Thread(target=ask)
        asking.start()
        with pytest.raises(Unavailable) as unavailable:
            apply(mended, rehearsed)
        over.set()
        asking.join()

        pid = report.info.backend_pid
        wanted = rf"public\.carts is held \(AccessShareLock\) by process {pid}, nightly report, since \d{{4}}-"
        assert re.search(wanted, str(unavailable.value))
        assert "was not applied in 5 tries, nothing was changed" in str(unavailable.value)
        assert slowest[0] < LOCK_TIMEOUT.total_seconds()
        assert not is_applied(mended)
    assert apply(mended, rehearsed).startswith("applied the fix")
    assert is_applied(mended)


def test_a_short_lock_is_waited_for_and_tried_again(mended: Mended, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try gives up in time; the holder is younger than that and so part of the traffic."""
    rehearsed = mended.rehearsed(FIX)
    monkeypatch.setattr(scripts, "LOCK_TIMEOUT", LOCK_TIMEOUT / 20)
    with holding(mended, "LOCK TABLE carts IN SHARE MODE", "import") as other:
        said: list[str] = []

        def let_go(sentence: str) -> None:
            said.append(sentence)
            other.commit()

        monkeypatch.setattr(applying, "_say", let_go)

        assert apply(mended, rehearsed).startswith("applied the fix")

    assert len(said) == 1
    assert "statement 1 on line 1 (INSERT INTO carts (id) VALUES (5000)): canceling statement due to lock" in said[0]
    assert "public.carts is held (ShareLock) by process" in said[0]
    assert is_applied(mended)


def test_killed_at_any_statement_and_run_again_it_is_applied_once(mended: Mended) -> None:
    """Before and after each statement, the commit included; only after the commit it is there already."""
    rehearsed = mended.rehearsed(FIX)
    for count, after in [*((count, False) for count in range(1, SENDS + 1)), (SENDS, True)]:

        def work(count: int = count, after: bool = after) -> None:
            die_at(count, after=after)
            apply(mended, rehearsed)

        assert in_a_child(work) == signal.SIGKILL
        nobody_left(mended)
        assert is_applied(mended) is after
    assert apply(mended, rehearsed).startswith("skipped: the fix was applied at ")
    assert is_applied(mended)
    verify_fix.fn(rehearsed[0], mended.shop.database)


def test_a_stopped_process_of_ours_holds_nobody_up(mended: Mended, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like a host that vanished in the middle: the server itself ends the transaction, and its locks are free."""
    rehearsed = mended.rehearsed(FIX)
    monkeypatch.setattr(scripts, "IDLE", timedelta(seconds=1))
    original = scripts._note_locks

    def stopping(asked: Session, done: Done, began: float) -> None:
        original(asked, done, began)
        os.kill(os.getpid(), signal.SIGSTOP)

    monkeypatch.setattr(scripts, "_note_locks", stopping)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            apply(mended, rehearsed)
        os._exit(0)
    try:
        os.waitpid(child, os.WUNTRACED)
        nobody_left(mended)
        assert not is_applied(mended)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_killed_in_the_rehearsal_leaves_no_server_and_the_next_one_goes_on(mended: Mended) -> None:
    """The clone dies with us; its directory is taken away by whoever comes next."""
    for step in ("_start", "run_script"):

        def work(step: str = step) -> None:
            module = clones if step == "_start" else fixing
            original = getattr(module, step)

            def deadly(*given: object, **named: object) -> None:
                original(*given, **named)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(module, step, deadly)
            mended.rehearsed(FIX)

        assert in_a_child(work) == signal.SIGKILL
        wait_until(lambda: len(mended.left()) == 1, what="the end of the clone", seconds=30)
        assert mended.left() == [f".fix-{mended.shop.service.name}.copy"]
    rehearsed = mended.rehearsed(FIX)
    assert mended.left() == []
    assert not is_applied(mended)
    assert apply(mended, rehearsed).startswith("applied the fix")


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_answer_to_the_commit_is_read_back(
    committed: bool, mended: Mended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server committed and nobody heard of it, or never got to know: the register tells which."""
    rehearsed = mended.rehearsed(FIX)

    def at_commit(forward: Callable[[], object]) -> None:
        if committed:
            forward()
            time.sleep(0.2)

    with through(mended, monkeypatch, at_commit) as swallower:
        said = apply(mended, rehearsed)

    assert swallower.commits == 1
    assert said.startswith("skipped: the fix was applied at" if committed else "applied the fix")
    assert is_applied(mended)


@pytest.mark.parametrize(
    "delay", [0.0, *(pytest.param(each / 1000, marks=pytest.mark.torture) for each in (0.5, 1, 2, 4, 8, 16))]
)
def test_a_server_killed_at_the_commit_has_it_once(
    delay: float, mended: Mended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 right after COMMIT was sent; it comes back, and either all is there or we apply it then."""
    rehearsed, server = mended.rehearsed(FIX), mended.shop.server

    def at_commit(forward: Callable[[], object]) -> None:
        forward()
        time.sleep(delay)
        kill_all(server)
        coming_back.start()

    coming_back = threading.Timer(0.5, server.restart)
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.3")
    with through(mended, monkeypatch, at_commit):
        said = apply(mended, rehearsed)
    coming_back.join()

    assert said.startswith(("skipped: the fix was applied at", "applied the fix"))
    assert is_applied(mended)
    assert apply(mended, rehearsed).startswith("skipped: the fix was applied at")


def test_a_server_that_stays_away_after_the_commit_is_a_doubt(mended: Mended, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something may have been changed: that is no safe answer, and it says where to look; run again, it is known."""
    rehearsed, server = mended.rehearsed(FIX), mended.shop.server

    def at_commit(forward: Callable[[], object]) -> None:
        forward()
        time.sleep(0.2)
        kill_all(server)

    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    with through(mended, monkeypatch, at_commit), pytest.raises(Incomplete) as incomplete:
        apply(mended, rehearsed)
    server.restart()

    assert "SELECT * FROM ripcord.fixes WHERE digest = " in str(incomplete.value)
    assert incomplete.value.done == ("the answer to the commit was lost",)
    assert server.password not in str(incomplete.value)
    assert apply(mended, rehearsed).startswith("skipped: the fix was applied at")
    assert is_applied(mended)


def test_two_at_once_apply_it_once(mended: Mended) -> None:
    """A run that was declared dead may still be alive: the second waits for the register's row, and finds it."""
    rehearsed, said = mended.rehearsed(FIX), list[str]()
    both = [threading.Thread(target=lambda: said.append(apply(mended, rehearsed))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)

    assert sorted(each.partition(" the fix")[0].rstrip(":") for each in said) == ["applied", "skipped"]
    assert is_applied(mended)
