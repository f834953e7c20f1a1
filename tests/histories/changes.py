"""Draw what one commit changes."""

from collections.abc import Collection
from dataclasses import replace
from itertools import count
from random import Random

from tests.histories.model import SLOTS, Case, File, Kind, Tree, with_slot

# Where things lie, and where they go when they are renamed: in the same directory, so that none of them is emptied.
PATHS = (
    b"README", b"app.py", b"svc-a/app.py", b"svc-a/-x", b"svc-a/caf\xe9", b"svc-a/deep/er/\xe2\x80\xa8.py",
    b"svc-b/app.py", b"-dash", b"two words.py", b"\"quoted\"'.py", b"new\nline", b"tab\there", b"back\\slash",
    b"v1.2.1", b"v1.1.0", b"\xc3\xbcml\xc3\xa4ut", b":(top)x", b"st*r?[a].py", b".github/workflows/ship.yml", b"$(id)",
    b"HEAD", b"svc-a2/app.py",
)  # fmt: skip
KINDS = (Kind.TEXT,) * 6 + (Kind.CRLF, Kind.BINARY, Kind.LINK, Kind.SUBMODULE)


class Changes:
    """Draws changes for one case; every text that is written is a new one, unless it is meant to be the same."""

    def __init__(self, random: Random, case: Case) -> None:
        self._random = random
        self.case = case
        self._texts = count(1)
        self._files = count(0)

    def whole(self, most: int, least: int = 0) -> int:
        """A whole number."""
        return self._random.randint(least, most)

    def chance(self, of: int) -> bool:
        """True once in so many."""
        return self.whole(of - 1) == 0

    def one(self, things: Collection[int]) -> int:
        """One of some things."""
        return sorted(things)[self.whole(len(things) - 1)]

    def start(self) -> Tree:
        """A few files; the first one is never deleted."""
        tree = Tree()
        for _ in range(self.whole(8, 3)):
            self.add(tree)
        return tree

    def add(self, tree: Tree) -> None:
        """A new thing, at a path that was never used."""
        number = next(self._files)
        if number >= 2 * len(PATHS):
            return
        kind = KINDS[self.whole(len(KINDS) - 1)] if number else Kind.TEXT
        spread = PATHS[(number * 7) % len(PATHS)] + (b".2" if number >= len(PATHS) else b"")
        slots = tuple(next(self._texts) if slot % 2 == 0 else 0 for slot in range(SLOTS))
        tree[number] = File(spread, kind, slots if kind.slotted else slots[:1], number)

    def copy(self, tree: Tree) -> None:
        """The text of one file in a new one: later work that imports what the release brought."""
        texts = [number for number, file in tree.items() if file.kind.slotted]
        if texts:
            source = tree[self.one(texts)]
            number = 1000 + next(self._files)
            tree[number] = replace(source, path=b"copies/%d" % number)
            self.case.doubtful = True  # should the source go, git takes the copy for its new name

    def change(self, tree: Tree, among: Collection[int]) -> None:
        """One change to one of some things, or a new one."""
        among = sorted(set(among) & set(tree))
        what = self.whole(11)
        if what >= 10 or not among:
            self.add(tree)
            return
        number = self.one(among)
        file = tree[number]
        if what <= 4:
            tree[number] = with_slot(file, self.whole(SLOTS - 1), next(self._texts))
        elif what == 5 and file.kind.slotted:
            tree[number] = with_slot(file, self.whole(SLOTS - 1), 0)
        elif what == 6 and number:
            del tree[number]
        elif what == 7 and number:
            moved = file.path.removesuffix(b"~") if file.path.endswith(b"~") else file.path + b"~"
            tree[number] = replace(file, path=moved)
        elif what == 8 and file.kind not in (Kind.LINK, Kind.SUBMODULE):
            tree[number] = replace(file, executable=not file.executable)
        else:
            tree[number] = with_slot(file, self.whole(SLOTS - 1), next(self._texts))

    def changed(self, tree: Tree, among: Collection[int] | None = None) -> Tree:
        """The tree after one to three changes, to some things or to any."""
        new = dict(tree)
        for _ in range(self.whole(3, 1)):
            self.change(new, tree if among is None else among)
        return new
