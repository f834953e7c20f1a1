"""What processes cost while nothing is watched: resident memory and processor time, from /proc."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cost:
    """Megabytes resident (shared pages counted for each process) and the share of one core."""

    megabytes: float
    core: float


def cost(pids: list[int], seconds: float) -> Cost:
    """Look at process trees over a time; children that ended meanwhile are counted by their parents."""
    before = sum(_ticks(pid) for pid in pids)
    peak = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        peak = max(peak, sum(_resident(each) for pid in pids for each in _family(pid)))
        time.sleep(1)
    used = sum(_ticks(pid) for pid in pids) - before
    return Cost(peak / 1e6, used / TICKS / seconds)


def _ticks(pid: int) -> int:
    """Own and waited-for children's user and system time (proc(5), fields 14 to 17), and that of living children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(each) for each in fields[11:15]) + sum(_ticks(child) for child in _children(pid))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _family(pid: int) -> list[int]:
    return [pid] + [each for child in _children(pid) for each in _family(child)]


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(each) for each in found.split()]
