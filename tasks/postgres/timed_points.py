"""A point that is a moment, for servers that restore by time alone: between two commits that prove it afterwards.

The commit before it must be in what is restored, the one after it must not. All by SQL that RDS and Aurora take from an
ordinary role: no restore point by name, no position in the WAL.
"""

import time
from datetime import UTC, datetime, timedelta

from prefect import task

from recovery.errors import Refused
from recovery.rds import Managed, Moment, TimedPoint
from recovery.rds_catalog import Rds
from recovery.rds_gates import SECONDS_APART, TimedChoice
from tasks.postgres.connection import Session, session
from tasks.postgres.reading import read_state
from tasks.postgres.timed_notes import keep_timed
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE, spoken

MARKS = "ripcord.timed_points"
_TABLE = f"""
CREATE SCHEMA IF NOT EXISTS ripcord;
CREATE TABLE IF NOT EXISTS {MARKS} (
    service text, version text, attempt int, name text, mark text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (name, mark)
)
"""


@task(name="read attempts", task_run_name="read the attempts at a point of {service} {version}", **LOOKING_AGAIN)
def read_attempts(service: str, version: str, rds: Rds) -> tuple[int, datetime]:
    """The newest attempt that was begun for a release, 0 for none, and the server's clock."""
    with session(rds) as asked:
        now: datetime = asked.value("SELECT clock_timestamp()")
        if asked.value("SELECT to_regclass(%s)", MARKS) is None:
            return 0, now
        statement = f"SELECT coalesce(max(attempt), 0) FROM {MARKS} WHERE service = %s AND version = %s"
        return int(asked.value(statement, service, version)), now


@task(name="mark point", task_run_name="mark the point of {service} {version}", **ON_UNAVAILABLE)
def mark_point(service: str, version: str, rds: Rds, choice: TimedChoice, seen: Managed) -> TimedPoint:
    """Commit before a whole second, and after it; what was then is kept in the archive.

    Killed in between, the next try takes the next attempt: the archive knows of this one nothing.
    """
    if choice.kept is not None:
        return choice.kept
    with session(rds) as asked:
        if asked.value("SELECT to_regclass(%s)", MARKS) is None:
            asked.rows(_TABLE)
        before = read_state(asked)
        committed = _mark(asked, service, version, choice, "before")
        at = committed.replace(microsecond=0) + timedelta(seconds=1 + SECONDS_APART)
        _wait_past(asked, at + timedelta(seconds=SECONDS_APART))
        _mark(asked, service, version, choice, "after")
        after = read_state(asked)
    point = TimedPoint(service, version, choice.name, choice.attempt, at, seen.identifier, seen.resource, before, after)
    keep_timed(point)
    return point


@task(name="read moment", **LOOKING_AGAIN)
def read_moment(rds: Rds, name: str, seen: Managed) -> Moment:
    """The next whole second of the server's clock: a copy that is restored to it has all that is committed now."""
    with session(rds) as asked:
        now: datetime = asked.value("SELECT clock_timestamp()")
    at = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    return Moment(name, at, seen.identifier, seen.resource)


@task(name="say point", **LOOKING_AGAIN)
@spoken
def say_point(point: TimedPoint) -> str:
    """The point in a sentence, for the run's log."""
    return f"the point {point.name} is at {point.at:%Y-%m-%d %H:%M:%S} UTC, {sum(point.after.counts.values())} rows"


def read_marks(asked: Session, name: str) -> frozenset[str]:
    """Which commits of a point a database has."""
    if asked.value("SELECT to_regclass(%s)", MARKS) is None:
        return frozenset()
    return frozenset(str(row[0]) for row in asked.rows(f"SELECT mark FROM {MARKS} WHERE name = %s", name))


def _mark(asked: Session, service: str, version: str, choice: TimedChoice, mark: str) -> datetime:
    rows = asked.rows(
        f"INSERT INTO {MARKS} (service, version, attempt, name, mark) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING RETURNING made_at",
        service, version, choice.attempt, choice.name, mark,
    )  # fmt: skip
    if not rows:
        raise Refused(f"another gate has marked {choice.name} meanwhile: run this one again")
    # The row's time is of before the commit, and the commit's own is what recovery looks at.
    committed: datetime = asked.value("SELECT clock_timestamp()")
    return committed.astimezone(UTC)


def _wait_past(asked: Session, moment: datetime) -> None:
    """Wait by the server's clock, which is the one that recovery reads."""
    while not asked.value("SELECT clock_timestamp() > %s", moment):
        time.sleep(0.1)
