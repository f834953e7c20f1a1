"""Take a release out with the product's own tasks, in a process of its own, as `flows/revert_release.py` calls them.

usage: python -m infra.bench.ours REPOSITORY [rehearse]; prints a line of JSON: seconds of each step, the peak in MB.
A rehearsal stops before anything is pushed; what it fetched is kept, and the next process finds it.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from prefect.logging import disable_run_logger

from infra.bench.history import BEFORE, FAULTY, STABLE
from recovery.catalog import Service
from recovery.hotfixes import judge_feasibility
from recovery.incidents import Cause
from recovery.pulls import Protection
from recovery.releases import Release
from recovery.reverts import plan_revert
from recovery.versions import parse_version
from recovery.ways import choose_way
from tasks.git import preview_revert, prove_revert, push_revert, read_history, read_range

T = TypeVar("T")
REHEARSE = "rehearse"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def look(repository: str) -> dict[str, float]:
    """Read and preview only, as a rehearsal does, which leaves the repository as it is."""
    return _steps(repository, rehearse=True)


def take_out(repository: str) -> dict[str, float]:
    """Plan, push and prove, and say how many seconds each step took."""
    return _steps(repository, rehearse=False)


def _steps(repository: str, *, rehearse: bool) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def timed(what: str, step: Callable[[], T]) -> T:
        began = time.perf_counter()
        done = step()
        seconds[what] = time.perf_counter() - began
        return done

    service = Service(name="shop", namespace="acme", repository=repository)
    releases = [
        Release(number, tag, tag, "", False, False, NOON) for number, tag in enumerate((BEFORE, STABLE, FAULTY))
    ]
    cause = Cause(sentence="checkout fails", seen_at=NOON)
    history = timed("read history", lambda: read_history.fn(service, FAULTY, releases))
    plan = plan_revert(service, parse_version(FAULTY), history, releases, cause)
    seen = timed("preview", lambda: preview_revert.fn(plan))
    between = timed("read range", lambda: read_range.fn(service, FAULTY, plan.stable_tag))
    obstacle = judge_feasibility(service, between).obstacle
    if rehearse:
        return seconds
    decision = choose_way(service, plan, seen, obstacle, Protection(), signing=False)
    pushed = timed("push", lambda: push_revert.fn(plan, decision))
    if pushed is None:
        raise AssertionError(f"{repository} was to take a push")
    timed("prove", lambda: prove_revert.fn(plan, pushed))
    return seconds


def main(repository: str, *words: str) -> None:
    """Print what it cost; the peak is this process' alone, git's own processes come and go."""
    os.environ["PREFECT__FLOW_RUN_ID"] = "bench"  # one run, as Prefect tells a process whose run it is
    with disable_run_logger():
        seconds = look(repository) if words == (REHEARSE,) else take_out(repository)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
