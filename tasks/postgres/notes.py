"""A value of `recovery` as a file beside what it is about: written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from recovery.errors import Refused, Unavailable
from tasks.postgres.programs import give

T = TypeVar("T")


def read_note(path: Path, kind: type[T]) -> T | None:
    """The value in a file; None where there is no file. Raises Refused when it is not what was written there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            return TypeAdapter(kind).validate_json(path.read_bytes())
        except ValidationError:
            raise Refused(f"{path} is not what was written there: move its directory away, and begin anew") from None
        except PermissionError:
            raise Refused(f"{path} is closed to us: run ripcord as the user who owns it") from None
    return None


def write_note(path: Path, value: object) -> None:
    """Put a value into a file that only its owner reads. Raises Unavailable when the disk is full."""
    write_closed(path, TypeAdapter(type(value)).dump_json(value, indent=2).decode())


def write_closed(path: Path, text: str) -> None:
    """Put a text into a file that only the user of PostgreSQL's programs reads, by one rename."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(
            os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="surrogateescape"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        give(fresh)
        fresh.rename(path)
        settle(path.parent)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise Unavailable(f"{path} cannot be written: {error.strerror}; make room there") from None


def settle(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk: a machine that loses its power must not forget a set."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
