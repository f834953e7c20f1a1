"""What was fetched is kept and lent again, as far as it is sound; the remote says every time which refs there are."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from recovery.errors import Refused, Unavailable
from recovery.reverts import History
from recovery.versions import parse_version
from tasks.git import opening, read_history
from tasks.git.copies import ephemeral, reaches, recent
from tasks.git.kept import MOST_PACKS, Extent, Kept
from tasks.git.opening import When, make_bare
from tests.histories.chain import released, service_of
from tests.histories.remote import Remote, git
from tests.histories.story import Story, lines

RELEASES = released("v1.0.0", "v1.1.0", "v1.2.0")


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Three releases, published; what is kept of them lies in a directory of this test."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    monkeypatch.setenv("RIPCORD_GIT_CACHE", str(tmp_path / "kept"))
    story = Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()
    story.faulty()
    story.publish()
    return story


@pytest.fixture(name="kept")
def _kept(story: Story) -> Kept:
    return Kept(story.remote.root / "kept", f"file://{story.remote.path}")


def read(story: Story, tag: str = "v1.2.0") -> History:
    """What is read of a release, with as little of the history as will do."""
    return read_history.fn(service_of(story.remote), tag, RELEASES)


def packs(kept: Kept) -> list[Path]:
    """The files that are kept of a repository."""
    [directory] = [each for each in kept.home.iterdir() if each.is_dir() and not each.is_symlink()]
    return sorted(directory.iterdir())


@pytest.fixture(name="without_objects")
def _without_objects(story: Story) -> Iterator[None]:
    """The remote lists its refs, and has nothing else to give."""
    objects = story.remote.path / "objects"
    read(story)
    objects.rename(objects.with_name("elsewhere"))
    (objects / "pack").mkdir(parents=True)
    yield
    shutil.rmtree(objects)
    objects.with_name("elsewhere").rename(objects)


@pytest.mark.usefixtures("without_objects")
def test_what_was_fetched_is_not_fetched_again(story: Story, kept: Kept) -> None:
    """A remote that lost all its objects is read as before, from what is kept; without that, it is not."""
    assert read(story).contained.keys() == {"v1.1.0", "v1.2.0"}

    kept.forget()
    with pytest.raises(Unavailable, match="failed"):
        read(story)


@pytest.mark.usefixtures("without_objects")
def test_an_outage_costs_nothing_of_what_is_kept(story: Story, kept: Kept) -> None:
    """A host that lists a new commit and cannot give it is no reason to forget all others."""
    before = kept.extent
    story.commit("Work", {"app.py": lines("4: more")})
    head = story.git("rev-parse", "HEAD")
    (story.remote.path / "packed-refs").unlink(missing_ok=True)
    (story.remote.path / "refs" / "heads" / "main").write_text(f"{head}\n")

    with pytest.raises(Unavailable, match="failed"):
        read(story)
    assert kept.extent == before


def test_only_what_lies_above_the_release_before_the_stable_one_is_read(story: Story, kept: Kept) -> None:
    """The commit of v1.0.0 is where the copy ends; without the Releases history, all is read."""
    read(story)
    assert kept.extent.since == story.remote.git("rev-parse", "v1.0.0^{commit}")
    assert kept.extent.shallow

    whole = read_history.fn(service_of(story.remote), "v1.2.0")

    assert whole.contained.keys() == {"v1.0.0", "v1.1.0", "v1.2.0"}
    assert kept.extent.since == ""
    assert not kept.extent.shallow


def test_a_stable_release_further_back_is_found_in_the_whole_history(story: Story) -> None:
    """Where v1.1.0 is known to be faulty, too, nothing above it says what v1.0.0 contains."""
    service = service_of(story.remote, quarantine=("v1.1.0",))

    history = read_history.fn(service, "v1.2.0", RELEASES)

    whole = read_history.fn(service, "v1.2.0")
    assert replace(history, taken_out=whole.taken_out) == whole
    assert history.taken_out == {"v1.0.0": whole.taken_out["v1.0.0"]}  # no other could be gone back to


def test_a_tag_that_was_moved_is_seen(story: Story) -> None:
    """What is kept says nothing of where a tag or a branch stands."""
    before = read(story)
    story.git("tag", "-f", "-m", "moved", "-a", "v1.2.0", "v1.2.0^{commit}^1")
    story.git("checkout", "--quiet", "--detach", "v1.1.0")
    story.commit("Work of somebody else", {"other.py": lines()})
    story.git("push", "--quiet", "--force", f"file://{story.remote.path}", "HEAD:refs/heads/main", "refs/tags/v1.2.0")

    after = read(story)

    assert (after.head, after.faulty) != (before.head, before.faulty)
    assert after.head == story.remote.git("rev-parse", "main")
    assert after.faulty == story.remote.git("rev-parse", "v1.2.0^{commit}")


@pytest.mark.parametrize("suffix", [".pack", ".idx", ".json"])
@pytest.mark.parametrize("seed", range(8))
def test_a_bit_that_flipped_in_what_is_kept_changes_nothing(story: Story, kept: Kept, suffix: str, seed: int) -> None:
    """The damaged copy is thrown away, and what was asked is read from the remote."""
    random, before = Random(seed), read(story)
    part = random.choice([each for each in packs(kept) if each.suffix == suffix])
    flip(part, random)

    assert read(story) == before
    assert read_history.fn(service_of(story.remote), "v1.2.0").faulty == before.faulty


@pytest.mark.parametrize("suffix", [".pack", ".idx", ".rev"])
def test_a_bit_that_flipped_in_any_file_of_a_pack_is_seen(story: Story, tmp_path: Path, suffix: str) -> None:
    """Newer versions of git write a reverse index, too, and read from it what an object of a push begins with."""
    bare, again = (make_bare(tmp_path / name, "") for name in ("bare", "again"))
    packs, kept = bare / "objects" / "pack", Kept(tmp_path / "home", "https://git.lab/shop")
    given = story.remote.git("rev-list", "--objects", "--no-object-names", "--all").encode()
    story.remote.git("-c", "pack.writeReverseIndex=true", "pack-objects", "-q", str(packs / "pack"), given=given)
    kept.keep(bare, Extent())
    assert kept.lend(make_bare(tmp_path / "sound", "")) == Extent()

    [part] = [each for each in kept.home.glob("*/pack-*") if each.suffix == suffix and not each.parent.is_symlink()]
    flip(part, Random(1))

    assert kept.lend(again) is None
    assert list((again / "objects" / "pack").iterdir()) == []


def flip(part: Path, random: Random) -> None:
    """Turn one bit round, in a file of its own: what is lent is a second name for the same one."""
    content = bytearray(part.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    part.unlink()
    part.write_bytes(content)


@pytest.mark.parametrize("harm", ["truncated", "missing", "more", "dangling", "no json", "a file"])
def test_a_kept_copy_that_is_not_as_it_was_written_is_not_believed(story: Story, kept: Kept, harm: str) -> None:
    """Whatever a full disk, a crash or a person left there."""
    before = read(story)
    pack = next(each for each in packs(kept) if each.suffix == ".pack")
    directory = pack.parent
    if harm == "truncated":
        content = pack.read_bytes()
        pack.unlink()
        pack.write_bytes(content[: len(content) // 2])
    elif harm == "missing":
        pack.unlink()
    elif harm == "more":
        shutil.copy(pack, directory / "pack-1.pack")
    elif harm == "dangling":
        shutil.rmtree(directory)
    elif harm == "no json":
        (directory / "extent.json").write_text("{")
    else:
        shutil.rmtree(kept.home)
        kept.home.write_text("no directory")

    assert read(story) == before


def test_a_directory_that_others_can_write_is_not_used(story: Story, kept: Kept) -> None:
    """Whoever puts objects there decides what is pushed to main."""
    kept.home.mkdir()
    kept.home.chmod(0o777)

    before = read(story)
    assert list(kept.home.iterdir()) == []

    kept.home.chmod(0o755)
    assert read(story) == before
    assert list(kept.home.iterdir())
    assert {each.stat().st_mode & 0o022 for each in kept.home.iterdir() if not each.is_symlink()} == {0}


def test_without_a_home_nothing_is_kept(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without one reads all from the remote."""
    for name in ("RIPCORD_GIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    assert read(story).faulty == story.remote.git("rev-parse", "v1.2.0^{commit}")


def test_many_at_once_read_the_same_while_it_is_thrown_away(story: Story, kept: Kept) -> None:
    """Whoever is lent a copy has it whole, or reads from the remote."""
    before = read(story)

    def again(number: int) -> History:
        if number % 3 == 0:
            kept.forget()
        return read(story)

    with ThreadPoolExecutor(8) as pool:
        assert set(map(str, pool.map(again, range(48)))) == {str(before)}


def test_what_is_kept_stays_bounded(story: Story, kept: Kept) -> None:
    """After many fetches it starts over; what it replaced, what the dead left and what nobody uses goes."""
    for number in range(MOST_PACKS + 5):
        story.commit(f"Work {number}", {"app.py": lines(f"3: {number}")})
        story.git("push", "--quiet", f"file://{story.remote.path}", "main")
        read(story)

    assert sum(each.suffix == ".pack" for each in packs(kept)) <= MOST_PACKS
    old, dead, alive = (kept.home / name for name in ("0123456789abcdef.0123", "making.old", "making.new"))
    for each, days in ((old, 31), (dead, 2), (alive, 0)):
        each.mkdir()
        os.utime(each, (time.time() - days * 24 * 3600,) * 2)
    story.commit("Work", {"app.py": lines("4: more")})
    story.git("push", "--quiet", f"file://{story.remote.path}", "main")
    read(story)
    assert [each.exists() for each in (old, dead, alive)] == [False, False, True]


def test_a_remote_without_a_ref_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is that an outage, nor is anything kept of it that would hide the first push."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    remote = Remote(tmp_path, "acme/empty").make()
    with ephemeral("acme/empty") as bare:
        assert bare.listed == {}
    with pytest.raises(Refused, match=r"has no tag v1\.2\.0"):
        read_history.fn(service_of(remote), "v1.2.0")


def test_a_copy_that_lacks_commits_is_no_answer(story: Story) -> None:
    """Where git cannot walk to the end of what was fetched, the whole history is read; it is no outage."""
    with recent(
        "acme/shop", "main", parse_version("v1.2.0"), lambda _: parse_version("v1.0.0"), when=When.FRESH
    ) as bare:
        assert bare
        assert reaches(bare, "v1.1.0", "v1.2.0")
        packs = bare.path / "objects" / "pack"
        packed = [each.read_bytes() for each in packs.glob("*.pack")]
        shutil.rmtree(packs)
        for content in packed:
            git(bare.path, "unpack-objects", "-q", given=content)
        (bare.path / "config").write_text("[core]\n\tbare = true\n\trepositoryformatversion = 0\n")
        lost = story.remote.git("rev-parse", "v1.2.0^{commit}^1")
        (bare.path / "objects" / lost[:2] / lost[2:]).unlink()

        assert not reaches(replace(bare, _answered={}), "v1.1.0", "v1.2.0")


def test_the_first_release_of_all_is_read_whole(story: Story) -> None:
    """There is nothing below the stable one at which a copy could end."""
    git(story.remote.path, "update-ref", "-d", "refs/tags/v1.0.0")

    history = read_history.fn(service_of(story.remote), "v1.2.0", released("v1.1.0", "v1.2.0"))

    assert history.contained.keys() == {"v1.1.0", "v1.2.0"}


def test_what_killed_processes_left_is_removed_after_a_day(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own alone, and none that a step may still be at work in."""
    place = story.remote.root / "temporary"
    names = {"ripcord-git-old": 25, "ripcord-git-new": 1, "other": 48}
    for name, hours in names.items():
        (place / name).mkdir(parents=True)
        then = time.time() - hours * 3600
        os.utime(place / name, (then, then))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    opening._sweep.cache_clear()

    read(story)

    assert sorted(each.name for each in place.iterdir()) == ["other", "ripcord-git-new"]
