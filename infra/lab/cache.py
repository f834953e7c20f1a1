"""Where what is built stays: found by a name that holds a hash, held by who uses it, pruned when it is old.

A build in use is locked by its users, each for the life of its process: the kernel frees the lock of whoever
dies, by whatever means.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.lab.process import LabError

KEPT = 2
"""Builds of one name: this one and the one before it, for who goes back and forth between two versions."""
_held: dict[Path, int] = {}


def cache() -> Path:
    """The directory of everything that is built once; made when it is not there.

    Raises LabError when no place can be written to.
    """
    wanted = os.environ.get("RIPCORD_CACHE")
    places = [Path(wanted)] if wanted else [_home_cache(), _private_temporary()]
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK | os.X_OK) and (wanted or place.stat().st_uid == os.geteuid()):
            return place.resolve()
    raise LabError(f"no place to keep what is built: {places[0]} cannot be written; set RIPCORD_CACHE")


def _home_cache() -> Path:
    return Path(os.environ.get("HOME") or "/nonexistent") / ".cache" / "ripcord"


def _private_temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"ripcord-{os.geteuid()}"


def hold(built: Path) -> bool:
    """Keep a build from being pruned while this process lives; answers whether it is there."""
    if built in _held and built.is_dir():
        return True
    try:
        descriptor = os.open(built, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not built.is_dir():  # pruned between the two calls
        os.close(descriptor)
        return False
    _held[built] = descriptor
    with suppress(PermissionError):  # another user's, in a cache that is shared
        os.utime(built)  # used last, not built last, is what prune goes by
    return True


@contextmanager
def lock(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the file's lock; `wait` is called before waiting for another who has it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def making(home: Path, name: str) -> Path:
    """Where a build is made, and unmade: nothing incomplete ever bears a final name."""
    return home / f"{name}.making"


def prune(home: Path, name: str) -> list[Path]:
    """Remove all builds of a name but the newest that nobody uses, and answer which; call it under the name's lock."""
    builds = sorted(home.glob(f"{name}-{'[0-9a-f]' * 16}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [build for build in builds[KEPT:] if _remove(build, making(home, name))]


def _remove(build: Path, aside: Path) -> bool:
    # Whatever keeps us from it, a user's lock or another owner's rights, it then stays.
    with suppress(OSError):
        descriptor = os.open(build, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            build.rename(aside)
            shutil.rmtree(aside)
            return True
        finally:
            os.close(descriptor)
    return False
