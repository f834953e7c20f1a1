"""A repository as old and as large as one wants, the same objects every time, kept in the cache once it is made.

It ends as the shop's does: v1.0.0, v1.1.0, a release branch merged into main as v1.2.0, and further work on main.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.lab.cache import cache, hold, lock, making, prune
from infra.lab.github.bare import Bare, clean_environment

BEFORE, STABLE, FAULTY = "v1.0.0", "v1.1.0", "v1.2.0"
BEGAN = 1_600_000_000  # seconds since 1970; a commit every ten minutes
BRANCH, LATER = 5, 20  # commits of the faulty release, and on main after it
RELEASES = 40  # long before the stable one, at most
APART = 200  # commits between the release before the stable one and that
FOLDER = 100  # files in one directory
LINES = 12  # of a file, 64 random-looking characters each: what no packing makes small
WHO = "Ada <ada@lab>"


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is: commits in all, files, and how many of them the faulty release touches."""

    commits: int
    files: int
    touched: int

    @property
    def plain(self) -> int:
        """The commits up to the stable release, one file each."""
        return self.commits - BRANCH - 1 - LATER


def repository(size: Size) -> Path:
    """The bare repository, packed as a Git host keeps it; made when it is not there yet.

    Raises ValueError when the size leaves no room for the release and what came after it.
    """
    if size.plain < 3 or size.touched > size.files // 2:
        raise ValueError(f"a history needs more than {size.commits} commits or {size.files} files: see {__file__}")
    home = cache()
    name = f"history-{size.commits}-{size.files}-{size.touched}"
    built = home / f"{name}-{_key(size)}"
    if not hold(built):
        with lock(home / f"{name}.lock", lambda: _say(f"{name} is being made by another process: waiting for it")):
            if not hold(built):
                _say(f"{name}: making it, once")
                _make(size, making(home, name), built)
                hold(built)
                prune(home, name)
    return built


def stream(size: Size) -> Iterator[bytes]:
    """What `git fast-import` reads: no clock and no chance in it."""
    yield _commit("main", 0, "Start", {path: text(path, 0) for path in _paths(size.files)})
    every, before = max(1, size.plain // (RELEASES + 1)), max(1, size.plain - APART)
    for number in range(1, size.plain):
        path = _path(number % size.files)
        yield _commit("main", number, f"Change {path} ({number})", {path: text(path, number)})
        if number == before:
            yield _tag(BEFORE, number)
        elif number % every == 0 and number < before:
            yield _tag(f"v0.{number // every}.0", number)
    yield _tag(STABLE, size.plain - 1)
    number = size.plain
    yield b"reset refs/heads/release\nfrom refs/heads/main\n\n"
    touched = _paths(size.touched)
    for part in range(BRANCH):
        changed = {path: text(path, number) for path in touched[part::BRANCH]}
        yield _commit("release", number, f"Part {part + 1} of {FAULTY}", changed)
        number += 1
    whole = {path: text(path, size.plain + place % BRANCH) for place, path in enumerate(touched)}
    yield _commit("main", number, f"Release {FAULTY}", whole, merge="release")
    yield _tag(FAULTY, number)
    for _ in range(LATER):
        number += 1
        path = _path(size.files - 1 - number % (size.files // 2))
        yield _commit("main", number, f"Change {path} ({number})", {path: text(path, number)})
    yield b"done\n"


def text(path: str, number: int) -> bytes:
    """A file as a commit leaves it: one line of it is the commit's own."""
    lines = [hashlib.sha256(f"{path} {line}".encode()).hexdigest() for line in range(LINES)]
    if number:
        lines[number % LINES] = hashlib.sha256(f"{path} of {number}".encode()).hexdigest()
    return "".join(f"{line}\n" for line in lines).encode()


def load(size: Size, place: Path) -> None:
    """Make the repository at a place."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", place],
                   env=clean_environment(), check=True)  # fmt: skip
    argv = ["git", "-C", str(place), "fast-import", "--quiet", "--done"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=clean_environment()) as reading:
        if reading.stdin is None:
            raise RuntimeError("git fast-import was started without a pipe")
        for piece in stream(size):
            reading.stdin.write(piece)
        reading.stdin.close()
        if reading.wait() != 0:
            raise RuntimeError(f"git fast-import ended with {reading.returncode}")
    Bare(place).git("update-ref", "-d", "refs/heads/release")


def _make(size: Size, place: Path, built: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)  # left by one that was killed
    load(size, place)
    # What every Git host does at night: one pack, a bitmap of what reaches what, and the commits' graph.
    Bare(place).git("-c", "pack.threads=1", "repack", "-a", "-d", "-q", "--write-bitmap-index")
    Bare(place).git("commit-graph", "write", "--reachable")
    Bare(place).git("pack-refs", "--all")
    place.rename(built)


def _key(size: Size) -> str:
    return hashlib.sha256(f"{size}".encode() + Path(__file__).read_bytes()).hexdigest()[:16]


def _paths(number: int) -> list[str]:
    return [_path(each) for each in range(number)]


def _path(number: int) -> str:
    return f"src/part{number // FOLDER:03}/file{number % FOLDER:02}.txt"


def _commit(branch: str, number: int, title: str, files: dict[str, bytes], merge: str = "") -> bytes:
    message = f"{title}\n".encode()
    head = f"commit refs/heads/{branch}\ncommitter {WHO} {BEGAN + 600 * number} +0000\ndata {len(message)}\n"
    body = head.encode() + message
    if merge:
        body += f"merge refs/heads/{merge}\n".encode()
    for path, content in files.items():
        body += f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content
    return body + b"\n"


def _tag(name: str, number: int) -> bytes:
    message = f"Release {name}\n".encode()
    head = f"tag {name}\nfrom refs/heads/main\ntagger {WHO} {BEGAN + 600 * number} +0000\ndata {len(message)}\n"
    return head.encode() + message


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
