"""What lies between two releases: the files that it touches, and the pull requests that brought it."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from recovery.catalog import Service

_MERGED = re.compile(r"^Merge pull request #(\d+)\b")
_SQUASHED = re.compile(r"\(#(\d+)\)$")


@dataclass(frozen=True, slots=True)
class Change:
    """One file that the range touches; a rename is one file deleted and one added."""

    path: str
    status: str  # as git says it: A added, M changed, D deleted, T another type
    compatible: bool | None = None  # of a migration: the version before runs with it, too; None: not told
    reason: str = ""  # why, as a sentence that begins with the path
    marked: bool = False  # it carries the service's marker, which wins


@dataclass(frozen=True, slots=True)
class Contribution:
    """One commit that brought work: a merge or a squash stands for its pull request, any other for itself."""

    id: str
    parent: str  # the first one: what there was before
    title: str
    body: str  # its first line; GitHub's merges carry the pull request's title there
    paths: tuple[str, ...]

    @property
    def number(self) -> int | None:
        """The number that GitHub writes into the title of a merge or a squash."""
        return number_of(self.title)

    @property
    def name(self) -> str:
        """What people called it."""
        if _MERGED.match(self.title) and self.body:
            return self.body
        return _SQUASHED.sub("", self.title).strip() or self.title

    def __str__(self) -> str:
        return f"#{self.number} {self.name}" if self.number else f"{self.name} ({self.id[:12]})"


@dataclass(frozen=True, slots=True)
class Range:
    """Everything between the stable release and the faulty one; without a stable one nothing can be told."""

    faulty_tag: str
    faulty_commit: str
    stable_tag: str | None
    stable_commit: str | None
    changes: tuple[Change, ...] = ()
    contributions: tuple[Contribution, ...] = ()  # newest first
    mended_by: dict[str, str] = field(default_factory=dict)  # tags that say they mend the faulty commit, and theirs


def number_of(title: str) -> int | None:
    """The number of the pull request that a commit's title names: `Merge pull request #12 from ...`, `... (#12)`."""
    found = _MERGED.search(title) or _SQUASHED.search(title.strip())
    return int(found[1]) if found else None


def is_own(service: Service, path: str) -> bool:
    """Answer whether a path is the service's: of a repository that is not shared, every one is."""
    return not service.paths or any(path == each.rstrip("/") or path.startswith(f"{each.rstrip('/')}/")
                                    for each in service.paths)  # fmt: skip


def is_migration(service: Service, path: str) -> bool:
    """Answer whether a path is a database migration of the service."""
    return matches(path, service.migrations.paths)


def matches(path: str, globs: Iterable[str]) -> bool:
    """Answer whether a path fits one of the globs.

    `*` and `?` stay within a directory, `**` crosses any number of them, none included. A glob without a slash
    fits a name in any directory, one that ends in a slash everything below.
    """
    names = path.split("/")
    return any(_fits(_parts(glob), names, "**", _alike) for glob in globs)


@lru_cache(maxsize=1000)
def _parts(glob: str) -> Sequence[str]:
    if glob.endswith("/"):
        glob += "**"
    if "/" not in glob:
        glob = f"**/{glob}"
    parts = glob.lstrip("/").split("/")
    return [*parts, "*"] if parts[-1] == "**" else parts  # everything below is one name at least


def _alike(glob: str, name: str) -> bool:
    if "*" in glob or "?" in glob:
        return _fits(glob, name, "*", lambda one, other: one in ("?", other))
    return glob == name


def _fits(wanted: Sequence[str], seen: Sequence[str], many: str, alike: Callable[[str, str], bool]) -> bool:
    """Match with `many` for any number of parts. Only the last one is ever tried longer, so no pattern takes long."""
    at = done = 0
    back: tuple[int, int] | None = None
    while done < len(seen):
        if at < len(wanted) and wanted[at] == many:
            back, at = (at, done), at + 1
        elif at < len(wanted) and alike(wanted[at], seen[done]):
            at, done = at + 1, done + 1
        elif back is not None:
            back = (back[0], back[1] + 1)
            at, done = back[0] + 1, back[1]
        else:
            return False
    return all(each == many for each in wanted[at:])
