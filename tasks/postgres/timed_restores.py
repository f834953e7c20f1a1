"""The SQL of a restore on RDS: prove the restored database, close the damaged one, ask on the clients' way.

The conninfo of the catalogue has the clients' name, which leads to the damaged database first and to the restored one
afterwards. So each step is told by which address RDS reaches the one it is about, and looks at the marks in it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from prefect import get_run_logger, task

from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable
from recovery.rds import Frozen, Managed, TimedPoint
from recovery.rds_catalog import Rds, Reached
from recovery.rds_plans import judge_restored
from recovery.restore_points import WayBack
from tasks.postgres.connection import quoted, session, way_at
from tasks.postgres.damaged import count_rows
from tasks.postgres.freezing import database_name, elsewhere, empty
from tasks.postgres.numbers import move, read_counters, read_numbers
from tasks.postgres.reading import read_state
from tasks.postgres.smoke import ask_smoke
from tasks.postgres.timed_notes import forget_frozen, keep_frozen, read_frozen
from tasks.postgres.timed_points import MARKS, read_marks
from tasks.retry import LOOKING_AGAIN, spoken

RESTORED = "restored"
ANSWER_SECONDS = 1800.0  # a new name is in effect after some 10 minutes, and an old one stays in caches
POLL_SECONDS = 5.0


@task(name="count damaged", **LOOKING_AGAIN)
def count_damaged(rds: Rds, point: TimedPoint, damaged: Managed | None) -> Mapping[str, int | None]:
    """Rows per table of the damaged database now; nothing where it does not let us in."""
    return count_rows(rds, point.after.counts, way_to(rds, damaged)) if damaged and damaged.host else {}


@task(name="prove restored", **LOOKING_AGAIN)
def prove_restored(rds: Rds, point: TimedPoint, restored: Managed) -> WayBack:
    """Compare the restored database with what was at the point, and ask it; one that was proved before is not again.

    Raises Refused when it is not what was: nobody is led to it.
    """
    way = way_to(rds, restored)
    with session(rds, way) as asked:
        if RESTORED in read_marks(asked, point.name):
            return WayBack(True, f"skipped: {restored.identifier} was proved before", point.name)
    proof = prove_copy.fn(rds, point, restored)
    if not proof.proved:
        raise Refused(f"{proof.reason}: nobody is led to {restored.identifier}, look at it")
    with session(rds, way) as asked:
        asked.rows(
            f"INSERT INTO {MARKS} (service, version, attempt, name, mark) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            point.service, point.version, point.attempt, point.name, RESTORED,
        )  # fmt: skip
    return proof


@task(name="prove copy", **LOOKING_AGAIN)
def prove_copy(rds: Rds, point: TimedPoint, restored: Managed) -> WayBack:
    """Answer whether a restored database is what was at the point, and ask it; it is left as it is."""
    way = way_to(rds, restored)
    with session(rds, way) as asked:
        marks, state = read_marks(asked, point.name), read_state(asked)
    return judge_restored(point, state, marks, ask_smoke(rds, way), rds)


@task(name="close damaged", **LOOKING_AGAIN)
@spoken
def close_damaged(rds: Rds, point: TimedPoint, damaged: Managed) -> str:
    """Let nobody into the damaged database any more and end who is in it; when that was, and its numbers, are kept.

    Raises Refused when it is the restored one, or the role may not do it; Unavailable when it does not answer or
    somebody does not go.
    """
    way, name = way_to(rds, damaged), database_name(rds)
    with elsewhere(rds, address_of(damaged)) as asked:
        allowed = asked.value("SELECT datallowconn FROM pg_database WHERE datname = %s", name)
        if allowed:
            with session(rds, way) as last:
                if RESTORED in read_marks(last, point.name):
                    raise Refused(
                        f"{damaged.identifier} answers as the restored one: it is not closed, look at its name"
                    )
                # Noted before, lest a death right after it forget them, and again when nobody can take one any more.
                keep_frozen(point, Frozen(datetime.now(UTC), dict(read_numbers(last) or {})))
                asked.rows(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false")
                empty(asked, name, but=int(str(last.value("SELECT pg_backend_pid()"))))
                keep_frozen(point, Frozen(datetime.now(UTC), dict(read_numbers(last) or {})))
        asked.rows(f"ALTER DATABASE {quoted(name)} SET default_transaction_read_only = on")
        empty(asked, name)
    frozen = read_frozen.fn(point)
    when = f", at {frozen.at:%Y-%m-%d %H:%M:%S} UTC" if frozen else ""
    return f"{'closed' if allowed else 'skipped: closed before'} {damaged.identifier}: nobody is connected to it{when}"


@task(name="move numbers", **LOOKING_AGAIN)
@spoken
def move_numbers(rds: Rds, point: TimedPoint, restored: Managed) -> str:
    """Move each sequence of the restored database past what the damaged one has handed out. Never raises."""
    return move_frozen(rds, way_to(rds, restored), read_frozen.fn(point))


def move_frozen(database: Reached, way: Mapping[str, str], frozen: Frozen | None) -> str:
    """Move each sequence past what was kept of the damaged ones, and say so. Never raises."""
    if frozen is None or not frozen.numbers:
        return "sequences were not moved, the damaged database did not say theirs: numbers may be given out again"
    try:
        with session(database, way) as asked:
            found = read_counters(asked)
            moved = [name for name, counter in found.items() if move(asked, name, counter, frozen.numbers)]
    except RecoveryError as error:
        return f"sequences were not moved ({error}): numbers may be given out again"
    return f"moved {len(moved)} sequences past what was handed out since the point" if moved else "skipped: no sequence"


@task(name="ask by name", **LOOKING_AGAIN)
@spoken
def ask_by_name(rds: Rds, point: TimedPoint, final: Managed) -> str:
    """Wait until the clients' name leads to the restored data, and ask the smoke queries there.

    Raises Incomplete when it does not come to that, or when it is answered otherwise: the names are exchanged by then.
    """
    way, deadline = way_to(rds, final), time.monotonic() + ANSWER_SECONDS
    while (trouble := _trouble(rds, point, way)) is not None:
        if time.monotonic() > deadline:
            raise Incomplete(f"{final.identifier} does not lead to the restored data: {trouble}; look at it")
        time.sleep(POLL_SECONDS)
    wrong = ask_smoke(rds, way)
    if wrong:
        raise Incomplete(f"{final.identifier}: {'; '.join(wrong)}: the clients are led there, a person must look")
    return f"{final.identifier} takes writes, has the restored data and answers {len(rds.smoke)} smoke queries"


@contextmanager
def opening_again(rds: Rds, point: TimedPoint, damaged: Managed | None) -> Iterator[None]:
    """Open the damaged database again when what is inside fails before the names were exchanged.

    A failure that is Incomplete says that they were, or may have been: from then on there is only forward.
    """
    try:
        yield
    except Incomplete:
        raise
    except Exception:
        if damaged is not None:
            _open(rds, point, damaged)
        raise


def way_to(rds: Rds, seen: Managed) -> dict[str, str]:
    """The catalogue's conninfo, led to an address that RDS names."""
    return way_at(rds, address_of(seen))


def address_of(seen: Managed) -> dict[str, str]:
    """Where RDS reaches it."""
    return {"host": seen.host, "port": str(seen.port)}


def _trouble(rds: Rds, point: TimedPoint, way: Mapping[str, str]) -> str | None:
    """Why the name does not lead to the restored data yet."""
    try:
        with session(rds, way) as asked:
            if "after" in (marks := read_marks(asked, point.name)) or RESTORED not in marks:
                return "it answers, and has not the restored data"
            if asked.value("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"):
                return "it takes no writes"
    except (Refused, Unavailable) as error:
        return str(error)
    return None


def _open(rds: Rds, point: TimedPoint, damaged: Managed) -> None:
    name = database_name(rds)
    with suppress(Unavailable), elsewhere(rds, address_of(damaged)) as asked:
        if not asked.value("SELECT datallowconn FROM pg_database WHERE datname = %s", name):
            asked.rows(f"ALTER DATABASE {quoted(name)} RESET default_transaction_read_only")
            asked.rows(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS true")
            forget_frozen(point)
            get_run_logger().warning(f"opened {damaged.identifier} again: nothing was exchanged, all is as it was")
