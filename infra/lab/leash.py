"""Run one command and end it, with all its descendants, when the pipe from our parent closes.

usage: leash.py READ_FD TELL_FD USER -- COMMAND [ARG ...]

Linux only: as a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) the leash inherits every orphan of the
command, also one that has made a session of its own, so that walking its children finds all of them.
Standard library only, and run with -S -E: it starts in some 20 ms and takes 8 MB.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 2.0


def main(reading: int, tell: int, user: str, command: list[str]) -> int:
    """Start the command, tell its pid, and wait for the pipe's end."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(
            command,
            user=user or None,
            group=_group(user),
            extra_groups=[] if user else None,
            start_new_session=True,
            restore_signals=True,
            preexec_fn=_default_signals,
        )
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 127
    os.write(tell, f"{child.pid}\n".encode())
    os.close(tell)
    while not select.select([reading], [], [], 0.5)[0]:
        _reap()
    _end(child.pid)
    return 0


def _default_signals() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_DFL)


def _group(user: str) -> int | None:
    if not user:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid


def _end(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while _descendants(os.getpid()) and time.monotonic() < deadline:
        _reap()
        time.sleep(0.02)
    while remaining := _descendants(os.getpid()):
        for descendant in remaining:
            with contextlib.suppress(OSError):
                os.kill(descendant, signal.SIGKILL)
        _reap()
        time.sleep(0.01)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[5:]))
