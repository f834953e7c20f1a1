"""A revert that is on main already, by a pull request or by a person's hand: only its tag is missing."""

from dataclasses import replace
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from recovery.errors import Incomplete, Refused
from recovery.ways import Decision, Way
from tasks.git import push_revert
from tests.histories.chain import End, check_proof, released
from tests.histories.remote import Remote
from tests.histories.story import Story, lines


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Two fine releases on main, not published yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    return Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()


def revert_by_hand(story: Story, decided: dict[str, str] | None = None) -> str:
    """What a person does: `git revert`, the conflicts decided, and a message with the trailer that ripcord reads."""
    said = f"Revert it\n\nReverts-Release: v1.2.0 {story.git('rev-parse', 'v1.2.0^{}')}"
    story.git("revert", "--no-commit", "-m", "1", "--strategy-option=ours", "v1.2.0")
    return story.commit(said, decided)


def tagged(story: Story, at: str) -> End:
    """The chain tags that very commit, without a new one; its proof holds, and a second run finds it done."""
    story.publish()
    main = story.remote.git("rev-parse", "main")

    end = story.take_out()

    assert end.way is Way.TAG, end
    assert end.pushed
    assert end.proof
    assert (end.pushed.tag, end.pushed.commit) == ("v1.2.1", at)
    assert story.remote.git("rev-parse", "main") == main
    check_proof(story.remote, end.proof, story.desk.parent / "proof")
    before = story.remote.refs()
    again = story.take_out()
    assert again.way is Way.DONE
    assert again.proof == end.proof
    assert story.remote.refs() == before
    return end


@pytest.mark.parametrize("later", [{"later.py": "later = True\n"}, {"later.py": lines()}, {"app.py": lines("20: x")}])
def test_a_revert_whose_branch_was_updated_before_its_merge(story: Story, later: dict[str, str]) -> None:
    """Somebody has pressed 'Update branch': the merge on main is tagged, not the commit below it on the branch."""
    story.faulty()
    story.branch("revert/v1.2.0")
    revert_by_hand(story)
    story.on("main")
    elsewhere = {name: content for name, content in later.items() if name != "app.py"}
    story.commit("Work beside it", elsewhere)
    story.on("revert/v1.2.0")
    story.git("merge", "--quiet", "--no-edit", "main")
    story.on("main")
    story.git("merge", "--quiet", "--no-ff", "--no-edit", "revert/v1.2.0")
    merge = story.git("rev-parse", "HEAD")
    story.commit("Later work", later)

    end = tagged(story, merge)

    assert end.pushed
    assert [each.title for each in end.pushed.kept] == ["Work beside it"]


def test_a_file_that_is_not_merged_by_lines_and_that_nothing_had_touched(story: Story) -> None:
    """Its attribute gives nobody the right to change it in a revert: nothing is tagged."""
    story.commit("Lock", {".gitattributes": "*.lock -merge\n", "uv.lock": lines()})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty()
    revert_by_hand(story, {"uv.lock": lines("5: slipped in")})
    story.publish()

    with pytest.raises(Incomplete, match=r"something else came in with it, look at uv\.lock before a tag"):
        story.take_out()


@pytest.mark.parametrize("tag_it", [False, True])
def test_a_conflict_that_a_person_decided(story: Story, *, tag_it: bool) -> None:
    """What became of the files in conflict is theirs, everything else must be as the merge says; the notes tell it."""
    story.faulty()
    story.commit("Later", {"app.py": lines("20: coupons and more"), "later.py": "later\n"})
    commit = revert_by_hand(story, {"app.py": lines("20: more")})
    if tag_it:
        story.tag("v1.2.1")
        story.publish()
        end = story.take_out()
        assert end.way is Way.DONE
    else:
        end = tagged(story, commit)

    assert end.pushed
    assert end.proof
    assert end.pushed.by_hand == ("app.py",)
    assert end.pushed.said.endswith("; people decided what app.py became")
    assert not [command for command, _ in end.proof.lines if "merge-tree" in command]


def test_a_conflict_that_a_person_decided_with_more_in_it(story: Story) -> None:
    """What is in no conflict is not theirs to change: nothing is tagged, and the file is named."""
    story.faulty()
    story.commit("Later", {"app.py": lines("20: coupons and more")})
    revert_by_hand(story, {"app.py": lines("20: more"), "cart.py": lines("1: other")})
    story.publish()
    before = story.remote.refs()

    with pytest.raises(Incomplete, match=r"something else came in with it, look at cart\.py before a tag"):
        story.take_out()

    assert story.remote.refs() == before


def test_a_file_that_is_not_merged_by_lines_and_that_a_person_decided(story: Story) -> None:
    """What a machine would not have put together is for people, here as in a conflict."""
    story.commit("Lock", {".gitattributes": "*.lock -merge\n", "uv.lock": lines()})
    story.tag("v1.1.1")
    story.releases = released("v1.1.1", "v1.2.0")
    story.faulty({"uv.lock": lines("5: coupons"), "app.py": lines("20: coupons")})
    story.commit("Later", {"uv.lock": lines("5: coupons", "35: later")})

    end = tagged(story, revert_by_hand(story, {"uv.lock": lines("5: made anew", "35: later")}))

    assert end.pushed
    assert end.pushed.by_hand == ("uv.lock",)


def test_a_revert_that_main_lost_again_is_not_made_by_the_way(story: Story) -> None:
    """Who set main back between the plan and the push is met with a sentence, not with a push that nobody chose."""
    story.faulty()
    revert_by_hand(story)
    story.publish()
    end = story.take_out()
    assert end.plan
    story.git("reset", "--quiet", "--hard", "HEAD^")
    story.publish()
    story.remote.git("update-ref", "-d", "refs/tags/v1.2.1")
    before = story.remote.refs()

    with (
        disable_run_logger(),
        pytest.raises(Refused, match="is not on main of acme/shop any more, nothing was pushed: retry"),
    ):
        push_revert.fn(replace(end.plan, done_as=None), Decision(Way.TAG, ""))

    assert story.remote.refs() == before
