"""Make the revert's objects in memory, the same ones every time: trees by three-way merge, dates from the plan."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from recovery.errors import Unavailable
from recovery.reverts import Literal, Preview, RevertPlan, shortened
from tasks.git.plumbing import Repository, rows
from tasks.git.reading import differing, renamed
from tasks.settings import read_settings

SUBMODULE = "160000"
TEXT = ("unspecified", "set", "text")  # values of the attribute `merge` with which git merges line by line


class Conflict(Exception):
    """The three-way merge cannot decide; `paths` are the files people must look at."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(", ".join(paths))
        self.paths = tuple(paths)


def merge_out(bare: Repository, plan: RevertPlan, head: str) -> str:
    """The tree of `head` without what lies between stable and faulty, of the service's paths alone.

    A three-way merge with the faulty tree as base, head as ours and the stable tree as theirs. When nothing
    came after the faulty release the answer is the stable tree itself. Raises Conflict.
    """
    wanted = wanted_tree(bare, plan)
    if head == plan.faulty_commit:
        return wanted
    return merge_trees(bare, bare.tree_of(plan.faulty_commit), bare.tree_of(head), wanted)


def wanted_tree(bare: Repository, plan: RevertPlan) -> str:
    """The faulty release's tree with the service's paths as the stable release has them; without paths, the stable."""
    stable = bare.tree_of(plan.stable_commit)
    return with_paths(bare, bare.tree_of(plan.faulty_commit), stable, plan.paths) if plan.paths else stable


def merge_trees(bare: Repository, base: str, ours: str, theirs: str) -> str:
    """Merge three trees. Raises Conflict.

    git before 2.40 knows no `merge-tree --merge-base`, so parentless commits with these trees stand in.
    """
    root = bare_commit(bare, base)
    return merge_commits(bare, bare_commit(bare, ours, root), bare_commit(bare, theirs, root))


def merge_commits(bare: Repository, ours: str, theirs: str) -> str:
    """The tree of a merge of two commits, as `git merge` makes it. Raises Conflict."""
    status, out, err = bare.answer("merge-tree", "--write-tree", "--name-only", "--no-messages", ours, theirs)
    # The exit status first: a conflict may print the very tree of head, which would read as "nothing to do".
    if status == 1:
        raise Conflict(rows(out)[1:])
    if status != 0:
        raise Unavailable(f"git merge-tree failed: {' '.join(err.split())}")
    return rows(out)[0]


def with_paths(bare: Repository, onto: str, source: str, paths: Sequence[str]) -> str:
    """A tree in which some paths are as another tree has them, and missing where that one lacks them."""
    with tempfile.TemporaryDirectory(dir=bare.path) as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        bare.git("read-tree", onto, env=index)
        # --cached alone: there are no files here, and none are wanted.
        gone = bare.git("ls-files", "-z", "--cached", "--", *paths, env=index)
        removed = "".join(f"0 {'0' * 40}\t{path}\0" for path in gone.split("\0") if path)
        added = bare.git("ls-tree", "-r", "-z", source, "--", *(path.rstrip("/") for path in paths))
        bare.git("update-index", "-z", "--index-info", env=index, given=removed + added)
        return bare.git("write-tree", "--missing-ok", env=index)


def preview(bare: Repository, plan: RevertPlan, head: str) -> Preview:
    """Compute what the revert gives on this head, and what the plan's literal command would have given."""
    touched = differing(bare, plan.stable_commit, plan.faulty_commit, plan.paths)
    tree, conflicts = _attempt(bare, lambda: merge_out(bare, plan, head))
    literal, differs = _literally(bare, plan, head, tree)
    return Preview(
        head=head,
        tree=tree,
        conflicts=conflicts,
        touched=tuple(touched),
        broken=broken_laws(bare, plan, head, tree) if tree else (),
        nothing_left=tree == bare.tree_of(head),
        literal=literal,
        differs=differs,
        submodules=tuple(path for path, each in touched.items() if SUBMODULE in each.modes),
        large_files=tuple(
            path for path, kept in _having(bare, head, "filter", tuple(touched)).items() if kept == "lfs"
        ),
    )


