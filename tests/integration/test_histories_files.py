"""Files of every kind, of which some deceive a checkout or a merge: each goes back byte for byte."""

from pathlib import Path

import pytest

from recovery.errors import Refused
from recovery.ways import Way
from tests.histories.chain import released
from tests.histories.remote import Remote, git
from tests.histories.story import Story, lines


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Two fine releases on main, not published yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    return Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()


def submodule(story: Story, commit: str) -> None:
    """Point the submodule `lib` somewhere; there need be no such commit here."""
    story.write({".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib\n\tignore = all\n'})
    story.git("add", ".gitmodules")
    story.git("update-index", "--add", "--cacheinfo", f"160000,{commit},lib")
    story.git("commit", "--quiet", "-m", f"lib at {commit[:7]}")


@pytest.mark.parametrize("later", [False, True])
def test_15_a_submodule(story: Story, later: bool) -> None:
    """Its pointer goes back, though its own entry says that no diff shall show it."""
    story.desk.joinpath("lib").mkdir()
    submodule(story, "1" * 40)
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    submodule(story, "2" * 40)
    story.tag("v1.2.0")
    if later:
        story.write({"later.py": "later\n"})
        story.git("add", "later.py")
        story.git("commit", "--quiet", "-m", "Later")

    assert story.ends_well({"later.py": "later\n"} if later else None, stable="v1.1.1") == "same"
    assert story.remote.files("v1.2.1")[b"lib"] == ("160000", "1" * 40)
    assert "by their pointers alone: lib." in story.remote.git("log", "-1", "--format=%B", "v1.2.1")


def test_16_large_files_without_their_program(story: Story) -> None:
    """A checkout would fail where git-lfs is missing and asked for; none is made, and the pointers go back."""
    story.commit("LFS", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "model.bin": "pointer 1\n"})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({"model.bin": "pointer 2\n", "näxt.bin": "pointer 3\n"})

    assert story.ends_well(stable="v1.1.1") == "same"
    body = story.remote.git("log", "-1", "--format=%B", "v1.2.1")
    assert 'whose contents must still be stored: model.bin, "n\\303\\244xt.bin".' in body


def test_17_a_binary_file(story: Story) -> None:
    """Taken back whole."""
    story.commit("Logo", {"logo.png": bytes(range(256))})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({"logo.png": bytes(reversed(range(256))), "more.png": b"\0\1"})
    story.commit("Later", {"later.py": "later\n"})

    assert story.ends_well({"later.py": "later\n"}, stable="v1.1.1") == "same"


def test_17b_a_binary_file_changed_again(story: Story) -> None:
    """The merge prints main's own tree, which must not be read as already done."""
    story.commit("Logo", {"logo.png": bytes(range(256))})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({"logo.png": bytes(reversed(range(256)))})
    story.commit("Later", {"logo.png": b"\0\1"})

    assert story.ends_untouched().way is Way.HOTFIX


def test_18_renames(story: Story) -> None:
    """A later edit of the renamed file goes back with it to its old name."""
    story.branch("coupons")
    story.git("mv", "cart.py", "basket.py")
    story.commit("Rename", {"app.py": lines("20: coupons")})
    story.on("main")
    story.git("merge", "--quiet", "--no-ff", "-m", "Merge coupons", "coupons")
    story.tag("v1.2.0")
    story.commit("Later", {"basket.py": lines("1: cart", "30: later")})

    assert story.ends_well({"cart.py": lines("1: cart", "30: later")}) == "same"


def test_18c_a_renamed_directory_and_a_new_file_in_it(story: Story) -> None:
    """Where the new file belongs only people know."""
    story.commit("Package", {f"old/{name}.py": lines(f"1: {name}") for name in "abc"})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.git("mv", "old", "new")
    story.commit("Rename")
    story.tag("v1.2.0")
    story.commit("Later", {"new/d.py": lines("1: d")})

    assert story.ends_untouched().way is Way.HOTFIX


def test_19_a_mode(story: Story) -> None:
    """An executable bit and a symbolic link."""
    story.branch("coupons")
    story.desk.joinpath("app.py").chmod(0o755)
    story.desk.joinpath("README.md").unlink()
    story.desk.joinpath("README.md").symlink_to("app.py")
    story.commit("Modes")
    story.on("main")
    story.git("merge", "--quiet", "--no-ff", "-m", "Merge coupons", "coupons")
    story.tag("v1.2.0")
    story.commit("Later", {"later.py": "later\n"})

    assert story.ends_well({"later.py": "later\n"}) == "same"
    assert story.remote.files("v1.2.1")[b"app.py"][0] == "100644"


def test_20_line_endings_that_no_checkout_survives(story: Story) -> None:
    """CRLF in the object, `eol=lf` in the attributes: every byte is as it was."""
    story.commit("Endings", {"old.bat": "one\r\ntwo\r\n"})
    story.commit("Attributes", {".gitattributes": "* text eol=lf\n"})
    story.git("rm", "--quiet", "--cached", "old.bat")
    raw = story.git("hash-object", "-w", "--no-filters", "old.bat")
    story.git("update-index", "--add", "--cacheinfo", f"100644,{raw},old.bat")
    story.git("commit", "--quiet", "--amend", "-m", "Attributes")
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    other = git(story.desk, "hash-object", "-w", "--no-filters", "--stdin", given=b"three\r\n")
    story.git("update-index", "--cacheinfo", f"100644,{other},old.bat")
    story.git("commit", "--quiet", "-m", "Faulty")
    story.tag("v1.2.0")

    assert story.ends_well(stable="v1.1.1") == "same"
    assert story.remote.files("v1.2.1")[b"old.bat"] == ("100644", raw)


@pytest.mark.parametrize(
    ("attribute", "way"), [("-merge", Way.HOTFIX), ("merge=union", Way.HOTFIX), ("text", Way.PUSH)]
)
def test_a_file_that_must_not_be_merged_by_lines(story: Story, attribute: str, way: Way) -> None:
    """A lock file that its own attributes keep from a merge is for people, though its lines would go together."""
    story.commit("Lock", {".gitattributes": f"*.lock {attribute}\n", "uv.lock": lines(), "näxt.lock": lines("1: n")})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({"uv.lock": lines("5: coupons"), "näxt.lock": lines("1: n", "5: coupons")})
    story.commit("Later", {"uv.lock": lines("5: coupons", "35: later")})
    story.publish()

    end = story.take_out()

    assert end.way is way
    if way is Way.HOTFIX:
        assert end.decision
        assert "does not let: uv.lock" in end.decision.reason


@pytest.mark.parametrize("folder", ["lager", "läger", 'a "b"', "new\nline", "lager/deep"])
def test_attributes_of_a_directory_count_for_what_lies_below(story: Story, folder: str) -> None:
    """Wherever the file with the attributes lies above the one that they keep, and whatever the directory is called."""
    top = folder.partition("/")[0]
    story.commit("Lock", {f"{top}/.gitattributes": "*.lock -merge\n", f"{folder}/uv.lock": lines()})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({f"{folder}/uv.lock": lines("5: coupons")})
    story.commit("Later", {f"{folder}/uv.lock": lines("5: coupons", "35: later")})
    story.publish()

    end = story.take_out()

    assert end.way is Way.HOTFIX
    assert end.decision
    assert "what .gitattributes does not let: " in end.decision.reason


def test_21_workflow_files(story: Story) -> None:
    """Taken back like all files; whether we may push them is for the Git host to say."""
    story.faulty({".github/workflows/ship.yml": "on: push\n"})

    assert story.ends_well() == "same"


def test_21_workflow_files_that_we_may_not_push(story: Story) -> None:
    """The sentence names the permission that is missing, and every ref stays."""
    story.faulty({".github/workflows/ship.yml": "on: push\n"})
    story.publish()
    hook = story.remote.path / "hooks" / "pre-receive"
    said = "refusing to allow a GitHub App to create or update workflow `x` without `workflows` permission"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = story.remote.refs()

    with pytest.raises(Refused, match="Workflows: write"):
        story.take_out()
    assert story.remote.refs() == before
