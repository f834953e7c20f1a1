"""Repositories as plain values: what every commit holds, and the stream from which git makes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha1

from recovery.releases import Release
from tests.histories.remote import Files, blob

SLOTS = 6
WHEN = 1767225600  # 2026-01-01, a second more for each commit


class Kind(StrEnum):
    """What sort of thing lies at a path."""

    TEXT = "text"
    CRLF = "crlf"
    BINARY = "binary"
    LINK = "link"
    SUBMODULE = "submodule"

    @property
    def slotted(self) -> bool:
        """Answer whether git merges it line by line."""
        return self in (Kind.TEXT, Kind.CRLF)


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
    branches: dict[str, int] = field(default_factory=dict)  # further ones, which nobody deleted
    tags: dict[str, tuple[int, bool]] = field(default_factory=dict)  # commit, annotated
    releases: list[Release] = field(default_factory=list)
    catalogue: dict[str, object] = field(default_factory=dict)
    prefix: str = "v"
    faulty: str = ""
    style: str = ""  # how the faulty release came to main
    revert_picked: bool = False  # a person picks the revert to develop before anything else happens there
    partial: bool = False  # the Git host sends files when they are asked for, and not with the history
    doubtful: bool = False  # the model knows what is right, but git may well hand it to people
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


def files(tree: Mapping[int, File]) -> Files:
    """What plain git must list of a tree."""
    return {each.path: (each.mode, each.object) for each in tree.values()}


def stream(case: Case) -> bytes:
    """The repository as `git fast-import` reads it."""
    out = [b"feature done\n"]
    for number, node in enumerate(case.nodes):
        out.append(b"reset refs/work\n\ncommit refs/work\nmark :%d\n" % (number + 1))
        out.append(b"committer Ada <ada@lab> %d +0000\n%s" % (WHEN + number, _data(node.message.encode())))
        for word, parent in zip([b"from", *[b"merge"] * 9], node.parents, strict=False):
            out.append(b"%s :%d\n" % (word, parent + 1))
        out.append(b"deleteall\n")
        for each in node.tree.values():
            path = each.path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
            if each.kind is Kind.SUBMODULE:
                out.append(b'M 160000 %s "%s"\n' % (each.content, path))
            else:
                out.append(b'M %s inline "%s"\n%s' % (each.mode.encode(), path, _data(each.content)))
    heads = {"main": case.main, **case.branches} | ({} if case.develop is None else {"develop": case.develop})
    out += [b"reset refs/heads/%s\nfrom :%d\n" % (name.encode(), node + 1) for name, node in heads.items()]
    for tag, (node_number, annotated) in case.tags.items():
        if annotated:
            out.append(b"tag %s\nfrom :%d\n" % (tag.encode(), node_number + 1))
            out.append(b"tagger Ada <ada@lab> %d +0000\n%s" % (WHEN, _data(tag.encode())))
        else:
            out.append(b"reset refs/tags/%s\nfrom :%d\n" % (tag.encode(), node_number + 1))
    return b"".join([*out, b"done\n"])


def with_slot(file: File, slot: int, said: int) -> File:
    """The same file with another text in one slot."""
    slots = list(file.slots)
    slots[slot if file.kind.slotted else 0] = said
    return replace(file, slots=tuple(slots))


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
