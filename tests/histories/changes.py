"""Draw what one commit changes."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count
from random import Random

from tests.histories.model import SLOTS, File, Kind, Tree, beside, clashing, with_slot

# Where things lie at first.
PATHS = (
    b"README", b"app.py", b"svc-a/app.py", b"svc-a/-x", b"svc-a/caf\xe9", b"svc-a/deep/er/\xe2\x80\xa8.py",
    b"svc-b/app.py", b"-dash", b"two words.py", b"\"quoted\"'.py", b"new\nline", b"tab\there", b"back\\slash",
    b"v1.2.1", b"v1.1.0", b"\xc3\xbcml\xc3\xa4ut", b":(top)x", b"st*r?[a].py", b".github/workflows/ship.yml", b"$(id)",
    b"HEAD", b"svc-a2/app.py",
)  # fmt: skip
ATTRIBUTES = (b".gitattributes", b"svc-a/.gitattributes")
INSIDE = b"/inside.py"  # what becomes of a file that becomes a directory
KINDS = (Kind.TEXT,) * 6 + (Kind.CRLF, Kind.BINARY, Kind.LINK, Kind.SUBMODULE)


class Changes:
    """Draws changes for one case; every text that is written is a new one, unless it is meant to be the same."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._texts = count(1)
        self._files = count(0)
        self._gone: list[tuple[int, File]] = []

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
        tree.update(beside({number: File(spread, kind, slots if kind.slotted else slots[:1], number)}, tree))

    def copy(self, tree: Tree) -> None:
        """The text of one file in a new one: later work that imports what the release brought."""
        texts = [number for number, file in tree.items() if file.kind.slotted]
        if texts:
            source = tree[self.one(texts)]
            number = 1000 + next(self._files)
            tree[number] = replace(source, path=b"copies/%d" % number)

    def change(self, tree: Tree, among: Collection[int]) -> None:
        """One change to one of some things, or a new one."""
        among = sorted(set(among) & set(tree))
        what = self.whole(17)
        if not among or what in (10, 11):
            self.add(tree)
        elif what == 12:
            self._attributes(tree)
        elif what == 13:
            self._again(tree)
        else:
            self._change_one(tree, self.one(among), what)

    def _change_one(self, tree: Tree, number: int, what: int) -> None:
        file = tree[number]
        if what == 5 and file.kind.slotted:
            tree[number] = with_slot(file, self.whole(SLOTS - 1), 0)
        elif what == 6 and number:
            self._gone.append((number, tree.pop(number)))
        elif what == 7 and number:
            self._move(tree, {number: _toggled(file.path, b"~")})
        elif what == 8 and file.kind not in (Kind.LINK, Kind.SUBMODULE):
            tree[number] = replace(file, executable=not file.executable)
        elif what == 14 and number:
            self._retype(tree, number)
        elif what == 15 and number and file.kind not in (Kind.SUBMODULE, Kind.ATTRIBUTES):
            self._into_directory(tree, number)
        elif what == 16:
            self._move_directory(tree, file.path)
        elif what == 17 and number and file.kind is not Kind.ATTRIBUTES:
            self._move(tree, {number: _across(file.path)})
        else:
            tree[number] = with_slot(file, self.whole(SLOTS - 1), next(self._texts))

    def elsewhere_in(self, tree: Tree, before: Tree, after: Tree) -> Tree:
        """The tree after more work in the texts that two others have in common and changed, on other lines of them."""
        new = dict(tree)
        for number in sorted({*tree} & {*before} & {*after}):
            was, now = before[number], after[number]
            same = [slot for slot in range(SLOTS) if was.kind.slotted and now.kind.slotted and tree[number].kind.slotted
                    and was.slots[slot] == now.slots[slot] == tree[number].slots[slot]]  # fmt: skip
            if was != now and same:
                new[number] = with_slot(tree[number], self.one(same), next(self._texts))
        return new

    def _move(self, tree: Tree, paths: Mapping[int, bytes]) -> None:
        """Rename, where nothing is in the way."""
        new = tree | {number: replace(tree[number], path=path) for number, path in paths.items()}
        if not clashing(new):
            tree.update(new)

    def _move_directory(self, tree: Tree, path: bytes) -> None:
        """Rename the topmost directory that a path lies in, with all that it holds."""
        top, _, rest = path.partition(b"/")
        if rest:
            new = _toggled(top, b"~")
            inside = {each: file.path for each, file in tree.items() if file.path.startswith(top + b"/")}
            self._move(tree, {each: new + old.removeprefix(top) for each, old in inside.items()})

    def _into_directory(self, tree: Tree, number: int) -> None:
        """A directory takes a file's place, with that file in it or with a new one; or the other way round."""
        path = _toggled(tree[number].path, INSIDE)
        if self.chance(2):
            self._move(tree, {number: path})
        else:
            old, made = tree.pop(number), self._new(path, Kind.TEXT)
            self._gone.append((number, old))
            tree.update(beside(made, tree))

    def _retype(self, tree: Tree, number: int) -> None:
        """A text becomes a link, or a link a text."""
        file = tree[number]
        if file.kind.slotted:
            tree[number] = replace(file, kind=Kind.LINK, slots=(next(self._texts),), executable=False)
        elif file.kind is Kind.LINK:
            tree[number] = replace(file, kind=Kind.TEXT, slots=(next(self._texts),) + (0,) * (SLOTS - 1))

    def _again(self, tree: Tree) -> None:
        """What was deleted is there again: the same, or something else of that name."""
        if not self._gone:
            return
        number, file = self._gone[self.whole(len(self._gone) - 1)]
        tree.update(beside({number: file} if self.chance(2) else self._new(file.path, Kind.TEXT), tree))

    def _attributes(self, tree: Tree) -> None:
        """Another rule for all files or for those of the service."""
        path = ATTRIBUTES[self.whole(1)]
        known = [each for each, file in tree.items() if file.path == path]
        if known:
            tree[known[0]] = with_slot(tree[known[0]], 0, next(self._texts))
        else:
            tree.update(beside(self._new(path, Kind.ATTRIBUTES), tree))

    def _new(self, path: bytes, kind: Kind) -> Tree:
        number = 2000 + next(self._files)
        slots = tuple(next(self._texts) if slot % 2 == 0 else 0 for slot in range(SLOTS))
        return {number: File(path, kind, slots if kind.slotted else slots[:1], number)}

    def changed(self, tree: Tree, among: Collection[int] | None = None) -> Tree:
        """The tree after one to three changes, to some things or to any."""
        new = dict(tree)
        for _ in range(self.whole(3, 1)):
            self.change(new, tree if among is None else among)
        return new


def _toggled(path: bytes, end: bytes) -> bytes:
    return path.removesuffix(end) if path.endswith(end) else path + end


def _across(path: bytes) -> bytes:
    """From the service's directory to another's or back; what lies elsewhere comes to the service's."""
    if path.startswith(b"svc-a/"):
        return b"svc-b/from a/" + path.removeprefix(b"svc-a/")
    return b"svc-a/" + path.removeprefix(b"svc-b/from a/")
