"""Which Barman it is: a pinned one in an environment of its own, installed once into the cache; and its rsync.

`python -m infra.lab.barman_home` installs both. Barman is under the GPL: it is run, never imported, and nothing of
the project depends on it.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from infra.lab import debian
from infra.lab.cache import cache, hold, lock, making, prune
from infra.lab.process import LabError
from infra.lab.pythons import find_python, find_uv

NAME = "barman"
OLDEST = (3, 11)
"""The oldest Python that the requirements were made for."""
REQUIREMENTS = Path(__file__).with_name("barman-requirements.txt")
RSYNC = debian.Package("rsync", "rsync", "usr/bin", r"lib(?:popt|xxhash)\S*")
SECONDS = 300.0


def find_barman() -> Path:
    """The directory of Barman's programs, which may be moved with all that is beside it.

    As root it is made from a Python that everybody can run; who drops root's rights copies it to where it is reached.

    Raises LabError, in one sentence with the way out, when there is none to be had.
    """
    python = find_python(OLDEST)
    home = cache()
    built = home / f"{NAME}-{_key(python)}"
    try:
        if not hold(built):
            with lock(home / f"{NAME}.lock", lambda: _say("Barman is being installed by another process: waiting")):
                if not hold(built):
                    _install(python, built)
                    hold(built)
                    prune(home, NAME)
    except OSError as error:
        raise LabError(f"Barman could not be installed: {error}") from error
    return built / "bin"


def find_rsync() -> Path:
    """The directory of rsync, which Barman restores with. Raises LabError when there is none to be had."""
    return debian.find(RSYNC)


def _key(python: Path) -> str:
    """What it was installed from: the requirements, this Python, and the processor."""
    version = subprocess.run([python, "-VV"], capture_output=True, check=False).stdout
    inputs = (REQUIREMENTS.read_bytes(), os.fsencode(python), version, platform.machine().encode())
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()[:16]


def _install(python: Path, built: Path) -> None:
    """Install beside the final place and rename: what bears the final name is complete."""
    place = making(built.parent, NAME)
    shutil.rmtree(place, ignore_errors=True)  # left by an installation that was killed
    _say(f"{NAME}: installing it with its pinned packages, once; this takes some 10 s")
    given = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode"]
    try:
        _uv(["venv", "--no-project", "--relocatable", "--python", str(python), str(place)])
        _uv(["pip", "install", *given, "--python", str(place / "bin" / "python"), "-r", str(REQUIREMENTS)])
    except LabError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    place.rename(built)
    _say(f"{NAME}: installed: {built}")


def _uv(arguments: list[str]) -> None:
    """Run uv as infra/bootstrap does."""
    home = cache()
    env = {**os.environ, "UV_CACHE_DIR": str(home / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never"}
    argv = [find_uv(), "--system-certs", "--quiet", *arguments]
    try:
        done = subprocess.run(argv, cwd=home, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise LabError(f"Barman could not be installed: uv took {SECONDS:g} s; try again") from None
    if done.returncode:
        complaint = " ".join(done.stderr.split()) or "no word"
        raise LabError(f"Barman could not be installed: {complaint}")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def main() -> int:
    """Install what is not there; the exit code is 1 when it cannot be had."""
    try:
        sys.stdout.write(f"{find_barman()}\n{find_rsync()}\n")
    except LabError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
