"""Start a server, wait for it with a deadline, keep its log, and leave nothing behind.

Every server of the lab runs under a leash (`leash.py`): a small parent that holds the reading end of a
pipe. When the lab ends, by any means and kill -9 included, the kernel closes the writing end and the leash
kills the server with everything it has started.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LEASH = Path(__file__).with_name("leash.py")
_handed_out: set[int] = set()


class LabError(Exception):
    """The lab could not be set up or did not answer in time; the message carries the end of the log."""


class DiskFull(LabError):
    """There is no room for the lab: one sentence with the way out, and no log that could tell more."""


@dataclass(frozen=True)
class Process:
    """A running server: its own pid, its log, and the leash that outlives neither."""

    name: str
    pid: int
    log: Path
    leash: subprocess.Popen[bytes]

    def running(self) -> bool:
        """Answer whether the server itself (not only its leash) is still there."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state != "Z"

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send the server a signal, as a test of its death does."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, how)

    def tail(self, lines: int = 12) -> str:
        """The last lines of the log, for a message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def run(
    name: str,
    argv: Sequence[str | Path],
    *,
    directory: Path,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | None = None,
) -> Iterator[Process]:
    """Run a server for the time of the block; its log is `<directory>/<name>.log`, appended to.

    `env` is the whole environment (None: inherited). `user` drops root's rights before the start.
    On leaving, the server gets SIGTERM to its process group and, 2 s later, SIGKILL with all descendants.

    Raises LabError when the program cannot be started.
    """
    log = directory / f"{name}.log"
    reading, writing = os.pipe()
    told, tell = os.pipe()
    command = [sys.executable, "-S", "-E", str(LEASH), str(reading), str(tell), user or "", "--"]
    try:
        with log.open("ab") as out:
            leash = subprocess.Popen(
                [*command, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd or directory,
                pass_fds=(reading, tell),
                start_new_session=True,
            )
    except OSError as error:
        os.close(writing)
        os.close(told)
        raise LabError(f"{name} cannot be started: {error}") from error
    finally:
        os.close(reading)
        os.close(tell)
    try:
        with os.fdopen(told) as answer:
            pid = answer.readline().strip()
        if not pid:
            leash.wait()
            raise LabError(f"{name} cannot be started: {_last_line(log)}")
        yield Process(name, int(pid), log, leash)
    finally:
        os.close(writing)
        leash.wait()


def wait_until(
    check: Callable[[], T | None],
    *,
    what: str,
    seconds: float,
    process: Process | None = None,
    every: float = 0.05,
) -> T:
    """Wait until `check` answers something true, and return it.

    Raises LabError after `seconds`, or at once when `process` has died; both carry the end of its log.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if process is not None and not process.running():
            raise LabError(f"{process.name} died while we waited for {what}:\n{process.tail()}")
        if time.monotonic() > deadline:
            seen = f":\n{process.tail()}" if process is not None else ""
            raise LabError(f"{what} did not come about within {seconds:g} s{seen}")
        time.sleep(every)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on, never handed out twice by this process."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def accepts(port: int) -> bool:
    """Answer whether something on 127.0.0.1 accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
