"""A Python for those of the lab's servers that run as another user than the tests, and the uv that installs for it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.lab.cache import cache
from infra.lab.process import LabError


def find_python(oldest: tuple[int, int]) -> Path:
    """Our own Python, and as root one that a user without rights can run. Raises LabError when there is none so new."""
    found = next((each for each in _pythons() if _will_do(each, oldest)), None)
    if found is None:
        version = ".".join(map(str, oldest))
        raise LabError(f"no Python {version} or newer that every user can run: run `apt-get install python3`")
    return found


def find_uv() -> str:
    """The uv that infra/bootstrap has put into the cache, or the machine's. Raises LabError when there is none."""
    ours = max(cache().glob("uv-*/bin/uv"), key=lambda path: path.stat().st_mtime, default=None)
    found = str(ours) if ours else shutil.which("uv")
    if found is None:
        raise LabError(f"no uv in {cache()} to install with: run infra/bootstrap")
    return found


def _pythons() -> Iterator[Path]:
    # Of an environment it is the one it was made from: the environment itself may be removed at any time.
    yield Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield from (Path(place) / "python3" for place in ("/usr/bin", "/usr/local/bin"))


def _will_do(python: Path, oldest: tuple[int, int]) -> bool:
    real = python.resolve()
    if not os.access(real, os.X_OK):
        return False
    if os.geteuid() == 0 and not all(part.stat().st_mode & 0o001 for part in (real, *real.parents)):
        return False
    check = f"import sys; sys.exit(sys.version_info < {oldest})"
    return subprocess.run([real, "-c", check], capture_output=True, check=False).returncode == 0
