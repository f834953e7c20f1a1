"""What follows a revert: develop is synchronised, the faulty release comes back mended, the next one is made."""

from pathlib import Path

from recovery.catalog import Service
from tasks.git import sync_develop
from tests.histories.chain import End
from tests.histories.model import Case, files
from tests.histories.oracle import Overlap, expect, merge, next_release
from tests.histories.remote import Remote, attempt, git


def check_next_release(remote: Remote, case: Case, service: Service, end: End, directory: Path) -> str:
    """Synchronise, merge the re-land into develop and develop into main by porcelain: nothing may be missing.

    Answers how it went. What is left to people must leave develop as it was.
    """
    assert end.plan
    assert end.pushed
    seen = remote.clone(directory)
    git(seen, "config", "core.protectNTFS", "false")
    if case.revert_picked:
        pick_revert(case, seen, end.pushed.commit)
    before = remote.refs()
    synced = sync_develop.fn(service, end.plan, end.pushed)
    if synced.develop is None:
        assert _branch(before, "develop") == _branch(remote.refs(), "develop"), synced.said
        return "develop left to people"
    try:
        due, plain = next_release(case)
    except Overlap:
        plain = False
    if not plain:
        return "next release needs people"
    git(seen, "fetch", "--quiet", "origin")
    git(seen, "checkout", "--quiet", "--detach", "origin/develop")
    steps = [f"origin/reland/{end.plan.faulty_tag}"] if synced.reland else []
    for other in steps:
        git(seen, "merge", "--quiet", "--no-ff", "--no-edit", other)
    made = git(seen, "rev-parse", "HEAD")
    git(seen, "checkout", "--quiet", "--detach", "origin/main")
    done = attempt(seen, "merge", "--quiet", "--no-edit", made)
    if done.returncode != 0:
        return "next release conflicts"
    git(seen, "push", "--quiet", "origin", "HEAD:refs/heads/next")
    assert remote.files("refs/heads/next") == files(due), f"{synced.said} {case.story}"
    return "next release lacks nothing"


def pick_revert(case: Case, seen: Path, commit: str) -> None:
    """A person picks the revert to develop, where that goes without a conflict; the model does the same."""
    assert case.develop is not None
    expected = expect(case).tree
    assert expected is not None
    git(seen, "checkout", "--quiet", "--detach", "origin/develop")
    try:
        tree, _, moved = merge(case.nodes[case.main].tree, case.nodes[case.develop].tree, expected)
    except Overlap:
        return
    if moved or case.doubtful or attempt(seen, "cherry-pick", "-x", commit).returncode != 0:
        return
    case.develop = case.commit(tree, (case.develop,), "The revert, picked")
    git(seen, "push", "--quiet", "origin", "HEAD:refs/heads/develop")


def _branch(refs: str, name: str) -> str | None:
    return dict(line.split(" ") for line in refs.split("\n")).get(f"refs/heads/{name}")
