"""Files of the archive: whole or not there, whoever writes at once and however full its disk is."""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from recovery.errors import Refused, Unavailable

T = TypeVar("T")


def keep(path: Path, content: bytes) -> None:
    """Write a file of the archive beside its place and rename it.

    Raises Unavailable with the path and the way out when it cannot be written; nothing is left of the try.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)
    except OSError as error:
        way_out = "make room there, or set RIPCORD_ARCHIVE to a directory that can be written"
        raise Unavailable(f"{path} in the archive cannot be written: {error.strerror}; {way_out}") from error


def keep_value(path: Path, value: object) -> None:
    """Keep a value as JSON."""
    keep(path, TypeAdapter(type(value)).dump_json(value, indent=2))


def read_value(path: Path, kind: type[T]) -> T | None:
    """What was kept; None where nothing was. Raises Refused when it is not what was written there."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise Refused(f"{path} is not what was written there: move it away, and run the gate again") from None
    except OSError as error:
        raise Unavailable(f"{path} in the archive cannot be read: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
