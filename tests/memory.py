"""Tests work in memory where there is room: they make some hundred databases, and a disk would time only itself.

Every server's files lie where Python's `tempfile` puts them, so one variable, TMPDIR, moves them all. Whoever sets it
has chosen a place; a machine with too little memory keeps its usual one.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  (a directory is made in it that was not there before, or none is used)
PREFIX = "ripcord-"  # short: the path of a socket may have 107 bytes
GIGABYTE = 1024**3
NEEDED = 8 * GIGABYTE
"""Half more than a run of all took at its highest."""


def move_in() -> Path | None:
    """Have this process and its children make their temporary files in memory; returns where, or None."""
    if "TMPDIR" in os.environ or not _has_room():
        return None
    _clear()
    room = MEMORY / f"{PREFIX}{os.getpid()}"
    try:
        room.mkdir()
    except FileExistsError:
        return None
    room.chmod(0o1777)  # as /tmp: root's servers run as somebody else
    os.environ["TMPDIR"] = tempfile.tempdir = str(room)
    return room


def move_out(room: Path) -> None:
    """Give the memory back."""
    shutil.rmtree(room, ignore_errors=True)


def _has_room() -> bool:
    with suppress(OSError):
        usage = os.statvfs(MEMORY)
        free = min(usage.f_bavail * usage.f_frsize, _available() // 2)
        return free >= NEEDED and not usage.f_flag & os.ST_NOEXEC
    return False


def _available() -> int:
    """Bytes of memory that are there for the taking, as Linux counts them (proc_meminfo(5))."""
    [line] = [each for each in Path("/proc/meminfo").read_text().splitlines() if each.startswith("MemAvailable:")]
    return int(line.split()[1]) * 1024


def _clear() -> None:
    """Remove what runs that were killed have left."""
    for left in MEMORY.glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX)
        ours = owner.isdigit() and left.lstat().st_uid == os.geteuid()
        if ours and (owner == str(os.getpid()) or not Path("/proc", owner).exists()):
            move_out(left)
