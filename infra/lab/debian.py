"""A program that the machine lacks, out of Debian's package: fetched once and unpacked into the cache.

Nothing is installed and no right is needed: `apt-get` is given directories of its own for its lists and its cache.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.lab.cache import cache, hold, lock, making, prune
from infra.lab.process import LabError

SECONDS = 180.0
_CACHES = "Acquire::IndexTargets::deb::{}::DefaultEnabled=false"
_LESS = ("Acquire::Languages=none", *(_CACHES.format(name) for name in ("DEP-11", "Contents-deb")))

Runner = Callable[[list[str], Path], str]
"""Runs one of Debian's programs in a directory and answers what it printed; raises LabError when it fails."""


@dataclass(frozen=True)
class Package:
    """A package of Debian that bears the name of its program, and what comes along."""

    name: str
    title: str
    """What a person calls it."""
    programs: str
    """The directory of its program, below the root."""
    libraries: str
    """A regular expression of those packages it depends on that are not on every Debian."""

    @property
    def way_out(self) -> str:
        """What a person can do where it cannot be fetched."""
        return f"run `apt-get install {self.name}`, which needs root"


def find(package: Package, run: Runner | None = None) -> Path:
    """The directory of its program: the machine's, else of one that is fetched.

    Raises LabError, in one sentence with the way out, when there is none to be had.
    """
    # Debian's own directory of such programs is not on every user's PATH.
    found = shutil.which(package.name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found:
        return Path(found).resolve().parent
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        lacking = f"no {package.title} on this machine and no apt-get to fetch it with"
        raise LabError(f"{lacking}: install it ({package.way_out})")
    try:
        return _fetched(package, run or runner(package)) / package.programs
    except OSError as error:
        raise LabError(f"{package.title} could not be fetched: {error}") from error


def library_path(programs: Path) -> str:
    """Where the libraries lie that were unpacked beside a program; empty where the machine has its own."""
    if programs.is_relative_to("/usr"):
        return ""
    # Debian's packages have them below /usr/lib and, the older ones, below /lib.
    roots = (programs.parent, programs.parents[1])
    places = {str(path.parent) for root in roots for path in root.glob("lib/*/lib*.so.*")}
    return ":".join(sorted(places))


def runner(package: Package) -> Runner:
    """What runs Debian's programs to fetch this package."""
    lost = f"{package.title} could not be fetched"

    def run(argv: list[str], place: Path) -> str:
        env = {**os.environ, "LC_ALL": "C"}
        try:
            done = subprocess.run(
                argv, cwd=place, env=env, capture_output=True, text=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{lost}: {argv[0]} took {SECONDS:g} s; or {package.way_out}") from None
        if done.returncode:
            complaint = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
            raise LabError(f"{lost}: {(complaint or ['no word'])[0].strip()}; or {package.way_out}")
        return done.stdout

    return run


def _fetched(package: Package, run: Runner) -> Path:
    home = cache()
    built = home / f"{package.name}-{_key(package)}"
    if not hold(built):
        busy = f"{package.name} is being fetched by another process: waiting for it"
        with lock(home / f"{package.name}.lock", lambda: _say(busy)):
            if not hold(built):
                _fetch(package, built, run)
                hold(built)
                prune(home, package.name)
    return built


def _key(package: Package) -> str:
    """With what and for which machine it was fetched: its libraries, Debian's release, and the processor."""
    release = Path("/etc/os-release")
    told = release.read_bytes() if release.is_file() else b""
    return hashlib.sha256(told + platform.machine().encode() + package.libraries.encode()).hexdigest()[:16]


def _fetch(package: Package, built: Path, run: Runner) -> None:
    """Fetch and unpack beside the final place and rename: what bears the final name is complete."""
    place = making(built.parent, package.name)
    shutil.rmtree(place, ignore_errors=True)  # left by a fetch that was killed
    apt, packages = place / ".apt", place / ".packages"
    for directory in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial", packages):
        directory.mkdir(parents=True)
    _say(f"{package.name}: fetching Debian's package, once; this takes some 10 s")
    try:
        _unpack(package, place, run)
    except LabError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    shutil.rmtree(apt)
    shutil.rmtree(packages)
    place.rename(built)
    _say(f"{package.name}: fetched: {built}")


def _unpack(package: Package, place: Path, run: Runner) -> None:
    apt, packages = place / ".apt", place / ".packages"
    options = [f"Dir::State::lists={apt}/lists", f"Dir::Cache={apt}/cache", "APT::Sandbox::User=root", *_LESS]
    given = [part for option in options for part in ("-o", option)]
    wanted = re.compile(rf"^\s*Depends: ({package.libraries})$", re.MULTILINE)
    run(["apt-get", "-q", *given, "update"], packages)
    depends = run(["apt-cache", *given, "depends", package.name], packages)
    libraries = [found[1] for found in wanted.finditer(depends)]
    run(["apt-get", "-q", *given, "download", package.name, *libraries], packages)
    for each in sorted(packages.glob("*.deb")):
        run(["dpkg-deb", "-x", str(each), str(place)], packages)


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
