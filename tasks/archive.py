"""Files of the archive: whole or not there, whoever writes at once and however full its disk is."""

import os
import tempfile
from pathlib import Path

from recovery.errors import Unavailable


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
