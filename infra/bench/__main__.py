"""Measure on the lab and print one table.

usage: python -m infra.bench [all|cluster|source|database]; --help tells the sizes.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.bench import database, source
from infra.bench.idle import cost
from infra.bench.latency import by_alert, by_kubectl, by_prefect, deploy, stock_serve, time_to_patch
from infra.lab.founding import world
from infra.lab.prefect import worker
from infra.lab.world import POOL, ROOT, Pace, World

STOCK, RAW = 3, 5


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the part that is asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description="What ripcord costs and how fast it is.")
    parser.add_argument("part", nargs="?", choices=("all", "cluster", "source", "database"), default="all")
    parser.add_argument("--incidents", type=int, default=15, help="alerts, one at a time")
    parser.add_argument("--idle-seconds", type=float, default=60, help="how long the idle cost is looked at")
    parser.add_argument("--commits", type=int, default=source.FULL.commits, help="of the large repository")
    parser.add_argument("--files", type=int, default=source.FULL.files, help="of the large repository")
    parser.add_argument("--runs", type=int, default=source.RUNS, help="of each way through the source, and restores")
    parser.add_argument("--gib", type=int, default=1, help="size of the database that is taken back")
    asked = parser.parse_args(argv)
    if asked.part in ("all", "source"):
        source.main(replace(source.FULL, commits=asked.commits, files=asked.files), asked.runs)
    if asked.part in ("all", "database"):
        database.main(asked.gib, asked.runs)
    if asked.part in ("all", "cluster"):
        cluster(asked.incidents, asked.idle_seconds)


def cluster(incidents: int, idle_seconds: float) -> None:
    """From the call to the cluster's patch: all rows in one run, so that they can be compared."""
    directory = Path(tempfile.mkdtemp(prefix="ripcord-bench-"))
    directory.chmod(0o755)
    names = [f"bench{number}" for number in range(incidents + RAW + 2 * STOCK)]
    console = Console()
    pace = Pace(monitor_seconds=30, settle="1s", watch="45s")
    with world(directory, faulty=(), quiet=names, pace=pace, say=console.print) as lab:
        pids = [each.process.pid for each in (lab.worker, lab.receiver, lab.watcher)]
        console.print("idle cost: worker, receiver and watcher, nothing under watch")
        idle = cost(pids, idle_seconds)
        for name in names:
            deploy(lab, name)
        console.print(f"the cost of watching {len(names)} services")
        busy = cost(pids, idle_seconds)
        console.print("incidents, one at a time, when all watches are over")
        time.sleep(60)
        table = Table("what", "runs", "min", "median", "p95", "goal", title="from the call to the cluster's patch, s")
        fast, raw, stock, serve = _split(names, incidents, RAW, STOCK)
        table.add_row("alert POST, ripcord", *_figures([_alert(lab, name) for name in fast]), "p95 < 1")
        table.add_row("kubectl rollout undo", *_figures(
            [time_to_patch(lab, name, lambda name=name: by_kubectl(lab, name)) for name in raw]  # type: ignore[misc]
        ), "raw floor")  # fmt: skip
        lab.receiver.stop()
        lab.worker.stop()
        with worker(directory, lab.prefect, POOL, lab.env, name="stock", query_seconds=10, cwd=ROOT):
            table.add_row("stock worker", *_figures([_prefect(lab, name, "undo_rollout") for name in stock]), "-")
        with stock_serve(lab):
            table.add_row("stock serve", *_figures([_prefect(lab, name, "stock") for name in serve]), "-")
    console.print(table)
    for what, used in (("idle", idle), (f"watching {len(names)} services", busy)):
        said = f"{used.megabytes:.0f} MB (goal 600), {used.core:.1%} of a core (goal 10 % when idle)"
        console.print(f"worker, receiver and watcher, {what}, for {idle_seconds:g} s: {said}")


def _alert(lab: World, name: str) -> float:
    seconds = time_to_patch(lab, name, lambda: by_alert(lab, name))
    lab.wait_for_run("respond", f"respond {name} v1.2.0", ("COMPLETED", "FAILED"), 120)
    return seconds


def _prefect(lab: World, name: str, deployment: str) -> float:
    return time_to_patch(lab, name, lambda: by_prefect(lab, name, deployment))


def _split(names: Sequence[str], *sizes: int) -> list[Sequence[str]]:
    rest = list(names)
    parts: list[Sequence[str]] = []
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    return [*parts, rest]


def _figures(seconds: Sequence[float]) -> tuple[str, str, str, str]:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return str(len(ordered)), f"{ordered[0]:.2f}", f"{statistics.median(ordered):.2f}", f"{p95:.2f}"


if __name__ == "__main__":
    main()
