"""Merges in memory that follow a team's .gitattributes, as those in a checkout do."""

import tempfile
from dataclasses import replace
from pathlib import Path

from tasks.git.plumbing import Repository

EVERY = ":(glob)**/.gitattributes"


def heeding(bare: Repository, at: str | None) -> Repository:
    """The same copy, with merges that follow every `.gitattributes` of a commit or tree, as in a checkout of it.

    A lock file marked `-merge` must conflict. git looks for them in its work tree, from where it runs
    (read_attr_from_file in its attr.c), so one is made that has nothing else.
    """
    if at is None or (bare.heeds and not bare.git("diff-tree", "-r", "--name-only", bare.heeds, at, "--", EVERY)):
        return bare
    work_tree = Path(tempfile.mkdtemp(dir=bare.path, suffix=".attributes"))
    env = {"GIT_INDEX_FILE": f"{work_tree}.index", "GIT_WORK_TREE": str(work_tree)}
    bare.git("read-tree", at, env=env)
    found = bare.git("ls-files", "-z", "--cached", "--", EVERY, env=env)
    bare.git("checkout-index", "-z", "--stdin", env=env, given=found)
    return replace(bare, work_tree=work_tree, heeds=at, _answered={})
