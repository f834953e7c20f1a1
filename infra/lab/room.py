"""Is there room on the disk? What a full one breaks fails in as many words as there are servers."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.lab.process import DiskFull

MEGABYTE = 1024 * 1024
NEEDED = 600 * MEGABYTE
"""What a world takes: databases, write-ahead logs, the Prefect pages, a quarter of an hour of samples."""
LEFT = 4 * MEGABYTE
"""With less than this a failure is put down to the disk, whatever its words are: a server may be unable to log them."""
WORDS = ("no space left on device", "disk is full", "disk full", "disk quota exceeded")


@contextmanager
def room(directory: Path, needed: int = NEEDED) -> Iterator[None]:
    """Begin only with `needed` bytes free for `directory`, and say of what fails meanwhile when the disk is why.

    Raises DiskFull in one sentence with the way out; what failed for other reasons is passed on as it is.
    """
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise DiskFull(
            f"the lab needs {needed // MEGABYTE} MB in {directory} and finds {free // MEGABYTE}: {_way_out()}"
        )
    try:
        yield
    except Exception as error:
        if _of_a_full_disk(error) or _logged(directory) or shutil.disk_usage(directory).free < LEFT:
            raise DiskFull(f"the disk of the lab in {directory} is full: {_way_out()}") from error
        raise


def _way_out() -> str:
    return f"make room there, or name a directory with {NEEDED // MEGABYTE} MB free in TMPDIR"


def _of_a_full_disk(error: BaseException | None) -> bool:
    """Answer whether the error, or one that it came from, is of a full disk."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or _said(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _logged(directory: Path) -> bool:
    """Answer whether a server said so: etcd gives its room back and buries the reason under a stack trace."""
    return any(_said(log.read_text(errors="replace")) for log in directory.rglob("*.log"))


def _said(text: str) -> bool:
    return any(words in text.lower() for words in WORDS)
