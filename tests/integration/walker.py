"""A process whose children walk a procedure and die where they are told to."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Walker:
    """The process whose children walk."""

    def __init__(self, module: str, directory: Path, temporary: Path) -> None:
        self.temporary = temporary
        self._log = directory / "walker.log"
        with self._log.open("wb") as log:
            argv = [sys.executable, "-m", module]
            self._process = subprocess.Popen(
                argv, cwd=ROOT, env=os.environ | {"TMPDIR": str(temporary)}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def walk(self, name: str, effect: int, environment: dict[str, str]) -> tuple[int, list[str], str]:
        """Walk once; returns the exit status, the effects, and the end of what was said."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps({'walk': name, 'effect': effect, 'environment': environment})}\n")
        self._process.stdin.flush()
        seen: list[str] = []
        for line in self._process.stdout:
            number, _, what = line.strip().partition(" ")
            if number == "ended":
                return int(what), seen, self._log.read_text()[-3000:]
            seen.append(what)
        raise AssertionError(self._log.read_text()[-3000:])

    def close(self) -> None:
        """No line any more: it ends by itself."""
        self._process.communicate(timeout=60)


@contextmanager
def walker(directory: Path, module: str) -> Iterator[Walker]:
    """A process whose children walk, with a temporary directory of its own, short enough for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="walk-") as temporary:
        Path(temporary).chmod(0o755)
        process = Walker(module, directory, Path(temporary))
        try:
            yield process
        finally:
            process.close()
