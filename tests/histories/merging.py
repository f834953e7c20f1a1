"""Merge trees by the model's own rules, thing by thing as git follows them; git is not asked."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import count
from typing import TypeVar

from tests.histories.model import File, Tree, above, clashing

T = TypeVar("T")
NEW = 1_000_000  # above every number that is drawn


class Overlap(Exception):
    """Both sides changed the same: people must decide; `paths` are names of what it is."""

    def __init__(self, said: str, paths: Iterable[bytes]) -> None:
        super().__init__(said)
        self.paths = frozenset(paths)


def merge(base: Tree, ours: Tree, theirs: Tree) -> tuple[Tree, bool, bool]:
    """Merge thing by thing; also whether a file has the same from both and more from each, and whether something
    was moved in a way that git may hand to people. Raises Overlap.
    """
    (ours, guessed), (theirs, guessed_too) = _as_git_follows(base, ours), _as_git_follows(base, theirs)
    merged, any_mixed, any_moved = Tree(), False, guessed or guessed_too
    any_moved |= _follows_directory(base, ours, theirs) or _follows_directory(base, theirs, ours)
    for each in sorted({*base, *ours, *theirs}):
        before, mine, other = base.get(each), ours.get(each), theirs.get(each)
        if before and mine and other:
            merged[each], mixed, moved = _file(before, mine, other)
            any_mixed, any_moved = any_mixed or mixed, any_moved or moved
        elif mine in (before, other) or other == before:
            chosen = other if mine == before else mine
            if chosen:
                merged[each] = chosen
        elif before is None and mine and other and mine.path != other.path:
            merged |= {each: mine, max((*base, *ours, *theirs, *merged)) + NEW: other}  # two new things, to git
        else:
            raise Overlap(f"{before or mine} was changed here and removed there", _paths(before, mine, other))
    return _apart(merged), any_mixed, any_moved


def made_of_both(ours: Tree, theirs: Tree, tree: Tree) -> tuple[set[bytes], set[bytes]]:
    """Paths of a merged tree whose content is neither side's, and those that have one's content, the other's mode."""
    mine, other = ({file.path: file for file in each.values()} for each in (ours, theirs))
    contents, modes = set(), set()
    for file in tree.values():
        sides = [each[file.path] for each in (mine, other) if file.path in each]
        if file.object not in [each.object for each in sides]:
            contents.add(file.path)
        elif (file.mode, file.object) not in [(each.mode, each.object) for each in sides]:
            modes.add(file.path)
    return contents, modes


def _as_git_follows(base: Tree, tree: Tree) -> tuple[Tree, bool]:
    """Number a tree's things as git sees them from `base`: what lies at an old path is the same, whatever it is now,
    and so is what moved and stayed what it was, line by line where it is a text. All else is gone, or is new.

    Also whether git has to guess, since more than one thing could be what moved.
    """
    at = {file.path: number for number, file in base.items()}
    followed = {at[file.path]: file for file in tree.values() if file.path in at}
    gone = {each: known for each, known in base.items() if each not in followed}
    sure, chosen = True, set[int]()
    for number, file in tree.items():
        if file.path not in at:
            alike = [each for each, known in gone.items() if _alike_in_content(known, file)]
            sure &= len(alike) < 2 and not chosen & set(alike)
            chosen |= set(alike)
            free = next(each for each in count(number, NEW) if each not in base and each not in followed)
            left = [each for each in alike if each not in followed]
            followed[number if number in left else left[0] if left else free] = file
    return followed, not sure


def _alike_in_content(known: File, file: File) -> bool:
    same = known.source == file.source and known.kind == file.kind
    return same and (file.kind.slotted or known.slots == file.slots)


def _follows_directory(base: Tree, side: Tree, other: Tree) -> bool:
    """Whether something lies new in a directory on one side, which the other side has moved away: it may follow."""
    gone = _directories(base.values()) - _directories(side.values())
    moved = {
        folder
        for each, file in base.items()
        if each in side and side[each].path != file.path
        for folder in above(file.path)
    }
    new = [file for each, file in other.items() if each not in base or base[each].path != file.path]
    return bool(gone & moved & _directories(new))


def _directories(files: Iterable[File]) -> set[bytes]:
    return {folder for file in files for folder in above(file.path)}


def _apart(tree: Tree) -> Tree:
    """The tree with what both sides made alike once. Raises Overlap where two things want the same place."""
    once = {(file.path, file.mode, file.object): number for number, file in tree.items()}
    single = {number: tree[number] for number in sorted(once.values())}
    clash = clashing(single)
    if clash:
        raise Overlap(f"more than one thing at {sorted(clash)}", clash)
    return single


def _file(before: File, mine: File, other: File) -> tuple[File, bool, bool]:
    path = _pick(before.path, mine.path, other.path, (before, mine, other))
    if len({(each.kind, each.source) for each in (before, mine, other)}) > 1:
        was, here, there = (replace(each, path=path) for each in (before, mine, other))
        return _pick(was, here, there, (before, mine, other)), False, len({before.path, mine.path, other.path}) > 1
    executable = _pick(before.executable, mine.executable, other.executable, (before, mine, other))
    if before.kind.slotted:
        each_slot = zip(before.slots, mine.slots, other.slots, strict=True)
        slots = tuple(_pick(*each, (before, mine, other)) for each in each_slot)
    else:
        slots = _pick(before.slots, mine.slots, other.slots, (before, mine, other))
    result = replace(before, path=path, executable=executable, slots=slots)
    # Both took the same out, and later work lies in the same file: putting the release on again brings more back.
    alike = [_alike(*each) for each in zip(before.slots, mine.slots, other.slots, strict=True)]
    alike += [_alike(before.path, mine.path, other.path), _alike(before.executable, mine.executable, other.executable)]
    mixed = any(alike) and result not in (mine, other)
    return result, mixed, False


def _pick(before: T, mine: T, other: T, of: Collection[File]) -> T:
    if mine in (before, other):
        return other
    if other == before:
        return mine
    raise Overlap(f"{before!r} became {mine!r} and {other!r}", _paths(*of))


def _alike(before: object, mine: object, other: object) -> bool:
    return mine == other != before


def _paths(*files: File | None) -> set[bytes]:
    return {file.path for file in files if file}
