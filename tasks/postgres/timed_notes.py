"""What is kept of a point in time outside of the database that may be damaged: files of the archive."""

from pathlib import Path
from typing import Protocol

from prefect import task

from recovery.rds import Frozen, TimedPoint
from tasks.archive import keep_value, read_value
from tasks.retry import LOOKING_AGAIN
from tasks.settings import read_settings


class Named(Protocol):
    """A point of a service."""

    @property
    def service(self) -> str:
        """Whose it is."""

    @property
    def name(self) -> str:
        """Its name."""


@task(name="read points", task_run_name="read the points of {service}", **LOOKING_AGAIN)
def read_timed(service: str) -> tuple[TimedPoint, ...]:
    """Every point that is kept of a service. Raises Refused when one cannot be read: it may be the newest."""
    found = [read_value(path, TimedPoint) for path in sorted(place_of_points(service).glob("*.point.json"))]
    return tuple(each for each in found if each is not None)


def keep_timed(point: TimedPoint) -> None:
    """Keep a point. Raises Unavailable when the archive cannot be written."""
    keep_value(place_of_points(point.service) / f"{point.name}.point.json", point)


@task(name="read frozen", **LOOKING_AGAIN)
def read_frozen(point: Named) -> Frozen | None:
    """When the damaged database was closed for the restore to a point; None when it was not."""
    return read_value(_frozen(point), Frozen)


def keep_frozen(point: Named, frozen: Frozen) -> None:
    """Keep what the damaged database was like when it was closed."""
    keep_value(_frozen(point), frozen)


def forget_frozen(point: Named) -> None:
    """The damaged database was opened again."""
    _frozen(point).unlink(missing_ok=True)


def _frozen(point: Named) -> Path:
    return place_of_points(point.service) / f"{point.name}.frozen.json"


def place_of_points(service: str) -> Path:
    """Where what is kept of a service's points lies."""
    return read_settings().archive / "points" / service
