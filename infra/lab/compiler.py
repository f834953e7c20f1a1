"""Which `go` builds the lab's servers, and what it is told by the environment.

`python -m infra.lab.compiler` says which; `infra/bootstrap` asks it with any Python, before anything is installed.
"""

import os
import re
import shutil
import subprocess
import sys

from infra.lab.cache import cache
from infra.lab.process import LabError

OLDEST = (1, 26)
WANTED = "Go {}.{} or newer".format(*OLDEST)
PLACES = ("go", "/usr/local/go/bin/go")
"""PATH, and where the archive of go.dev is unpacked; many a PATH does not have that."""


def find_go() -> str:
    """The first Go that is new enough.

    Raises LabError in one sentence when there is none, or an older one only.
    """
    found = {program: _version(program) for place in PLACES if (program := shutil.which(place))}
    for program, version in found.items():
        if version >= OLDEST:
            return program
    if found:
        old = ", ".join(f"{program} is {'.'.join(map(str, version))}" for program, version in found.items())
        raise LabError(f"{WANTED} is needed, and {old}: install it (go.dev/dl)")
    raise LabError(f"{WANTED} is missing, on PATH and in /usr/local/go/bin: install it (go.dev/dl)")


def tell_version(go: str) -> bytes:
    """What it says of itself, platform included."""
    return subprocess.run([go, "version"], capture_output=True, env=environment(), check=False).stdout


def environment() -> dict[str, str]:
    """Go's own caches where they usually are; in ours when there is no home to write to."""
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOGC": "400", "GOWORK": "off"}
    home = env.get("HOME")
    if not home or not os.access(home, os.W_OK):
        env.setdefault("GOPATH", str(cache() / "go"))
        env.setdefault("GOCACHE", str(cache() / "go-build"))
    return env


def _version(go: str) -> tuple[int, ...]:
    told = re.search(rb"go(\d+)\.(\d+)", tell_version(go))
    return tuple(map(int, told.groups())) if told else (0, 0)


def main() -> int:
    """Say which Go it is; the exit code is 1 when there is none that will do."""
    try:
        sys.stdout.write(f"{find_go()}\n")
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