def broken_laws(bare: Repository, plan: RevertPlan, head: str, tree: str) -> tuple[str, ...]:
    """What must hold of a revert of this head, and does not: sentences; none where nothing came after the release.

    What we change was changed by the release, what still differs from the stable release was changed after it, and
    putting the release on again gives this head. A file that was renamed counts under both its names.
    """
    wanted, faulty = wanted_tree(bare, plan), bare.tree_of(plan.faulty_commit)
    if head == plan.faulty_commit:
        return () if tree == wanted else ("the tree is not the stable release's",)
    release, later = set(differing(bare, wanted, faulty)), set(differing(bare, faulty, bare.tree_of(head)))
    ours, stays = differing(bare, bare.tree_of(head), tree).keys(), differing(bare, wanted, tree)
    strange = ours - _expanded(release, renamed(bare, faulty, head))
    lost = stays.keys() - _expanded(later, renamed(bare, wanted, faulty))
    broken = []
    if strange:
        broken.append(f"it would change what the release never touched: {shortened(sorted(strange))}")
    if lost:
        broken.append(f"it would leave what only the release touched: {shortened(sorted(lost))}")
    whole = [path for path, how in _having(bare, head, "merge", sorted(ours & stays.keys())).items() if how not in TEXT]
    if whole:
        broken.append(f"it would merge by lines what .gitattributes does not let: {shortened(whole)}")
    again, unlike = _attempt(bare, lambda: merge_trees(bare, wanted, tree, faulty))
    if again is not None:
        # What people had taken out by hand already comes back with the release: no fault where we left a file alone,
        # or where it is the stable release's.
        unlike = tuple(differing(bare, bare.tree_of(head), again).keys() & ours & stays.keys())
    if again is None or unlike:
        broken.append(f"the release could not be put on again as it was: {shortened(sorted(unlike))}")
    return tuple(broken)


def commit_tree(
    bare: Repository, tree: str, parents: Sequence[str], message: str, date: datetime, *, sign: bool = True
) -> str:
    """Make a commit object of ours; the same arguments give the same id (an OpenPGP signature aside)."""
    named = [argument for each in parents for argument in ("-p", each)]
    key = [f"-S{read_settings().signing_key}"] if sign and read_settings().signing_key else []
    with tempfile.NamedTemporaryFile("w", dir=bare.path, suffix=".message", errors="backslashreplace") as file:
        file.write(message)
        file.flush()
        return bare.git("commit-tree", *key, *named, "-F", file.name, tree, env=identity(date))


def commit_revert(
    bare: Repository,
    plan: RevertPlan,
    parent: str,
    tree: str,
    message: str,
    more_parents: Sequence[str] = (),
) -> str:
    """Make the commit object; the same plan and parent give the same id."""
    return commit_tree(bare, tree, (parent, *more_parents), message, plan.date)


def tag_commit(bare: Repository, tag: str, commit: str, message: str, date: datetime) -> str:
    """Make the annotated tag object; the same arguments give the same id."""
    key = ["--sign"] if read_settings().signing_key else ["--no-sign"]
    with tempfile.NamedTemporaryFile("w", dir=bare.path, suffix=".message", errors="backslashreplace") as file:
        file.write(message + "\n")
        file.flush()
        bare.git("tag", "--annotate", *key, "--force", "-F", file.name, tag, commit, env=identity(date))
    return bare.git("rev-parse", "--verify", f"refs/tags/{tag}")


def bare_commit(bare: Repository, tree: str, *parents: str) -> str:
    """A commit that only stands for its tree in a merge and never leaves this repository."""
    arguments = [argument for each in parents for argument in ("-p", each)]
    fixed = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _NOBODY.items()}
    return bare.git("commit-tree", *arguments, "-m", "merge base", tree, env=fixed)


_NOBODY = {"NAME": "ripcord", "EMAIL": "ripcord@localhost", "DATE": "2000-01-01T00:00:00Z"}


def identity(date: datetime) -> dict[str, str]:
    """The author and committer of everything we write, at the plan's date."""
    settings = read_settings()
    who = {"NAME": settings.author_name, "EMAIL": settings.author_email, "DATE": date.isoformat()}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}


def _attempt(bare: Repository, merge: Callable[[], str]) -> tuple[str | None, tuple[str, ...]]:
    try:
        return merge(), ()
    except Conflict as conflict:
        return None, conflict.paths


def _expanded(paths: set[str], renames: Sequence[tuple[str, str]]) -> set[str]:
    return paths | {name for pair in renames if paths.intersection(pair) for name in pair}


def _literally(bare: Repository, plan: RevertPlan, head: str, tree: str | None) -> tuple[Literal, tuple[str, ...]]:
    """What `git revert -m 1 <faulty tag>` gives on this head: the same merge, back to the first parent alone."""
    base, before = bare.tree_of(plan.faulty_commit), bare.tree_of(f"{plan.faulty_commit}^1")
    told, _ = _attempt(bare, lambda: merge_trees(bare, base, bare.tree_of(head), before))
    if told is None:
        return Literal.CONFLICT, ()
    if tree is None or told == tree:
        return Literal.SAME if told == tree else Literal.OTHER, ()
    return Literal.OTHER, tuple(differing(bare, tree, told))


def _having(bare: Repository, head: str, attribute: str, paths: Sequence[str]) -> dict[str, str]:
    """What the repository's own attributes (gitattributes(5)) say of some paths; a bare one does not look itself."""
    listed = rows(bare.git("ls-tree", "-r", "--name-only", head)) if paths else []
    if not any(path.rpartition("/")[2] == ".gitattributes" for path in listed):
        return {}
    with tempfile.TemporaryDirectory(dir=bare.path) as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        bare.git("read-tree", head, env=index)
        said = bare.git("check-attr", "--cached", "--stdin", attribute, env=index, given="\n".join(paths))
    return {path: value for path, _, value in (line.rsplit(": ", 2) for line in rows(said))}
