"""What taking a release out must give, by the model's own rules; git is not asked, nor is what is tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

import semver

from tests.histories.merging import NEW, Overlap, made_of_both, merge
from tests.histories.model import Case, File, Tree, files, merges_by_lines

NOT_ON_MAIN = "it is not on main"
NO_STABLE = "there is no stable release"
SAME_COMMIT = "the stable release is the same commit"
ELSEWHERE = "a newer release was made elsewhere"
BUILT_ON = "a newer release was built on it"
NOTHING = "nothing lies between"
OVERLAP = "later work changed the same"
BY_LINES = "a file would be merged by lines that is to be merged as a whole"


class Verdict(StrEnum):
    """How the chain must end."""

    REFUSED = "refused"
    HOTFIX = "hotfix"
    TREE = "tree"
    TREE_OR_HOTFIX = "tree or hotfix"


@dataclass(frozen=True, slots=True)
class Expected:
    """The only right end; `tree` and `patch` where there is one, `paths` of which people must be told one."""

    verdict: Verdict
    why: str
    tree: Tree | None = None
    patch: str = ""
    paths: frozenset[bytes] = frozenset()
    moved: bool = False  # something was moved in a way at which git may stop before it comes to what is said here


def expect(case: Case) -> Expected:
    """Judge a case."""
    faulty = case.tags[case.faulty][0]
    if faulty not in case.ancestors(case.main):
        return Expected(Verdict.REFUSED, NOT_ON_MAIN)
    stable, why = _stable(case, faulty)
    if stable is None:
        return Expected(Verdict.REFUSED, why)
    if any(_newer(case, tag, faulty) for tag in case.tags):
        return Expected(Verdict.REFUSED, BUILT_ON)
    if why:
        return Expected(Verdict.REFUSED, why)
    base, ours = case.nodes[faulty].tree, case.nodes[case.main].tree
    wanted = _within(case, base, case.nodes[case.tags[stable][0]].tree)
    if files(wanted) == files(base):
        return Expected(Verdict.REFUSED, NOTHING)
    patch = _next(case)
    if case.main == faulty:
        return Expected(Verdict.TREE, "nothing came after", wanted, patch)
    try:
        tree, mixed, moved = merge(base, ours, wanted)
    except Overlap as overlap:
        return Expected(Verdict.HOTFIX, OVERLAP, paths=overlap.paths)
    by_lines, whole = (
        {path for path in each if not merges_by_lines(ours, path)} for each in made_of_both(ours, wanted, tree)
    )
    if by_lines:
        return Expected(Verdict.HOTFIX, BY_LINES, paths=frozenset(by_lines), moved=moved)
    certain = not (mixed or moved or whole) and _can_come_back(wanted, tree, base)
    return Expected(Verdict.TREE if certain else Verdict.TREE_OR_HOTFIX, "merged", tree, patch)


def _can_come_back(wanted: Tree, tree: Tree, released: Tree) -> bool:
    """Whether the release could be put on again: not where later work lies in the place of what it had."""
    try:
        _, _, moved = merge(wanted, tree, released)
    except Overlap:
        return False
    return not moved


def _within(case: Case, base: Mapping[int, File], stable: Mapping[int, File]) -> Tree:
    """What is to come out: the stable release's tree, or of a shared repository what it has below the paths."""
    if "paths" not in case.catalogue:
        return dict(stable)
    others = {number: file for number, file in base.items() if not file.path.startswith(b"svc-a/")}
    own = {number: file for number, file in stable.items() if file.path.startswith(b"svc-a/")}
    free = count(max((*others, *own), default=0) + NEW)
    return others | {next(free) if number in others else number: file for number, file in own.items()}


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
        return None, NO_STABLE
    chosen = inside[max(inside)]
    if case.tags[chosen][0] == faulty:
        return None, SAME_COMMIT
    aside = [tag for version, tag in older.items() if version > max(inside) and tag not in inside.values()]
    if any(tag not in case.tags or case.tags[tag][0] not in on_main for tag in aside):
        return chosen, ELSEWHERE
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
