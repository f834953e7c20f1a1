"""What taking a release out of a large repository costs: ours, and the raw tools, on the same Git host."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.bench.history import FAULTY, STABLE, Size, repository
from infra.lab.githost import GitHost, git_host
from infra.lab.github.bare import Bare, clean_environment
from infra.lab.worktree import Worktree

ROOT = Path(__file__).parents[2]
FULL = Size(commits=50_000, files=10_000, touched=200)
SHORTER = (1_000, 10_000)  # commits of the histories that the long one is held against
RUNS = 3
PATCH = "v1.2.1"
PROVE, REHEARSE = "prove", "rehearse"  # as `ours` calls them
WHO = "Ada <ada@lab>"
TIMES_RAW, SECONDS, MEGABYTES, PEAK, GROWTH = 2.0, 1.0, 3.0, 150.0, 1.5
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Run:
    """One time: seconds, megabytes that the host sent, peak memory in MB and each step's seconds where we asked."""

    seconds: float
    megabytes: float
    peak: float | None = None
    steps: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on the host, fresh, and a directory beside it."""

    host: GitHost
    name: str
    directory: Path

    def tree(self, revision: str) -> str:
        """The tree of a revision, read on the host's disk."""
        return Bare(self.host.bare(self.name)).git("rev-parse", f"{revision}^{{tree}}").strip()


def main(full: Size = FULL, runs: int = RUNS) -> None:
    """Measure all in one run, print the table, and say what does not hold."""
    console = Console()
    directory = Path(tempfile.mkdtemp(prefix="ripcord-bench-"))
    try:
        with git_host(directory / "host") as host:
            console.print(
                f"taking {FAULTY} out of {full.commits:,} commits and {full.files:,} files, {runs} times each"
            )
            raw, warm = _in_turns(host, full, (raw_warm, ripcord_warm), runs)
            cold, ours = _in_turns(host, full, (raw_cold, ripcord), runs)
            shorter = {commits: _repeat(host, Size(commits, full.files, full.touched), ripcord, runs)
                       for commits in SHORTER if commits < full.commits}  # fmt: skip
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    console.print(table(full, raw, cold, ours, warm, shorter))
    for what, of in (("no local copy", ours), ("warm", warm)):
        told = ", ".join(f"{step} {each:.2f}" for step, each in steps(of).items())
        console.print(f"ripcord's steps, {what}, median s: {told}")


def table(
    full: Size,
    raw: Sequence[Run],
    cold: Sequence[Run],
    ours: Sequence[Run],
    warm: Sequence[Run],
    shorter: Mapping[int, Sequence[Run]],
) -> Table:
    """Every figure with its limit, and whether that holds."""
    shown = Table("what", "runs", "min", "median", "max", "limit", "holds", title="taking a release out of the source")
    shown.add_row("raw, warm: merge-tree, commit-tree, push; s", *figures(seconds(raw)), "the floor", "")
    shown.add_row("raw, cold: git clone, git revert, push; s", *figures(seconds(cold)), "-", "")
    shown.add_row("the same; MB received", *figures([each.megabytes for each in cold]), "-", "")
    shown.add_row("ripcord: plan, push, prove, no local copy; s", *_held(seconds(ours), SECONDS))
    shown.add_row("the same; MB received", *_held([each.megabytes for each in ours], MEGABYTES))
    shown.add_row("the same; peak memory of our process, MB", *_held([each.peak or 0 for each in ours], PEAK))
    clone = statistics.median(seconds(cold))
    shown.add_row("the same; times clone and revert", *_held([each / clone for each in seconds(ours)], 1.0))
    floor = statistics.median(seconds(raw))
    shown.add_row("ripcord, warm: plan, laws, push; s", *figures(until_pushed(warm)), "-", "")
    shown.add_row("the same; times raw, warm", *_held([each / floor for each in until_pushed(warm)], TIMES_RAW))
    shown.add_row("ripcord, warm, and the proof from a fresh clone; s", *figures(seconds(warm)), "-", "")
    shown.add_row("ripcord, warm; MB received", *figures(received(warm)), "-", "")
    for commits, runs in shorter.items():
        for unit, of in (("s", seconds), ("MB received", received)):
            shown.add_row(f"ripcord, {commits:,} commits; {unit}", *figures(of(runs)), "-", "")
            grown = [each / statistics.median(of(runs)) for each in of(ours)]
            shown.add_row(f"times that, {full.commits:,} commits; {unit}", *_held(grown, GROWTH))
    return shown


def seconds(runs: Sequence[Run]) -> list[float]:
    """How long each run took."""
    return [each.seconds for each in runs]


def until_pushed(runs: Sequence[Run]) -> list[float]:
    """How long each run took until the push was through: what is proved before it is in it, what is read after not."""
    return [sum(each for step, each in run.steps if step != PROVE) for run in runs]


def received(runs: Sequence[Run]) -> list[float]:
    """How many megabytes each run received."""
    return [each.megabytes for each in runs]


def figures(values: Sequence[float]) -> tuple[str, str, str, str]:
    """The number of runs, and the least, the middle and the most of what was measured."""
    least, middle, most = (f"{each:.2f}" for each in (min(values), statistics.median(values), max(values)))
    return str(len(values)), least, middle, most


