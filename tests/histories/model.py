"""Repositories as plain values: what every commit holds, and what git and GitHub know of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha1

from recovery.releases import Release
from tests.histories.remote import Files, blob

SLOTS = 6


class Kind(StrEnum):
    """What sort of thing lies at a path."""

    TEXT = "text"
    CRLF = "crlf"
    BINARY = "binary"
    LINK = "link"
    SUBMODULE = "submodule"
    ATTRIBUTES = "attributes"

    @property
    def slotted(self) -> bool:
        """Answer whether git merges it line by line."""
        return self in (Kind.TEXT, Kind.CRLF)


# What a .gitattributes may say; the last one that fits a path wins. Of these only the first lets git merge by lines.
RULES = (b"*.sql -text", b"* -merge", b"*.py merge=union", b"* binary")
MODES = {Kind.LINK: "120000", Kind.SUBMODULE: "160000"}


@dataclass(frozen=True, slots=True)
class File:
    """One thing in a tree. A text is a row of slots, far apart, each empty (0) or with a text of its own."""

    path: bytes
    kind: Kind
    slots: tuple[int, ...]
    source: int  # whose words the lines between the slots are
    executable: bool = False

    @property
    def mode(self) -> str:
        """As git writes it."""
        return MODES.get(self.kind, "100755" if self.executable else "100644")

    @property
    def content(self) -> bytes:
        """Every byte of it; for a submodule the commit that it points to."""
        seed = f"{self.source}:{self.slots[0]}"
        if self.kind is Kind.SUBMODULE:
            return sha1(seed.encode(), usedforsecurity=False).hexdigest().encode()
        if self.kind is Kind.LINK:
            return f"to/{seed}".encode()
        if self.kind is Kind.BINARY:
            return b"\0" + b"".join(
                sha1(f"{seed}:{part}".encode(), usedforsecurity=False).digest() for part in range(12)
            )
        if self.kind is Kind.ATTRIBUTES:  # mostly words of its own, lest it be taken for another one that moved
            told = b"# " + sha1(seed.encode(), usedforsecurity=False).hexdigest().encode() * 3
            return told + b"\n" + RULES[self.slots[0] % len(RULES)] + b"\n"
        end = "\r\n" if self.kind is Kind.CRLF else "\n"
        return "".join(f"{line}{end}" for line in self._lines()).encode()

    @property
    def object(self) -> str:
        """The object id that git must give to it."""
        return self.content.decode() if self.kind is Kind.SUBMODULE else blob(self.content)

    def _lines(self) -> Iterable[str]:
        for number, said in enumerate(self.slots):
            yield from (f"file {self.source}, before slot {number}, line {line}" for line in range(4))
            if said:
                yield from (f"slot {number} says {said}", f"and nothing but {said}")
        yield f"end of file {self.source}"


Tree = dict[int, File]


@dataclass(frozen=True, slots=True)
class Node:
    """One commit."""

    tree: Tree
    parents: tuple[int, ...]
    message: str


@dataclass
class Case:
    """A repository, what GitHub lists of it, what the catalogue says, and what is to be taken out."""

    nodes: list[Node] = field(default_factory=list)
    main: int = 0
    develop: int | None = None
    develops: str = ""  # how develop lies to the release
    branches: dict[str, int] = field(default_factory=dict)  # further ones, which nobody deleted
    tags: dict[str, tuple[int, bool]] = field(default_factory=dict)  # commit, annotated
    releases: list[Release] = field(default_factory=list)
    catalogue: dict[str, object] = field(default_factory=dict)
    prefix: str = "v"
    faulty: str = ""
    style: str = ""  # how the faulty release came to main
    revert_picked: bool = False  # a person picks the revert to develop before anything else happens there
    late_fix: int | None = None  # which file a hotfix changes that comes to main alone after the patch release
    partial: bool = False  # the Git host sends files when they are asked for, and not with the history
    story: list[str] = field(default_factory=list)

    def commit(self, tree: Mapping[int, File], parents: Iterable[int], message: str) -> int:
        """Add a commit and answer its number."""
        self.nodes.append(Node(dict(tree), tuple(parents), message))
        self.story.append(f"{len(self.nodes) - 1} {list(parents)} {message}")
        return len(self.nodes) - 1

    def on_main(self, tree: Mapping[int, File], message: str, *others: int) -> int:
        """Add a commit on main, merging others."""
        self.main = self.commit(tree, (self.main, *others), message)
        return self.main

    def ancestors(self, node: int) -> set[int]:
        """A commit and all that came before it."""
        found, left = set[int](), [node]
        while left:
            each = left.pop()
            if each not in found:
                found.add(each)
                left.extend(self.nodes[each].parents)
        return found

    def merge_bases(self, one: int, other: int) -> set[int]:
        """The best commits that two have in common."""
        common = self.ancestors(one) & self.ancestors(other)
        return {each for each in common if not any(each in self.ancestors(more) - {more} for more in common)}


def files(tree: Mapping[int, File]) -> Files:
    """What plain git must list of a tree."""
    return {each.path: (each.mode, each.object) for each in tree.values()}


def above(path: bytes) -> set[bytes]:
    """The directories that a path lies in."""
    parts = path.split(b"/")
    return {b"/".join(parts[:length]) for length in range(1, len(parts))}


def clashing(tree: Mapping[int, File]) -> set[bytes]:
    """Paths at which there is more than one thing, a directory among them."""
    there = Counter(file.path for file in tree.values())
    folders = {folder for path in there for folder in above(path)}
    return {path for path, number in there.items() if number > 1 or path in folders}


def beside(tree: Mapping[int, File], first: Mapping[int, File]) -> Tree:
    """Things, and what of a tree has room beside them."""
    result = dict(first)
    for number, file in tree.items():
        if number not in result and not clashing({**result, number: file}):
            result[number] = file
    return result


def merges_by_lines(tree: Mapping[int, File], path: bytes) -> bool:
    """Whether a tree's own .gitattributes let git merge what lies at a path line by line; the nearest one wins."""
    rules = {file.path: file for file in tree.values() if file.kind is Kind.ATTRIBUTES}
    nearest = [rules[each] for each in (b"svc-a/.gitattributes", b".gitattributes") if each in rules
               and path.startswith(each.removesuffix(b".gitattributes"))]  # fmt: skip
    said = (RULES[file.slots[0] % len(RULES)] for file in nearest)
    return not any(rule != RULES[0] and (path.endswith(b".py") or rule.startswith(b"* ")) for rule in said)


def with_slot(file: File, slot: int, said: int) -> File:
    """The same file with another text in one slot."""
    slots = list(file.slots)
    slots[slot if file.kind.slotted else 0] = said
    return replace(file, slots=tuple(slots))
