"""What is kept of a point in time outside of the database that may be damaged: files of the archive."""

from pathlib import Path
from typing import TypeVar

from prefect import task
from pydantic import TypeAdapter, ValidationError

from recovery.errors import Refused, Unavailable
from recovery.rds import Frozen, TimedPoint
from tasks.archive import keep
from tasks.retry import ON_UNAVAILABLE
from tasks.settings import read_settings

T = TypeVar("T")
LOOKING_AGAIN = ON_UNAVAILABLE | {"persist_result": False}


@task(name="read points", task_run_name="read the points of {service}", **LOOKING_AGAIN)
def read_timed(service: str) -> tuple[TimedPoint, ...]:
    """Every point that is kept of a service. Raises Refused when one cannot be read: it may be the newest."""
    found = [_read(path, TimedPoint) for path in sorted(_place(service).glob("*.point.json"))]
    return tuple(each for each in found if each is not None)


def keep_timed(point: TimedPoint) -> None:
    """Keep a point. Raises Unavailable when the archive cannot be written."""
    _keep(_place(point.service) / f"{point.name}.point.json", point)


@task(name="read frozen", **LOOKING_AGAIN)
def read_frozen(point: TimedPoint) -> Frozen | None:
    """When the damaged database was closed for the restore to a point; None when it was not."""
    return _read(_frozen(point), Frozen)


def keep_frozen(point: TimedPoint, frozen: Frozen) -> None:
    """Keep what the damaged database was like when it was closed."""
    _keep(_frozen(point), frozen)


def forget_frozen(point: TimedPoint) -> None:
    """The damaged database was opened again."""
    _frozen(point).unlink(missing_ok=True)


def _frozen(point: TimedPoint) -> Path:
    return _place(point.service) / f"{point.name}.frozen.json"


def _place(service: str) -> Path:
    return read_settings().archive / "points" / service


def _keep(path: Path, value: object) -> None:
    keep(path, TypeAdapter(type(value)).dump_json(value, indent=2))


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise Refused(f"{path} is not what was written there: move it away, and run the gate again") from None
    except OSError as error:
        raise Unavailable(f"{path} in the archive cannot be read: {error.strerror}") from None
