"""What a history has in it: the words that the whole of the drawn ones must cover."""

import re

from tests.histories.drawing import STYLES
from tests.histories.model import Case, File, Kind, Tree
from tests.histories.picking import PICKED

PLAIN = re.compile(rb"[A-Za-z0-9/._~]*[A-Za-z0-9_~]")
ALL = frozenset({
    *STYLES, "later commits", "hotfix", "rename", "submodule", "mode", "odd name", "monorepo prefix",
    "picked before the release", "picked after the release", "picked to develop", "revert picked to develop",
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
    }
    found = {case.style, *(word for word, holds in told.items() if holds)}
    for node in main | develop:
        for parent in case.nodes[node].parents:
            found |= _changed(case.nodes[parent].tree, case.nodes[node].tree)
    return found


def _picked(case: Case, nodes: set[int]) -> bool:
    return any(PICKED in case.nodes[node].message for node in nodes)


def _changed(before: Tree, after: Tree) -> set[str]:
    pairs = ((before.get(each), after.get(each)) for each in {*before, *after})
    return {word for one, other in pairs if one != other for word in _words(one, other)}


def _words(one: File | None, other: File | None) -> set[str]:
    either = [file for file in (one, other) if file]
    told = {
        "rename": len({file.path for file in either}) > 1,
        "mode": len({file.executable for file in either}) > 1,
        "submodule": any(file.kind is Kind.SUBMODULE for file in either),
        "odd name": any(not PLAIN.fullmatch(file.path) or file.path.startswith(b"-") for file in either),
    }
    return {word for word, holds in told.items() if holds}
