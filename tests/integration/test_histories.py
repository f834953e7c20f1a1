"""Histories as teams make them: what taking v1.2.0 out of each gives, and what `git revert` would have."""

from pathlib import Path

import pytest

from recovery.ways import Way
from tests.histories.remote import Remote
from tests.histories.story import Story, lines


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Two fine releases on main, not published yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    return Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()


def test_01_one_merge(story: Story) -> None:
    """The plain case: the literal command gives the same."""
    story.faulty()

    assert story.ends_well() == "same"


def test_02_squash(story: Story) -> None:
    """One commit with one parent."""
    story.branch("coupons")
    story.commit("One", {"coupons.py": "one\n"})
    story.commit("Two", {"coupons.py": "two\n", "app.py": lines("20: coupons")})
    story.on("main")
    story.git("merge", "--squash", "--quiet", "coupons")
    story.commit("Coupons (#7)")
    story.tag("v1.2.0")

    assert story.ends_well() == "same"


@pytest.mark.parametrize("how", ["rebase", "fast-forward"])
def test_03_rebase(story: Story, how: str) -> None:
    """Three commits in a row: the literal command undoes the last one alone."""
    story.branch("coupons")
    for number in range(1, 4):
        story.commit(f"Step {number}", {f"step{number}.py": f"{number}\n"})
    story.on("main")
    story.git("merge", "--quiet", "--ff-only", "coupons")
    story.tag("v1.2.0")

    assert story.ends_well() == "other"


def test_04_several_pull_requests(story: Story) -> None:
    """Three merges lie between the tags: the literal command leaves two of them in."""
    for number in (1, 2):
        story.merge(f"pull{number}", {f"pull{number}.py": "x\n"})
    story.faulty()

    assert story.ends_well() == "other"


def test_05_later_work_elsewhere(story: Story) -> None:
    """What came after and touched other files stays."""
    story.faulty()
    story.commit("Later", {"later.py": "later\n"})
    story.merge("more", {"cart.py": lines("1: cart", "5: more")})

    assert story.ends_well({"later.py": "later\n", "cart.py": lines("1: cart", "5: more")}) == "same"


def test_05_later_work_elsewhere_in_the_same_file(story: Story) -> None:
    """Lines far from those of the release stay."""
    story.faulty()
    story.commit("Later", {"app.py": lines("20: coupons", "35: later")})

    assert story.ends_well({"app.py": lines("35: later")}) == "same"


def test_06_later_work_on_the_same_lines(story: Story) -> None:
    """No machine can say: a hotfix, and the file is named."""
    story.faulty()
    story.commit("Later", {"app.py": lines("20: coupons and more")})

    end = story.ends_untouched()

    assert end.way is Way.HOTFIX
    assert end.decision
    assert "the same lines of app.py" in end.decision.reason


def test_07_taken_out_by_hand(story: Story) -> None:
    """Nothing is left of it: the patch release still ships, its commit says so."""
    story.faulty()
    story.git("revert", "--no-edit", "-m", "1", "v1.2.0")

    assert story.ends_well() == "same"
    assert "Nothing of it was left" in story.remote.git("log", "-1", "--format=%B", "main")


def test_07_taken_out_by_hand_and_worked_on(story: Story) -> None:
    """What came after the revert by hand stays."""
    story.faulty()
    story.git("revert", "--no-edit", "-m", "1", "v1.2.0")
    story.commit("Later", {"later.py": "later\n"})

    assert story.ends_well({"later.py": "later\n"}) == "same"


def test_07b_taken_out_and_put_on_again(story: Story) -> None:
    """The message of the first revert deceives nobody."""
    story.faulty()
    story.git("revert", "--no-edit", "-m", "1", "v1.2.0")
    story.git("revert", "--no-edit", "HEAD")

    assert story.ends_well() == "same"


def test_07c_half_taken_out_by_hand(story: Story) -> None:
    """The other half goes out too."""
    story.faulty()
    story.commit("Remove the worst", {"coupons.py": None})

    assert story.ends_well() == "same"


def test_07c_half_of_a_file_taken_out_by_hand(story: Story) -> None:
    """Two places of one file, one of them repaired by a person."""
    story.faulty({"app.py": lines("10: coupons", "30: coupons")})
    story.commit("Remove the worst", {"app.py": lines("30: coupons")})

    assert story.ends_well() == "same"


def test_34_octopus(story: Story) -> None:
    """One merge of three branches."""
    for number in range(1, 4):
        story.branch(f"part{number}", "main")
        story.commit(f"Part {number}", {f"part{number}.py": "x\n"})
    story.on("main")
    story.git("merge", "--quiet", "--no-ff", "-m", "All parts", "part1", "part2", "part3")
    story.tag("v1.2.0")

    assert story.ends_well() == "same"


def test_35_foxtrot(story: Story) -> None:
    """main was fast-forwarded to a merge made the wrong way round: the literal command keeps the feature."""
    story.branch("develop")
    story.commit("Feature", {"coupons.py": "coupons\n"})
    story.on("main")
    story.commit("Work on main", {"cart.py": lines("1: cart", "9: main")})
    story.on("develop")
    story.git("merge", "--quiet", "--no-ff", "-m", "Merge main", "main")
    story.on("main")
    story.git("merge", "--quiet", "--ff-only", "develop")
    story.tag("v1.2.0")

    assert story.ends_well() == "other"


def test_36_evil_merge(story: Story) -> None:
    """The merge brings what no branch had."""
    story.branch("coupons")
    story.commit("Feature", {"coupons.py": "coupons\n"})
    story.on("main")
    story.git("merge", "--quiet", "--no-ff", "--no-commit", "coupons")
    story.commit("Merge coupons", {"evil.py": "evil\n", "README.md": "evil\n"})
    story.tag("v1.2.0")

    assert story.ends_well() == "same"


def test_37_a_version_bump_after_the_merge(story: Story) -> None:
    """The tag is on the bump: the literal command undoes nothing else."""
    story.merge("coupons", {"coupons.py": "coupons\n", "app.py": lines("20: coupons")})
    story.commit("Bump", {"VERSION": "1.2.0\n"})
    story.tag("v1.2.0")

    assert story.ends_well() == "other"
