"""Releases of every kind: which one is gone back to, which one is refused, and which tags are left alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from recovery.releases import Release
from tests.histories.chain import released
from tests.histories.remote import Remote
from tests.histories.story import Story, lines


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Two fine releases on main, not published yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    return Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()


def replaced(release: Release, tag: str) -> Release:
    """The same Release under another tag."""
    return replace(release, id=release.id + 10, tag=tag, name=tag)


@pytest.mark.parametrize("message", ["Reverts-Release: v1.2.0 {faulty}", "Revert release v1.2.0"])
def test_08_the_tag_is_taken(story: Story, message: str) -> None:
    """Somebody's v1.2.1 stays, ours is v1.2.2, whatever that one's message says."""
    story.faulty()
    story.git("tag", "-a", "-m", message.format(faulty=story.git("rev-parse", "v1.2.0^{}")), "v1.2.1", "v1.1.0^{}")

    assert story.ends_well() == "same"
    assert "refs/tags/v1.2.2 " in story.remote.refs()


def test_08_a_tag_below_ours_is_taken(story: Story) -> None:
    """Git keeps refs like files: where v1.2.1/rc is, v1.2.1 cannot be."""
    story.faulty()
    story.tag("v1.2.1/rc", "v1.1.0")

    assert story.ends_well() == "same"
    assert "refs/tags/v1.2.2 " in story.remote.refs()


def test_a_newer_release_that_has_the_revert_in_it(story: Story) -> None:
    """Who merged the revert and tagged later work has shipped it: a patch below would be deployed over that."""
    story.faulty()
    answer = f"Revert it\n\nReverts-Release: v1.2.0 {story.git('rev-parse', 'v1.2.0^{}')}"
    story.git("revert", "--no-edit", "-m", "1", "HEAD")
    story.git("commit", "--quiet", "--amend", "-m", answer)
    story.commit("Later work", {"later.py": lines()})
    story.tag("v1.3.0")

    assert "v1.3.0 was released with the revert of v1.2.0 in it" in str(story.ends_untouched().refused)
    story.git("tag", "-a", "-m", "v1.2.1", "v1.2.1", "HEAD^")
    story.publish()
    pushed = story.take_out().pushed
    assert pushed
    assert (pushed.tag, pushed.commit) == ("v1.2.1", story.git("rev-parse", "HEAD^"))


def test_a_release_that_a_hotfix_has_mended(story: Story) -> None:
    """It stays in main, mended: nothing is pushed, and who asks is led to the hotfix."""
    story.faulty()
    said = f"v1.2.0 mended\n\nMends-Release: v1.2.0 {story.git('rev-parse', 'v1.2.0^{}')}"
    story.commit("Mend coupons", {"coupons.py": lines("1: mended")})
    story.git("tag", "-a", "-m", said, "v1.2.1")

    assert "was mended by the hotfix v1.2.1" in str(story.ends_untouched().refused)


def test_25_one_service_of_several(story: Story) -> None:
    """Only the service's paths go back; what the other service released meanwhile stays."""
    story.catalogue = {"tag_prefix": "svc-a/v", "paths": ("svc-a/", "shared/a")}
    story.commit("Services", {"svc-a/app.py": lines(), "svc-b/app.py": lines(), "shared/a/x": "x\n", "shared/b": "b\n"})
    story.tag("svc-a/v1.1.0")
    story.merge("b", {"svc-b/app.py": lines("3: b"), "svc-a.md": "not the service's\n"})
    story.tag("svc-b/v2.0.0")
    story.merge("a", {"svc-a/app.py": lines("3: a"), "svc-a/new.py": "new\n", "shared/a/x": "y\n"})
    story.tag("svc-a/v1.2.0")
    story.releases = [replaced(each, f"svc-a/{each.tag}") for each in story.releases]

    kept = {"svc-b/app.py": lines("3: b"), "svc-a.md": "not the service's\n"}
    assert story.ends_well(kept, "svc-a/v1.2.0", "svc-a/v1.1.0") == "same"
    body = story.remote.git("log", "-1", "--format=%B", "svc-a/v1.2.1")
    assert "Work on a\n" in body
    assert "Work on b" not in body  # it was not taken out, and the commit must not say so


def test_29_builds_that_are_tagged_in_between(story: Story) -> None:
    """Forty candidates and builds, of which none could be gone back to: what is taken out is listed all the same."""
    for number in range(40):
        story.commit(f"Build {number}")
        story.tag(f"v1.2.0-rc.{number}" if number % 2 else f"v1.1.{number + 1}")
    story.faulty()

    assert story.ends_well() == "same"
    assert "Work on coupons" in story.remote.git("log", "-1", "--format=%B", "v1.2.1")


def test_29_a_pre_release_on_top(story: Story) -> None:
    """v1.3.0-rc.1 was tagged on later work: that stays, and v1.2.0 goes."""
    story.faulty()
    story.commit("Towards v1.3.0", {"later.py": "later\n"})
    story.tag("v1.3.0-rc.1")

    assert story.ends_well({"later.py": "later"}) == "same"
    assert "Keeps what came after it:\n\n" in story.remote.git("log", "-1", "--format=%B", "v1.2.1")


