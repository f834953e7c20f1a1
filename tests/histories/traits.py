"""What a history has in it: the words that the whole of the drawn ones must cover."""

import re

from tests.histories.drawing import DEVELOPS, STYLES
from tests.histories.model import Case, File, Kind, Tree, above
from tests.histories.picking import PICKED

PLAIN = re.compile(rb"[A-Za-z0-9/._~]*[A-Za-z0-9_~]")
ON_TOP = "pre-release on top"
ALL = frozenset({
    *STYLES, "later commits", "hotfix", "rename", "submodule", "mode", "odd name", "monorepo prefix",
    "picked before the release", "picked after the release", "picked to develop", "revert picked to develop",
    "directory rename", "rename across the prefix", "another type", "directory in its place", "made again",
    "attributes", ON_TOP, *(f"develop {each}" for each in DEVELOPS), "hotfix after the patch release",
})  # fmt: skip


def traits(case: Case) -> set[str]:
    """The words that hold of a case."""
    faulty = case.tags[case.faulty][0]
    before, main = case.ancestors(faulty), case.ancestors(case.main)
    develop = case.ancestors(case.develop) if case.develop is not None else set[int]()
    told = {
        "later commits": case.main != faulty,
        "hotfix": f"{case.prefix}1.1.7" in case.tags,
        "monorepo prefix": case.prefix != "v",
        "picked before the release": _picked(case, before),
        "picked after the release": _picked(case, main - before),
        "picked to develop": _picked(case, develop - main),
        "revert picked to develop": case.revert_picked,
        f"develop {case.develops}": case.develops != "",
        "hotfix after the patch release": case.late_fix is not None,
        ON_TOP: f"{case.prefix}1.3.0-rc.1" in case.tags,
        "made again": _made_again(case, main | develop),
    }
    found = {case.style, *(word for word, holds in told.items() if holds)}
    for node in main | develop:
        for parent in case.nodes[node].parents:
            found |= _changed(case.nodes[parent].tree, case.nodes[node].tree)
    return found


def _picked(case: Case, nodes: set[int]) -> bool:
    return any(PICKED in case.nodes[node].message for node in nodes)


def _made_again(case: Case, nodes: set[int]) -> bool:
    """Whether something is new where another thing was once, or the same."""
    once = set[bytes]()
    for node in sorted(nodes):
        tree = case.nodes[node].tree
        known = [case.nodes[parent].tree for parent in case.nodes[node].parents]
        if known and any(number not in known[0] and file.path in once for number, file in tree.items()):
            return True
        once |= {file.path for each in known for file in each.values()}
    return False


def _changed(before: Tree, after: Tree) -> set[str]:
    pairs = ((before.get(each), after.get(each)) for each in {*before, *after})
    found = {word for one, other in pairs if one != other for word in _words(one, other)}
    folders = [{folder for file in tree.values() for folder in above(file.path)} for tree in (before, after)]
    kept = [(before[each].path, after[each].path) for each in {*before} & {*after}]
    if any(above(old) & (folders[0] - folders[1]) and above(new) & (folders[1] - folders[0]) for old, new in kept):
        found.add("directory rename")
    if folders[1] & {file.path for file in before.values()} or folders[0] & {file.path for file in after.values()}:
        found.add("directory in its place")
    return found


def _words(one: File | None, other: File | None) -> set[str]:
    either = [file for file in (one, other) if file]
    told = {
        "rename": len({file.path for file in either}) > 1,
        "mode": len({file.executable for file in either}) > 1,
        "rename across the prefix": len({file.path.startswith(b"svc-a/") for file in either}) > 1,
        "another type": len({file.kind for file in either}) > 1,
        "attributes": any(file.kind is Kind.ATTRIBUTES for file in either),
        "submodule": any(file.kind is Kind.SUBMODULE for file in either),
        "odd name": any(not PLAIN.fullmatch(file.path) or file.path.startswith(b"-") for file in either),
    }
    return {word for word, holds in told.items() if holds}
