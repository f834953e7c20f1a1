"""Which PgBouncer it is: the machine's, else Debian's package, fetched once and unpacked into the cache.

`python -m infra.lab.pgbouncer_home` fetches it. Nothing is installed and no right is needed: `apt-get` is given
directories of its own for its lists and its cache.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.lab.cache import cache, hold, lock, making, prune
from infra.lab.process import LabError

PACKAGE = "pgbouncer"
# Of what it depends on, only these are not on every Debian; other releases call them otherwise (libevent-2.1-7t64).
LIBRARIES = re.compile(r"^\s*Depends: (lib(?:event|c-?ares)\S*)$", re.MULTILINE)
WAY_OUT = "run `apt-get install pgbouncer`, which needs root"
SECONDS = 180.0
_CACHES = "Acquire::IndexTargets::deb::{}::DefaultEnabled=false"
_LESS = ("Acquire::Languages=none", *(_CACHES.format(name) for name in ("DEP-11", "Contents-deb")))


def find_pgbouncer() -> Path:
    """The program's directory. Raises LabError, in one sentence with the way out, when there is none to be had."""
    # Debian's own directory of such programs is not on every user's PATH.
    found = shutil.which(PACKAGE, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found:
        return Path(found).resolve().parent
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise LabError(f"no PgBouncer on this machine and no apt-get to fetch it with: install it ({WAY_OUT})")
    try:
        return _fetched() / "usr" / "sbin"
    except OSError as error:
        raise LabError(f"PgBouncer could not be fetched: {error}") from error


def library_path(programs: Path) -> str:
    """Where the libraries lie that were unpacked beside the program; empty where the machine has its own."""
    places = {str(path.parent) for path in (programs.parent / "lib").glob("*/libevent-*.so*")}
    return ":".join(sorted(places)) if programs != Path("/usr/sbin") else ""


def _fetched() -> Path:
    home = cache()
    built = home / f"{PACKAGE}-{_key()}"
    if not hold(built):
        busy = f"{PACKAGE} is being fetched by another process: waiting for it"
        with lock(home / f"{PACKAGE}.lock", lambda: _say(busy)):
            if not hold(built):
                _fetch(built)
                hold(built)
                prune(home, PACKAGE)
    return built


def _key() -> str:
    """For which machine it was fetched: Debian's release, and the processor."""
    release = Path("/etc/os-release")
    told = release.read_bytes() if release.is_file() else b""
    return hashlib.sha256(told + platform.machine().encode()).hexdigest()[:16]


def _fetch(built: Path) -> None:
    """Fetch and unpack beside the final place and rename: what bears the final name is complete."""
    place = making(built.parent, PACKAGE)
    shutil.rmtree(place, ignore_errors=True)  # left by a fetch that was killed
    apt, packages = place / ".apt", place / ".packages"
    for directory in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial", packages):
        directory.mkdir(parents=True)
    _say(f"{PACKAGE}: fetching Debian's package, once; this takes some 10 s")
    options = [f"Dir::State::lists={apt}/lists", f"Dir::Cache={apt}/cache", "APT::Sandbox::User=root", *_LESS]
    given = [part for option in options for part in ("-o", option)]
    try:
        _run(["apt-get", "-q", *given, "update"], packages)
        libraries = LIBRARIES.findall(_run(["apt-cache", *given, "depends", PACKAGE], packages))
        _run(["apt-get", "-q", *given, "download", PACKAGE, *libraries], packages)
        for package in sorted(packages.glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(place)], packages)
    except LabError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    shutil.rmtree(apt)
    shutil.rmtree(packages)
    place.rename(built)
    _say(f"{PACKAGE}: fetched: {built}")


def _run(argv: list[str], place: Path) -> str:
    env = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise LabError(f"PgBouncer could not be fetched: {argv[0]} took {SECONDS:g} s; or {WAY_OUT}") from None
    if done.returncode:
        complaint = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        raise LabError(f"PgBouncer could not be fetched: {(complaint or ['no word'])[0].strip()}; or {WAY_OUT}")
    return done.stdout


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def main() -> int:
    """Fetch it where need be; the exit code is 1 when it cannot be had."""
    try:
        sys.stdout.write(f"{find_pgbouncer()}\n")
    except LabError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
