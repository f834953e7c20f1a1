"""Make trees, commits and tags in memory, the same ones every time: by three-way merge, dates from the plan."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path

from gitdb import IStream, LooseObjectDB

from recovery.errors import Refused, Unavailable
from recovery.reverts import RevertPlan
from tasks.git.plumbing import Repository, failure, rows, unsigned
from tasks.git.reading import contents_of
from tasks.settings import read_settings

_SIGNED = b"\n-----BEGIN "


class Conflict(Exception):
    """The three-way merge cannot decide; `paths` are the files people must look at, `tree` has all the others."""

    def __init__(self, paths: Sequence[str], tree: str) -> None:
        super().__init__(", ".join(paths))
        self.paths = tuple(paths)
        self.tree = tree


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
        raise Conflict(rows(out)[1:], rows(out)[0])
    if "unrelated histories" in err:
        raise Refused(f"{ours[:12]} and {theirs[:12]} of {bare.url} share no commit: merge them by hand")
    if status != 0:
        raise Unavailable(f"git merge-tree failed: {' '.join(err.split())}")
    return rows(out)[0]


def attempt(merge: Callable[[], str]) -> tuple[str | None, tuple[str, ...]]:
    """The tree of a merge, or None and the paths that conflict."""
    try:
        return merge(), ()
    except Conflict as conflict:
        return None, conflict.paths


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
        status, _, err = bare.answer(
            "tag", "--annotate", *key, "--force", "-F", file.name, tag, commit, env=identity(date)
        )
    if status != 0:
        raise failure(bare.url, "tag", status, err)
    made = (bare.path / "refs" / "tags" / tag).read_text().strip()
    # With an ssh key that does not sign, git 2.39 makes a tag without a signature, and its exit status is 0.
    if read_settings().signing_key and not any(_SIGNED in each for each in contents_of(bare, (made,))):
        raise unsigned(bare.url, " ".join(err.split())[-400:])
    return made


def bare_commit(bare: Repository, tree: str, *parents: str) -> str:
    """A commit that only stands for its tree in a merge and never leaves this repository: made without a process."""
    lines = [f"tree {tree}", *(f"parent {each}" for each in parents), f"author {_NOBODY}", f"committer {_NOBODY}"]
    written = "\n".join([*lines, "", "merge base", ""]).encode()
    made = LooseObjectDB(str(bare.path / "objects")).store(IStream(b"commit", len(written), BytesIO(written)))
    return str(made.hexsha.decode())


_NOBODY = "ripcord <ripcord@localhost> 946684800 +0000"


def identity(date: datetime) -> dict[str, str]:
    """The author and committer of everything we write, at the plan's date."""
    settings = read_settings()
    who = {"NAME": settings.author_name, "EMAIL": settings.author_email, "DATE": date.isoformat()}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}
