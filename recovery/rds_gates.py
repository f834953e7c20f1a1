"""Whether RDS can take a database back to before a deployment, and which moment stands for that.

Pure: what RDS and PostgreSQL said arrives as an argument.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from recovery.catalog import Service
from recovery.durations import show_duration
from recovery.errors import Refused
from recovery.rds import AVAILABLE, Managed, Reachable, TimedPoint
from recovery.rds_catalog import Rds
from recovery.restore_points import WayBack, point_name, show_age


class Kept(Protocol):
    """A point that is kept outside of its database."""

    @property
    def service(self) -> str:
        """Whose it is."""

    @property
    def version(self) -> str:
        """The release before which it was made."""

    @property
    def at(self) -> datetime:
        """When it was made."""


P = TypeVar("P", bound=Kept)
SECONDS_APART = 1  # between a commit and the point: RDS takes whole seconds


@dataclass(frozen=True, slots=True)
class TimedChoice:
    """Which point the gate is about: one that was kept, or the name and attempt of one that is to be made."""

    name: str
    attempt: int
    reason: str
    kept: TimedPoint | None = None


def rds_of(service: Service) -> Rds:
    """The service's database on RDS. Raises Refused when the catalogue names none."""
    if service.rds is None:
        raise Refused(f"the catalogue names no RDS database of {service.name}: add `rds`")
    return service.rds


def judge_gate(rds: Rds, seen: Managed | None) -> str:
    """Answer in a sentence that RDS can restore this database to a time. Raises Refused with all that is against it."""
    if seen is None:
        raise Refused(f"RDS has no {rds.name} in {rds.region}: check `instance` or `cluster`, and `region`")
    wrong = []
    if seen.status != AVAILABLE:
        wrong.append(f"{rds.name} is {seen.status} and not {AVAILABLE}: wait until it is, or mend it")
    if seen.retention == 0:
        wrong.append(f"{rds.name} keeps no automated backups: set its backup retention to a day or more")
    if seen.source:
        wrong.append(f"{rds.name} is a replica of {seen.source}: name that, it is what is restored")
    if seen.settings.get("GlobalClusterIdentifier"):
        wrong.append(f"{rds.name} is in a global cluster, whose other regions would follow the damaged one")
    if wrong:
        raise Refused("; ".join(wrong))
    return f"{rds.name} is {AVAILABLE} and keeps {seen.retention} days of backups"


def choose_time(
    service: str,
    version: str,
    fresh: timedelta,
    attempts: int,
    kept: TimedPoint | None,
    seen: Managed | None,
    now: datetime,
) -> TimedChoice:
    """The point that serves, or the next one to be made; `attempts` are those that were begun, on the server."""
    same = kept is not None and seen is not None and kept.resource == seen.resource
    if kept is not None and same and kept.attempt >= attempts and timedelta() <= now - kept.at <= fresh:
        return TimedChoice(kept.name, kept.attempt, f"{kept.name} was made {show_age(now - kept.at)} ago", kept)
    attempt = max(attempts, kept.attempt if kept else 0) + 1
    name = point_name(service, version, attempt)
    if kept is None and attempts == 0:
        return TimedChoice(name, attempt, "there is no point for it yet")
    if kept is None or kept.attempt < attempts:
        return TimedChoice(name, attempt, f"attempt {attempts} was begun and not finished")
    if not same:
        return TimedChoice(name, attempt, f"{kept.name} is of a database that was exchanged since")
    limit = show_duration(fresh)
    return TimedChoice(name, attempt, f"{kept.name} is of {kept.at:%Y-%m-%d %H:%M:%S}, and a point stands for {limit}")


def choose_drilled_time(service: str, points: Sequence[TimedPoint], seen: Managed | None) -> TimedPoint:
    """The newest point of this very database. Raises Refused when there is none."""
    ours = [each for each in points if seen is not None and each.resource == seen.resource]
    if not ours:
        raise Refused(f"{service} has no point to which RDS could restore: run `ripcord gate {service} VERSION`")
    return max(ours, key=lambda each: each.at)


def newest_of(version: str, points: Sequence[P]) -> P | None:
    """The newest point that is kept of a release."""
    return max((each for each in points if each.version == version), key=lambda each: each.at, default=None)


def judge_reach(seen: Managed, point: Reachable) -> str | None:
    """Why RDS cannot restore to the point yet; None when it can. Raises Refused when it never will."""
    if seen.resource != point.resource:
        raise Refused(
            f"{seen.identifier} is {seen.resource}, and {point.name} is of {point.resource}: run the gate again"
        )
    if seen.latest is None or seen.latest <= point.at:
        latest = f"{seen.latest:%H:%M:%S}" if seen.latest else "nothing"
        return f"RDS can restore up to {latest} UTC and the point is at {point.at:%H:%M:%S}"
    return None


def say_reached(seen: Managed, point: TimedPoint, snapshot: str) -> WayBack:
    """The gate's yes, which does not claim that a copy was restored: on RDS that is another instance."""
    said = (
        f"RDS can restore {seen.identifier} to {point.at:%Y-%m-%d %H:%M:%S} UTC ({point.name}), with "
        f"{sum(point.before.counts.values())} rows counted; no copy was restored{snapshot}"
    )
    return WayBack(True, said, point.name)