def _held(values: Sequence[float], limit: float) -> tuple[str, str, str, str, str, str]:
    return *figures(values), f"at most {limit:g}", "yes" if max(values) <= limit else "NO"


def steps(runs: Sequence[Run]) -> dict[str, float]:
    """The median of each step over the runs."""
    return {step: statistics.median(dict(run.steps)[step] for run in runs) for step, _ in runs[0].steps}


def raw_warm(place: Place) -> Run:
    """The floor: a mirror is there and is up to date; one merge in memory, one commit, one push."""
    mirror = place.directory / "mirror.git"
    subprocess.run(["git", "clone", "--quiet", "--mirror", place.host.bare(place.name), mirror], check=True)
    git = Worktree(mirror, place.host.clone_url(place.name), place.host.token("team")).git

    def act() -> None:
        head = git("rev-parse", "main")
        base = git("commit-tree", "-m", "base", f"{FAULTY}^{{tree}}", who=WHO)
        ours = git("commit-tree", "-m", "ours", "-p", base, "main^{tree}", who=WHO)
        theirs = git("commit-tree", "-m", "theirs", "-p", base, f"{STABLE}^{{tree}}", who=WHO)
        tree = git("merge-tree", "--write-tree", ours, theirs)
        made = git("commit-tree", "-m", f"Revert {FAULTY}", "-p", head, tree, who=WHO)
        url = place.host.clone_url(place.name)
        git("push", "--quiet", "--atomic", url, f"{made}:refs/heads/main", f"{made}:refs/tags/{PATCH}")

    return _measured(place, act)


def raw_cold(place: Place) -> Run:
    """What people do: clone all of it, revert the merge, tag, push."""
    clone = place.directory / "clone"
    clone.mkdir()
    git = Worktree(clone, place.host.clone_url(place.name), place.host.token("team")).git

    def act() -> None:
        git("clone", "--quiet", place.host.clone_url(place.name), ".")
        git("revert", "--no-edit", "-m", "1", FAULTY, who=WHO)
        git("push", "--quiet", "--atomic", "origin", "HEAD:refs/heads/main", f"HEAD:refs/tags/{PATCH}")

    return _measured(place, act)


def ripcord_warm(place: Place) -> Run:
    """The same where an earlier process has read the repository already."""
    ripcord(place, REHEARSE)
    return ripcord(place)


def ripcord(place: Place, *words: str) -> Run:
    """The product's own tasks in a process of its own; its start, which a warm responder has behind it, aside."""
    settings = {
        "RIPCORD_GITHUB_GIT_URL": place.host.url,
        "RIPCORD_GITHUB_API_URL": place.host.api_url,
        "RIPCORD_GITHUB_TOKEN": place.host.token("ripcord"),
        "RIPCORD_GIT_CACHE": str(place.directory / "kept"),
    }
    before = sent(place.host)
    argv = [sys.executable, "-m", "infra.bench.ours", place.name, *words]
    env = clean_environment() | settings  # as the raw tools have it: of ours, too, each variable GIT_* costs a process
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[1:])} failed: {done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    took = told["seconds"]
    return Run(sum(took.values()), (sent(place.host) - before) / 1e6, told["peak_mb"], tuple(took.items()))


def sent(host: GitHost) -> int:
    """The bytes of all answers' bodies so far, as the host counts them."""
    return sum(each["sent"] for each in host.requests())


def _measured(place: Place, act: Callable[[], None]) -> Run:
    before, began = sent(place.host), time.perf_counter()
    act()
    took = time.perf_counter() - began
    return Run(took, (sent(place.host) - before) / 1e6)


def _repeat(host: GitHost, size: Size, way: Callable[[Place], Run], runs: int) -> list[Run]:
    return _in_turns(host, size, (way,), runs)[0]


def _in_turns(host: GitHost, size: Size, ways: Sequence[Callable[[Place], Run]], runs: int) -> list[list[Run]]:
    """Each run on a repository of its own, one way after the other, so that none has the machine's better minutes.

    All must leave the same tree under the patch tag.
    """
    done: list[list[Run]] = [[] for _ in ways]
    trees = set()
    for _ in range(runs):
        for way, of in zip(ways, done, strict=True):
            with _fresh(host, size) as place:
                of.append(way(place))
                trees |= {place.tree(f"refs/tags/{PATCH}"), place.tree("refs/heads/main")}
    if len(trees) != 1:
        raise RuntimeError(f"{[way.__name__ for way in ways]} gave different trees: {', '.join(sorted(trees))}")
    return done


@contextmanager
def _fresh(host: GitHost, size: Size) -> Iterator[Place]:
    """The history under a name of its own on the host: the packs are links, the refs a copy."""
    kept, name = repository(size), f"acme/bench{next(_numbers)}"
    host.create_repository(name)
    bare = host.bare(name)
    shutil.copytree(kept / "objects", bare / "objects", copy_function=os.link, dirs_exist_ok=True)
    shutil.copy(kept / "packed-refs", bare / "packed-refs")
    directory = Path(tempfile.mkdtemp(dir=host.directory))
    try:
        yield Place(host, name, directory)
    finally:
        shutil.rmtree(directory)
        shutil.rmtree(bare / "objects")