def test_29_a_pre_release_is_the_faulty_one(story: Story) -> None:
    """What takes v1.2.0-rc.1 back is no v1.2.0: that name stays for the real one."""
    story.merge("coupons", {"coupons.py": "coupons\n"})
    story.tag("v1.2.0-rc.1")

    assert story.ends_well(tag="v1.2.0-rc.1") == "same"
    assert "refs/tags/v1.2.0-rc.2 " in story.remote.refs()
    assert "refs/tags/v1.2.0 " not in story.remote.refs()


def test_26_a_light_tag(story: Story) -> None:
    """A tag that is no object of its own."""
    story.faulty()
    story.git("tag", "--force", "v1.2.0", "HEAD")
    story.git("tag", "--force", "v1.1.0", "v1.1.0^{}")

    assert story.ends_well() == "same"


def test_26_a_tag_of_a_tag(story: Story) -> None:
    """Peeled however often it takes, on both ends."""
    story.faulty()
    for name in ("v1.1.0", "v1.2.0"):
        story.git("tag", "-a", "-m", "inner", f"{name}-inner", name)
        story.git("tag", "-a", "-m", "outer", "--force", name, f"{name}-inner")

    assert story.ends_well() == "same"


def test_29_the_release_before_was_bad_too(story: Story) -> None:
    """The literal command would have brought the other bad release back."""
    story.faulty()
    story.catalogue = {"quarantine": ("v1.1.0",)}

    assert story.ends_well(stable="v1.0.0") == "other"


@pytest.mark.parametrize("known", ["by its trailer", "by the Releases history"])
def test_29b_the_release_before_was_reverted(story: Story, known: str) -> None:
    """v1.1.0 was taken back as v1.1.1, which is what v1.2.0 was built on."""
    bad = story.git("rev-parse", "v1.1.0^{}")
    trailer = f"Reverts-Release: v1.1.0 {bad}" if known == "by its trailer" else "no word"
    story.git("revert", "--no-commit", "-m", "1", "v1.1.0")
    story.commit("Revert release v1.1.0", None, "-m", trailer)
    story.tag("v1.1.1")
    story.faulty()
    story.releases = [*story.releases, replaced(story.releases[0], "v1.1.1")]

    assert story.ends_well(stable="v1.1.1") == "same"
    assert story.remote.git("diff", "--name-only", "v1.0.0", "v1.2.1") == ""


def test_31c_a_hotfix_merged_back(story: Story) -> None:
    """v1.1.1 was made aside and came to main after v1.2.0: its work stays."""
    story.branch("hotfix", "v1.1.0")
    story.commit("Hotfix", {"stock.py": lines("1: stock", "9: mended")})
    story.tag("v1.1.1")
    story.on("main")
    story.faulty()
    story.git("merge", "--quiet", "--no-ff", "-m", "Merge v1.1.1", "hotfix")
    story.releases = [*story.releases, replaced(story.releases[0], "v1.1.1")]

    assert story.ends_well({"stock.py": lines("1: stock", "9: mended")}) == "same"
    assert story.remote.git("diff", "--name-only", "v1.1.1", "v1.2.1") == ""


def test_27_a_tag_of_the_same_commit(story: Story) -> None:
    """The literal command would have reverted the release before: refused."""
    story.tag("v1.2.0")

    assert "are tags of the same commit" in str(story.ends_untouched().refused)


def test_27b_an_empty_release(story: Story) -> None:
    """A commit that changes nothing: refused."""
    story.commit("Release 1.2.0")
    story.tag("v1.2.0")

    assert "v1.2.0 and v1.1.0 do not differ" in str(story.ends_untouched().refused)


def test_28_the_first_release(story: Story) -> None:
    """There is nothing to go back to: refused."""
    story.faulty()
    story.releases = released("v1.2.0")

    assert "no stable release before v1.2.0" in str(story.ends_untouched().refused)


def test_31_a_hotfix_made_elsewhere(story: Story) -> None:
    """Going back to v1.1.0 would drop it: a person must say so, and may."""
    story.branch("hotfix", "v1.1.0")
    story.commit("Hotfix", {"stock.py": "mended\n"})
    story.tag("v1.1.1")
    story.on("main")
    story.faulty()
    story.releases = released("v1.1.0", "v1.1.1", "v1.2.0")

    assert "v1.1.1 is newer than v1.1.0 and was made elsewhere" in str(story.ends_untouched().refused)
    confirmed = story.take_out(to="v1.1.0")
    assert confirmed.pushed, confirmed
    assert story.remote.files("v1.2.1") == story.remote.files("v1.1.0")


def test_32_a_tag_that_is_not_on_main(story: Story) -> None:
    """Released from a branch: refused, main has nothing of it."""
    story.branch("aside")
    story.commit("Aside", {"coupons.py": "x\n"})
    story.tag("v1.2.0")
    story.on("main")
    story.commit("Main", {"main.py": "x\n"})

    assert "is not on main of acme/shop" in str(story.ends_untouched().refused)


def test_39_a_moved_tag(story: Story) -> None:
    """What the pipeline deployed is not what the tag says now: refused."""
    story.faulty()
    deployed = story.git("rev-parse", "v1.2.0^{}")
    story.commit("Later", {"later.py": "x\n"})
    story.git("tag", "--force", "-a", "-m", "moved", "v1.2.0")

    assert "v1.2.0 was moved" in str(story.ends_untouched(deployed=deployed).refused)
