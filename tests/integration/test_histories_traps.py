"""Names that Git takes and tools misread, and remotes that are shallow or lost something."""

import os
import zlib
from pathlib import Path

import pytest

from recovery.errors import Refused, Unavailable
from tasks.git import plumbing
from tests.histories.chain import SEEN_AT, released, service_of, take_out
from tests.histories.remote import Remote, attempt, git, shell
from tests.histories.story import Story, lines


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Two fine releases on main, not published yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    return Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()


ODD = ("--force", "-x", "$(id)", "a;touch", "refs/heads/main", "HEAD", "v1.2.0\u2028x", "v1.2.0\u00a0x", "v\u0085", "ü",
       "v9.9.9-\U0001f600", "v1.2.0@", "main", "v1.10.0+b")  # fmt: skip


def with_odd_tags(story: Story, names: tuple[str, ...]) -> None:
    """Publish tags whose names a porcelain would not take; some light, some objects, some of no commit."""
    story.publish()
    for number, name in enumerate(names):
        target = ["v1.1.0", "v1.1.0^{}", "v1.1.0^{tree}", "v1.1.0:app.py"][number % 4]
        story.remote.git("update-ref", f"refs/tags/{name}", story.remote.git("rev-parse", target))


@pytest.mark.parametrize("name", [*ODD, "v1.2.0\n", "v" + "1" * 200_000, "v1.2." + "9" * 200_000, "", "v1.2.0~1"])
def test_41_an_odd_tag_is_refused_in_one_sentence(story: Story, name: str) -> None:
    """Whether there is such a tag or not; Git is never told it, and every ref stays."""
    story.faulty()
    with_odd_tags(story, ODD)
    before = story.remote.refs()

    end = take_out(service_of(story.remote), name, story.releases)

    assert end.refused
    assert len(end.refused) < 1000
    assert "\n" not in end.refused
    assert story.remote.refs() == before


def test_41_odd_names_beside_are_no_hindrance(story: Story, tmp_path: Path) -> None:
    """Tags, branches, titles and files of every kind that Git takes; the release goes out all the same."""
    story.commit(
        "Odd files", {"v1.2.1": "a file\n", "v1.1.1": "a file\n", "-x": "x\n", " a\tb\n\"'": "x\n", "ü": "x\n"}
    )
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({"-x": "y\n", "a\u2028b": "x\n", "app.py": lines("20: coupons")})
    story.git("commit", "--quiet", "--allow-empty", "-m", "Title\u2028of\u0085two\x0clines \x1b[31m")
    story.git("-c", "i18n.commitEncoding=latin-1", "commit", "--quiet", "--allow-empty", "-m", "Latin")
    with_odd_tags(story, tuple(name for name in ODD if name != "refs/heads/main"))
    for name in ("v1.2.0", "--force", "HEAD", "ü\u2028x"):
        story.remote.git("update-ref", f"refs/heads/{name}", story.remote.git("rev-parse", "v1.1.1^{}"))
    story.git("fetch", "--quiet", f"file://{story.remote.path}", "refs/tags/*:refs/tags/*")
    before = story.remote.refs().splitlines()

    end = take_out(service_of(story.remote), "v1.2.0", story.releases)

    assert end.pushed, end
    assert all(len(kept.id) == 40 for kept in end.pushed.kept)
    assert story.remote.files("refs/tags/v1.2.1") == story.remote.files("refs/tags/v1.1.1")
    after = story.remote.refs().splitlines()
    assert [ref for ref in before if ref not in after and not ref.startswith("refs/heads/main ")] == []
    seen = story.remote.clone(tmp_path / "seen")
    git(seen, "-c", "core.protectNTFS=false", "checkout", "--quiet", "refs/tags/v1.2.1")
    assert end.proof
    for command, printed in end.proof.lines:
        assert shell(seen, command) == printed, command


def test_42_a_name_that_git_takes_for_main(story: Story) -> None:
    """git cannot push to main beside a tag `refs/heads/main`: the sentence says so, and every ref stays."""
    story.faulty()
    with_odd_tags(story, ("refs/heads/main",))
    before = story.remote.refs()

    with pytest.raises(Refused, match="is named refs/heads/main in full"):
        story.take_out()
    assert story.remote.refs() == before


def test_a_name_that_is_no_text(story: Story) -> None:
    """A path in Latin-1 under the service's own paths, and a title of bytes."""
    story.catalogue = {"paths": ("svc/",)}
    story.desk.joinpath("svc").mkdir()
    Path(os.fsdecode(os.fsencode(story.desk) + b"/svc/caf\xe9")).write_text("1\n")
    story.commit("Stable", {"svc/a": "1\n"})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    Path(os.fsdecode(os.fsencode(story.desk) + b"/svc/caf\xe9")).write_text("2\n")
    story.commit("Faulty", {"svc/a": "2\n"})
    git(story.desk, "commit", "--quiet", "--amend", "-F", "-", given=b"Faulty caf\xe9\n")
    story.tag("v1.2.0")
    story.publish()

    end = story.take_out()

    assert end.pushed, end
    assert story.remote.files("v1.2.1") == story.remote.files("v1.1.1")
    assert end.plan
    assert [each.title for each in end.plan.taken_out] == ["Faulty caf\u00e9"]


