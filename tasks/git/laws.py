"""What a revert gives on a head of `main`, and what must hold of it before anybody sees it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from recovery.bounded import shortened
from recovery.reverts import Literal, Preview, RevertPlan
from tasks.git.attributes import heeding
from tasks.git.plumbing import Repository, rows
from tasks.git.reading import differing, learn_differing, learn_renamed, renamed, unquoted
from tasks.git.revert import Conflict, attempt, merge_out, merge_trees, wanted_tree

SUBMODULE = "160000"
MOST_PREVIEWS = 50
_previews: dict[tuple[object, ...], Preview] = {}  # by remote, commits and paths: what is there of them never changes
TEXT = ("unspecified", "set", "text")  # values of the attribute `merge` with which git merges line by line


def preview(bare: Repository, plan: RevertPlan, head: str) -> Preview:
    """Compute what the revert gives on this head, and what the plan's literal command would have given."""
    bare.learn_trees(plan.stable_commit, plan.faulty_commit, head, f"{plan.faulty_commit}^1")
    tree, conflicts = attempt(lambda: merge_out(bare, plan, head))
    key = (bare.url, plan.stable_commit, plan.faulty_commit, plan.paths, head)
    before = _previews.get(key)
    if before and not bare.fresh and (before.tree, before.conflicts) == (tree, conflicts):
        return before
    if len(_previews) >= MOST_PREVIEWS:
        _previews.clear()
    return _previews.setdefault(key, _preview(bare, plan, head, tree, conflicts))


def _preview(bare: Repository, plan: RevertPlan, head: str, tree: str | None, conflicts: tuple[str, ...]) -> Preview:
    stable, faulty, now = (bare.tree_of(each) for each in (plan.stable_commit, plan.faulty_commit, head))
    if tree:
        learn_differing(bare, (stable, faulty), (faulty, now), (now, tree), (stable, tree))
    touched = differing(bare, stable, faulty, plan.paths)
    attributes = _have_attributes(bare, head, tuple(touched))
    literal, differs = _literally(heeding(bare, head) if attributes else bare, plan, head, tree)
    filters = _attribute(bare, head, "filter", tuple(touched)) if attributes else {}
    return Preview(
        head=head,
        tree=tree,
        conflicts=conflicts,
        touched=tuple(touched),
        broken=broken_laws(bare, plan, head, tree) if tree else (),
        nothing_left=tree == now,
        literal=literal,
        differs=differs,
        submodules=tuple(path for path, each in touched.items() if SUBMODULE in each.modes),
        large_files=tuple(path for path, kept in filters.items() if kept == "lfs"),
    )


def broken_laws(bare: Repository, plan: RevertPlan, head: str, tree: str) -> tuple[str, ...]:
    """What must hold of a revert of this head, and does not: sentences; none where nothing came after the release.

    What we change was changed by the release, what still differs from the stable release was changed after it, and
    putting the release on again gives this head. A file that was renamed counts under both its names.
    """
    wanted, faulty = wanted_tree(bare, plan), bare.tree_of(plan.faulty_commit)
    if head == plan.faulty_commit:
        return () if tree == wanted else ("the tree is not the stable release's",)
    after = bare.tree_of(head)
    release, later = set(differing(bare, wanted, faulty)), set(differing(bare, faulty, after))
    ours, stays = differing(bare, after, tree).keys(), differing(bare, wanted, tree)
    learn_renamed(bare, (faulty, after), (wanted, faulty))
    strange = ours - _expanded(release, renamed(bare, faulty, after))
    lost = stays.keys() - _expanded(later, renamed(bare, wanted, faulty))
    broken = []
    if strange:
        broken.append(f"it would change what the release never touched: {shortened(sorted(strange))}")
    if lost:
        broken.append(f"it would leave what only the release touched: {shortened(sorted(lost))}")
    whole = [path for path, how in _having(bare, head, "merge", sorted(ours & stays.keys())).items() if how not in TEXT]
    if whole:
        broken.append(f"it would merge by lines what .gitattributes does not let: {shortened(whole)}")
    again, unlike = attempt(lambda: merge_trees(bare, wanted, tree, faulty))
    if again is not None:
        # What people had taken out by hand already comes back with the release: no fault where we left a file alone,
        # or where it is the stable release's.
        unlike = tuple(differing(bare, after, again).keys() & ours & stays.keys())
    if again is None or unlike:
        broken.append(f"the release could not be put on again as it was: {shortened(sorted(unlike))}")
    return tuple(broken)


def beside(bare: Repository, plan: RevertPlan, parent: str, tree: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths in which a tree is not what taking the release out of this commit must give, and those people decided.

    What becomes of a conflict is for people to say, and of a file that .gitattributes does not let be merged by lines,
    where the release and later work both touched it.
    """
    conflicts: tuple[str, ...] = ()
    try:
        expected = merge_out(bare, plan, parent)
    except Conflict as conflict:
        expected, conflicts = conflict.tree, conflict.paths
    strange = [path for path in differing(bare, expected, tree) if path not in conflicts]
    wanted, faulty = wanted_tree(bare, plan), bare.tree_of(plan.faulty_commit)
    later = differing(bare, faulty, bare.tree_of(parent))
    both = [path for path in strange if path in later and path in differing(bare, wanted, faulty)]
    whole = [path for path, how in _having(bare, parent, "merge", both).items() if how not in TEXT]
    return tuple(path for path in strange if path not in whole), (*conflicts, *whole)


def _expanded(paths: set[str], renames: Sequence[tuple[str, str]]) -> set[str]:
    return paths | {name for pair in renames if paths.intersection(pair) for name in pair}


def _literally(bare: Repository, plan: RevertPlan, head: str, tree: str | None) -> tuple[Literal, tuple[str, ...]]:
    """What `git revert -m 1 <faulty tag>` gives on this head: the same merge, back to the first parent alone.

    In a checkout it follows .gitattributes; `bare` does so, too, where there are any.
    """
    base, before = bare.tree_of(plan.faulty_commit), bare.tree_of(f"{plan.faulty_commit}^1")
    told, _ = attempt(lambda: merge_trees(bare, base, bare.tree_of(head), before))
    if told is None:
        return Literal.CONFLICT, ()
    if tree is None or told == tree:
        return Literal.SAME if told == tree else Literal.OTHER, ()
    return Literal.OTHER, tuple(differing(bare, tree, told))


def _having(bare: Repository, head: str, attribute: str, paths: Sequence[str]) -> dict[str, str]:
    """What the repository's own attributes (gitattributes(5)) say of some paths; a bare one does not look itself."""
    return _attribute(bare, head, attribute, paths) if _have_attributes(bare, head, paths) else {}


def _attribute(bare: Repository, head: str, attribute: str, paths: Sequence[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory(dir=bare.path) as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        bare.git("read-tree", head, env=index)
        said = bare.git("check-attr", "--cached", "--stdin", attribute, env=index, given="\n".join(paths))
    return {path: value for path, _, value in (line.rsplit(": ", 2) for line in rows(said))}


def _have_attributes(bare: Repository, head: str, paths: Sequence[str]) -> bool:
    """Answer whether a .gitattributes lies in a directory above one of some paths, whatever else the tree has."""
    if not paths:
        return False
    holding = {unquoted(path).rpartition("/")[0] for path in paths}  # many files lie in few directories
    folders = {folder for each in map(PurePosixPath, holding) for folder in (each, *each.parents)}
    asked = "".join(f"{head}:{folder / '.gitattributes'}\0" for folder in sorted(folders))
    return "blob" in rows(bare.git("cat-file", "--batch-check=%(objecttype)", "-z", given=asked))
