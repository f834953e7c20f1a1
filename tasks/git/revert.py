"""Make the revert's objects in memory, the same ones every time: trees by three-way merge, dates from the plan."""

import tempfile
from collections.abc import Sequence

from recovery.errors import Unavailable
from recovery.reverts import RevertPlan
from tasks.git.plumbing import Repository
from tasks.settings import read_settings


class Conflict(Exception):
    """The three-way merge cannot decide; `paths` are the files people must look at."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(", ".join(paths))
        self.paths = tuple(paths)


def merge_out(bare: Repository, plan: RevertPlan, head: str) -> str:
    """The tree of `head` without what lies between stable and faulty.

    A three-way merge with the faulty tree as base, head as ours and the stable tree as theirs; git before
    2.40 knows no `merge-tree --merge-base`, so parentless commits with these trees stand in. When nothing
    came after the faulty release the answer is the stable tree itself. Raises Conflict.
    """
    if head == plan.faulty_commit:
        return bare.tree_of(plan.stable_commit)
    base = _bare_commit(bare, bare.tree_of(plan.faulty_commit))
    ours = _bare_commit(bare, bare.tree_of(head), base)
    theirs = _bare_commit(bare, bare.tree_of(plan.stable_commit), base)
    status, out, err = bare.answer("merge-tree", "--write-tree", "--name-only", "--no-messages", ours, theirs)
    # The exit status first: a conflict may print the very tree of head, which would read as "nothing to do".
    if status == 1:
        raise Conflict(out.splitlines()[1:])
    if status != 0:
        raise Unavailable(f"git merge-tree failed: {' '.join(err.split())}")
    return out.splitlines()[0]


def commit_revert(
    bare: Repository,
    plan: RevertPlan,
    parent: str,
    tree: str,
    message: str | None = None,
    more_parents: Sequence[str] = (),
) -> str:
    """Make the commit object; the same plan and parent give the same id."""
    parents = [argument for each in (parent, *more_parents) for argument in ("-p", each)]
    with tempfile.NamedTemporaryFile("w", dir=bare.path, suffix=".message") as file:
        file.write(message or plan.message)
        file.flush()
        return bare.git("commit-tree", *parents, "-F", file.name, tree, env=_identity(plan))


def tag_commit(bare: Repository, plan: RevertPlan, tag: str, commit: str) -> str:
    """Make the annotated tag object; the same plan and commit give the same id."""
    message = f"{plan.service} {tag}: {plan.faulty_tag} taken back, restores {plan.stable_tag}"
    with tempfile.NamedTemporaryFile("w", dir=bare.path, suffix=".message") as file:
        file.write(message + "\n")
        file.flush()
        bare.git("tag", "--annotate", "--no-sign", "--force", "-F", file.name, tag, commit, env=_identity(plan))
    return bare.git("rev-parse", "--verify", f"refs/tags/{tag}")


def _bare_commit(bare: Repository, tree: str, *parents: str) -> str:
    arguments = [argument for each in parents for argument in ("-p", each)]
    fixed = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _NOBODY.items()}
    return bare.git("commit-tree", *arguments, "-m", "merge base", tree, env=fixed)


_NOBODY = {"NAME": "ripcord", "EMAIL": "ripcord@localhost", "DATE": "2000-01-01T00:00:00Z"}


def _identity(plan: RevertPlan) -> dict[str, str]:
    settings = read_settings()
    who = {"NAME": settings.author_name, "EMAIL": settings.author_email, "DATE": plan.date.isoformat()}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}
