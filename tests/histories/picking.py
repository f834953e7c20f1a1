"""Draw cherry-picks: one commit's own change a second time, on another branch, as `git cherry-pick -x` makes it."""

from collections.abc import Iterable
from hashlib import sha1

from tests.histories.changes import Changes
from tests.histories.merging import Overlap, merge
from tests.histories.model import Case, Tree, beside

PICKED = "(cherry picked from commit "


def feature(case: Case, drawn: Changes, start: int, title: str) -> list[int]:
    """Two or three commits on a branch of their own."""
    tip, made = start, []
    for number in range(drawn.whole(3, 2)):
        tip = case.commit(drawn.changed(case.nodes[tip].tree), (tip,), f"{title}, part {number}")
        made.append(tip)
    return made


def pick(case: Case, node: int, onto: int) -> int:
    """Put a commit's own change on top of another commit, and answer the new one; that one where they conflict."""
    picked, there = case.nodes[node], case.nodes[onto].tree
    try:
        tree, _, _ = merge(case.nodes[picked.parents[0]].tree, there, picked.tree)
    except Overlap:
        return onto
    if tree == there:
        return onto
    said = "\n" if picked.message.rpartition("\n")[2].startswith("Reverts-Release: ") else "\n\n"
    source = sha1(b"%d" % node, usedforsecurity=False).hexdigest()
    return case.commit(tree, (onto,), f"{picked.message}{said}{PICKED}{source})")


def pick_to_main(case: Case, drawn: Changes) -> None:
    """One of the commits that main has not: a feature's, a hotfix's, or develop's."""
    elsewhere = set(range(1, len(case.nodes))) - case.ancestors(case.main)
    if elsewhere:
        case.main = pick(case, drawn.one(elsewhere), case.main)


def pick_to_develop(case: Case, drawn: Changes) -> None:
    """One of the commits that came to main after the release, or all of them, one by one."""
    assert case.develop is not None
    new = _line(case, case.main, case.ancestors(case.develop))
    for node in new if drawn.chance(3) else [new[drawn.whole(len(new) - 1)]] if new else []:
        case.develop = pick(case, node, case.develop)


def release_picked(case: Case, drawn: Changes, branch: Iterable[int]) -> None:
    """A feature of which one part or more is picked to main, which is then merged, or left where it is."""
    nodes = list(branch)
    merged = drawn.chance(2)
    for node in [nodes[drawn.whole(len(nodes) - 1)]] if merged else nodes:
        case.main = pick(case, node, case.main)
    if merged:
        if drawn.chance(2):
            case.on_main(drawn.changed(case.nodes[case.main].tree), "Work on main")
        bring(case, case.nodes[nodes[0]].parents[0], nodes[-1], "Merge the feature")


def bring(case: Case, fork: int, tip: int, title: str) -> None:
    """Merge a branch into main; where both changed a thing and people had to choose, the branch's is taken."""
    before, main, after = case.nodes[fork].tree, case.nodes[case.main].tree, case.nodes[tip].tree
    try:
        tree, _, _ = merge(before, main, after)
    except Overlap:
        tree = _theirs(before, main, after)
    case.on_main(tree, title, tip)


def _theirs(before: Tree, main: Tree, after: Tree) -> Tree:
    changed = {each for each in {*before, *after} if before.get(each) != after.get(each)}
    kept = {each: file for each, file in main.items() if each not in changed}
    return beside(kept, {each: after[each] for each in changed if each in after})


def pick_parts(case: Case, drawn: Changes, before: int) -> None:
    """Some of the commits of the faulty release, one by one, to develop."""
    assert case.develop is not None
    for node in sorted(case.ancestors(case.main) - case.ancestors(before)):
        if drawn.chance(2):
            case.develop = pick(case, node, case.develop)


def _line(case: Case, tip: int, known: set[int]) -> list[int]:
    """A branch's own line, oldest first, down to what is known."""
    line = []
    while tip not in known:
        line.append(tip)
        tip = case.nodes[tip].parents[0]
    return line[::-1]