def test_a_shallow_remote(story: Story, tmp_path: Path) -> None:
    """Its history ends before it began: in a clone of it a revert would delete every file."""
    story.faulty()
    story.publish()
    shallow = Remote(tmp_path, "acme/shallow")
    git(tmp_path, "clone", "--quiet", "--bare", "--depth=1", f"file://{story.remote.path}", str(shallow.path))
    before = shallow.refs()

    end = take_out(service_of(shallow), "v1.2.0", story.releases)

    assert "is a shallow repository" in str(end.refused)
    assert shallow.refs() == before


@pytest.mark.parametrize("what", ["v1.1.0^{}", "v1.1.0^{tree}", "v1.2.0"])
def test_a_remote_that_lost_an_object(story: Story, what: str) -> None:
    """It did not answer as it should, nothing was changed."""
    story.faulty()
    story.publish()
    name = story.remote.git("rev-parse", what)
    lost = story.remote.path / "objects" / name[:2] / name[2:]
    assert lost.exists()
    lost.unlink()
    before = attempt(story.remote.path, "show-ref", "--head").stdout

    with pytest.raises(Unavailable, match="git fetch"):
        story.take_out()
    assert attempt(story.remote.path, "show-ref", "--head").stdout == before


def test_a_remote_that_lost_a_file(story: Story) -> None:
    """The merge needs it and cannot have it: nothing was changed."""
    story.faulty()
    story.commit("Later", {"app.py": lines("20: coupons", "35: later")})
    story.publish()
    name = story.remote.git("rev-parse", "v1.1.0:app.py")
    story.remote.path.joinpath("objects", name[:2], name[2:]).unlink()
    before = story.remote.refs()

    with pytest.raises(Unavailable):
        story.take_out()
    assert story.remote.refs() == before


def test_the_time_is_the_plans(story: Story) -> None:
    """Commit and tag carry the time of the incident, not of the machine."""
    story.faulty()
    story.publish()
    story.take_out()

    said = story.remote.git("for-each-ref", "--format=%(taggerdate:unix) %(*committerdate:unix)", "refs/tags/v1.2.1")
    assert said.split() == [f"{SEEN_AT.timestamp():.0f}"] * 2


def test_a_tag_of_a_tag_of_a_tag(story: Story) -> None:
    """However often it takes to come to the commit: the release is taken out as any other."""
    story.commit("Faulty", {"app.py": "faulty\n"})
    story.git("tag", "--annotate", "-m", "0", "inner0")
    for number in range(1, 20):
        story.git("tag", "--annotate", "-m", str(number), f"inner{number}", f"inner{number - 1}")
    story.git("tag", "--annotate", "-m", "v1.2.0", "v1.2.0", "inner19")
    story.releases = released("v1.1.0", "v1.2.0")
    story.publish()

    end = story.take_out()

    assert end.pushed, end
    assert story.remote.files("v1.2.1") == story.remote.files("v1.1.0")


@pytest.mark.parametrize("target", ["v1.1.0^{tree}", "v1.1.0:app.py"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_tag_that_stands_for_no_commit(story: Story, target: str, wrapped: bool) -> None:
    """A tree or a file, by itself or by tags of tags: refused for what it is, and every ref stays."""
    story.git("tag", *(["-a", "-m", "inner"] if wrapped else []), "inner", target)
    story.git("tag", *(["-a", "-m", "outer"] if wrapped else []), "v1.2.0", "inner")

    assert "v1.2.0 of acme/shop stands for no commit" in str(story.ends_untouched().refused)


def test_a_tag_object_that_is_damaged(story: Story) -> None:
    """No waiting mends it: refused at once, with what to run, and not tried again for hours."""
    story.faulty()
    story.publish()
    tag = story.remote.git("rev-parse", "v1.2.0")
    file = story.remote.path / "objects" / tag[:2] / tag[2:]
    file.chmod(0o644)
    file.write_bytes(b"no object")
    before = attempt(story.remote.path, "show-ref", "--head").stdout

    assert "met a damaged object" in str(story.take_out().refused)
    assert attempt(story.remote.path, "show-ref", "--head").stdout == before


def test_a_tag_that_claims_to_stand_for_itself(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """No honest object can: its file was forged. Git 2.39's upload-pack goes round in it until our patience ends."""
    monkeypatch.setattr(plumbing, "TRANSFER_SECONDS", 5.0)
    story.faulty()
    story.publish()
    tag = story.remote.git("rev-parse", "v1.2.0")
    forged = f"object {tag}\ntype tag\ntag v1.2.0\ntagger T <t@t> 0 +0000\n\nloop\n".encode()
    file = story.remote.path / "objects" / tag[:2] / tag[2:]
    assert file.exists()
    file.chmod(0o644)
    file.write_bytes(zlib.compress(b"tag %d\0" % len(forged) + forged))
    before = attempt(story.remote.path, "show-ref", "--head").stdout

    with pytest.raises(Unavailable, match=r"git fetch on .* did not end in time$"):
        story.take_out()
    assert attempt(story.remote.path, "show-ref", "--head").stdout == before
