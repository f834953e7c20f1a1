"""A real file system that is soon full, seen by one program only: a tmpfs in a mount namespace of its own."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = ["unshare", "--mount"]
AS_ANYBODY = ["unshare", "--user", "--map-root-user", "--mount"]


def on_small_disk(
    megabytes: int, argv: Sequence[str], seconds: float = 150
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a program whose TMPDIR is a disk of this size; returns its end, and the names left on the disk.

    The program's arguments may hold `$DISK`. Skips the test where no such disk can be made.
    """
    with tempfile.TemporaryDirectory(prefix="small-disk-") as place:
        Path(place).chmod(0o755)
        listing = Path(place, "left")
        listing.touch()
        disk = Path(place, "disk")
        disk.mkdir()
        again = "" if os.geteuid() == 0 else f"unshare --user --map-user={os.getuid()} --map-group={os.getgid()} "
        program = shlex.join(argv).replace("$DISK", str(disk))
        script = (
            f"{_mount(megabytes, disk)} || exit 99\n{again}{program}; code=$?; ls -A {disk} > {listing}; exit $code"
        )
        env = os.environ | {"TMPDIR": str(disk), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*(AS_ROOT if os.geteuid() == 0 else AS_ANYBODY), "sh", "-c", script],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        if done.returncode == 99 or "unshare failed" in done.stderr:
            pytest.skip(f"no disk of our own can be mounted here: {done.stderr.strip()}")
        return done, listing.read_text()


def run_python(megabytes: int, script: str, *arguments: str) -> str:
    """What a Python script with such a disk prints; a script that fails fails the test."""
    done, _ = on_small_disk(megabytes, [sys.executable, "-c", script, "$DISK", *arguments])
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def _mount(megabytes: int, disk: Path) -> str:
    return f"mount -t tmpfs -o size={megabytes}m,mode=755 tmpfs {disk}"
