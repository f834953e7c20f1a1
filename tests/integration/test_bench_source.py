"""The history that the bench measures on: plain git says what it is."""

from pathlib import Path

from infra.bench.history import BEFORE, FAULTY, LATER, STABLE, Size, load
from tests.integration.plain_git import git

SIZE = Size(commits=60, files=20, touched=6)


def made(place: Path) -> str:
    """Every ref of a history made at a place."""
    load(SIZE, place)
    return git("for-each-ref", "--format=%(refname) %(objectname)", at=place)


def test_the_same_size_gives_the_same_objects(tmp_path: Path) -> None:
    """Every branch and tag has the same id in two repositories."""
    one = made(tmp_path / "one")

    assert one == made(tmp_path / "other")
    assert "refs/heads/main" in one


def test_the_history_is_as_large_as_was_asked_for(tmp_path: Path) -> None:
    """As many commits and files, and a release that touches as many as it is to."""
    place = tmp_path / "bare"
    made(place)

    assert git("rev-list", "--count", "--all", at=place) == str(SIZE.commits)
    assert len(git("ls-tree", "-r", "--name-only", "main", at=place).splitlines()) == SIZE.files
    assert len(git("diff", "--name-only", STABLE, FAULTY, at=place).splitlines()) == SIZE.touched
    git("fsck", "--strict", at=place)


def test_the_faulty_release_is_one_merge_with_work_after_it(tmp_path: Path) -> None:
    """So that `git revert -m 1` can be measured beside: its first parent is the stable release."""
    place = tmp_path / "bare"
    made(place)

    commits = [git("rev-parse", f"{name}^{{commit}}", at=place) for name in (f"{FAULTY}^1", STABLE)]
    assert commits[0] == commits[1]
    assert git("rev-list", "--count", "--merges", f"{STABLE}..main", at=place) == "1"
    assert git("rev-list", "--count", f"{FAULTY}..main", at=place) == str(LATER)
    git("merge-base", "--is-ancestor", BEFORE, STABLE, at=place)
