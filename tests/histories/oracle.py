"""What taking a release out must give, by the model's own rules; git is not asked, nor is what is tested."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import TypeVar

import semver

from tests.histories.model import Case, File, Tree, files


class Verdict(StrEnum):
    """How the chain must end."""

    REFUSED = "refused"
    HOTFIX = "hotfix"
    TREE = "tree"
    TREE_OR_HOTFIX = "tree or hotfix"


@dataclass(frozen=True, slots=True)
class Expected:
    """The only right end; `tree` and `patch` where there is one."""

    verdict: Verdict
    why: str
    tree: Tree | None = None
    patch: str = ""


T = TypeVar("T")
NEW = 1_000_000  # above every number that is drawn


class Overlap(Exception):
    """Release and later work changed the same: people must decide."""


def expect(case: Case) -> Expected:
    """Judge a case."""
    faulty = case.tags[case.faulty][0]
    if faulty not in case.ancestors(case.main):
        return Expected(Verdict.REFUSED, "not on main")
    stable, why = _stable(case, faulty)
    if stable is None:
        return Expected(Verdict.REFUSED, why)
    if any(_newer(case, tag, faulty) for tag in case.tags):
        return Expected(Verdict.REFUSED, "a newer release was built on it")
    base, ours = case.nodes[faulty].tree, case.nodes[case.main].tree
    wanted = _within(case, base, case.nodes[case.tags[stable][0]].tree)
    if files(wanted) == files(base):
        return Expected(Verdict.REFUSED, "nothing lies between")
    patch = _next(case)
    if case.main == faulty:
        return Expected(Verdict.TREE, "nothing came after", wanted, patch)
    try:
        tree, mixed, moved = merge(base, ours, wanted)
    except Overlap as overlap:
        return Expected(Verdict.HOTFIX, str(overlap))
    certain = not (mixed or moved or case.doubtful)
    return Expected(Verdict.TREE if certain else Verdict.TREE_OR_HOTFIX, "merged", tree, patch)


def next_release(case: Case) -> tuple[Tree, bool]:
    """What the next release must hold: main and develop together, as if nothing had been taken out. Raises Overlap.

    The second is false where git has an excuse to hand it to people.
    """
    assert case.develop is not None
    base = case.nodes[case.tags[case.faulty][0]].tree
    tree, _, moved = merge(base, case.nodes[case.main].tree, case.nodes[case.develop].tree)
    return tree, not moved


def merge(base: Tree, ours: Tree, theirs: Tree) -> tuple[Tree, bool, bool]:
    """Merge thing by thing; also whether a file has the same from both and more from each, and whether something
    that git merges as a whole was moved. Raises Overlap.
    """
    ours, theirs = _as_git_follows(base, ours), _as_git_follows(base, theirs)
    merged, any_mixed, any_moved = Tree(), False, False
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
            raise Overlap(f"{before or mine} was changed here and removed there")
    return merged, any_mixed, any_moved


def _as_git_follows(base: Tree, tree: Tree) -> Tree:
    """Number a tree's things as git sees them from `base`: one at its old path is the same, and so is one that moved
    and stayed what it was, line by line where it is a text. Anything else is gone, and a new thing is there.
    """
    at = {file.path: number for number, file in base.items()}
    followed, moved = Tree(), Tree()
    for number, file in tree.items():
        old = at.get(file.path)
        if old is not None and base[old].source == file.source:
            followed[old] = file
        else:
            moved[number] = file
    for number, file in moved.items():
        alike = [
            each
            for each, known in base.items()
            if each not in followed and known.source == file.source and (file.kind.slotted or known.slots == file.slots)
        ]
        free = next(each for each in count(number, NEW) if each not in base and each not in followed)
        followed[number if number in alike else alike[0] if alike else free] = file
    return followed


def _file(before: File, mine: File, other: File) -> tuple[File, bool, bool]:
    path = _pick(before.path, mine.path, other.path)
    executable = _pick(before.executable, mine.executable, other.executable)
    if before.kind.slotted:
        slots = tuple(_pick(*each) for each in zip(before.slots, mine.slots, other.slots, strict=True))
    else:
        slots = _pick(before.slots, mine.slots, other.slots)
    result = replace(before, path=path, executable=executable, slots=slots)
    # Both took the same out, and later work lies in the same file: putting the release on again brings more back.
    alike = [_alike(*each) for each in zip(before.slots, mine.slots, other.slots, strict=True)]
    alike += [_alike(before.path, mine.path, other.path), _alike(before.executable, mine.executable, other.executable)]
    mixed = any(alike) and result not in (mine, other)
    # What is no text is followed by a rename only when nothing else of it changed.
    moved = len({before.path, mine.path, other.path}) > 1 and not before.kind.slotted
    return result, mixed, moved


def _pick(before: T, mine: T, other: T) -> T:
    if mine in (before, other):
        return other
    if other == before:
        return mine
    raise Overlap(f"{before!r} became {mine!r} and {other!r}")


def _alike(before: object, mine: object, other: object) -> bool:
    return mine == other != before


def _within(case: Case, base: Mapping[int, File], stable: Mapping[int, File]) -> Tree:
    paths = case.catalogue.get("paths")
    if not isinstance(paths, tuple):
        return dict(stable)
    mine = {number for tree in (base, stable) for number, file in tree.items() if file.path.startswith(b"svc-a/")}
    return {number: file for number, file in base.items() if number not in mine} | {
        number: file for number, file in stable.items() if number in mine
    }


def _stable(case: Case, faulty: int) -> tuple[str | None, str]:
    known = case.catalogue.get("quarantine")
    bad = set(known) if isinstance(known, tuple) else set()
    on_main = case.ancestors(case.main)
    for node in on_main:
        for line in case.nodes[node].message.splitlines():
            if line.startswith("Reverts-Release: "):
                bad.add(line.split()[1])
    number = _number(case, case.faulty)
    assert number
    older = {}
    for release in case.releases:
        version = _number(case, release.tag)
        fine = not release.draft and not release.prerelease and release.tag not in bad
        if fine and version and not version.prerelease and version < number:
            older[version] = release.tag
    past = case.ancestors(faulty)
    inside = {version: tag for version, tag in older.items() if tag in case.tags and case.tags[tag][0] in past}
    if not inside:
        return None, "no stable release"
    chosen = inside[max(inside)]
    if case.tags[chosen][0] == faulty:
        return None, "the same commit"
    aside = [tag for version, tag in older.items() if version > max(inside) and tag not in inside.values()]
    if any(tag not in case.tags or case.tags[tag][0] not in on_main for tag in aside):
        return None, "a newer release was made elsewhere"
    return chosen, ""


def _newer(case: Case, tag: str, faulty: int) -> bool:
    node, number = case.tags[tag][0], _number(case, tag)
    flagged = any(each.prerelease for each in case.releases if each.tag == tag)
    return (
        number is not None
        and not number.prerelease
        and not flagged
        and node != faulty
        and faulty in case.ancestors(node)
    )


def _next(case: Case) -> str:
    number = _number(case, case.faulty)
    assert number
    number = number.bump_patch()
    taken = {*case.tags, *(release.tag for release in case.releases if not release.draft)}
    while f"{case.prefix}{number}" in taken:
        number = number.bump_patch()
    return f"{case.prefix}{number}"


def _number(case: Case, tag: str) -> semver.Version | None:
    given = tag.removeprefix(case.prefix)
    return semver.Version.parse(given) if tag.startswith(case.prefix) and semver.Version.is_valid(given) else None
