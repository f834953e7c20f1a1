"""What becomes of a merged hotfix: its tag and its proof; plain git in a fresh clone is the witness."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.errors import Incomplete, Refused, Unavailable
from tasks.git import hotfix
from tasks.git.hotfix import push_hotfix, read_branch, tag_hotfix
from tasks.git.plumbing import Repository
from tasks.git.proof import prove_hotfix
from tasks.git.revert import tag_commit
from tests.histories.remote import shell
from tests.integration.hotfixing import NEW, Work, planned, team_of
from tests.integration.plain_git import git, rest


@pytest.fixture(name="work")
def _work(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    with team_of(host, tmp_path, monkeypatch) as work:
        yield work


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_the_merge_is_tagged_and_proved_for_anybody(work: Work, how: str, tmp_path: Path) -> None:
    """The commands of the proof print in a fresh clone what it says, also when the branch is gone."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    work.write("Meanwhile", {"meanwhile.py": "x\n"})
    merged = work.merge(plan.branch, how)
    work.write("Afterwards", {NEW: "-- changed later\n"})
    work.push()

    pushed = tag_hotfix.fn(plan, merged)
    proof = prove_hotfix.fn(plan, state, pushed)

    seen = tmp_path / "seen"
    git("clone", "--quiet", work.host.clone_url(work.repository), str(seen), at=tmp_path, token=work.host.token("team"))
    assert pushed.tag == "v1.2.1"
    assert pushed.commit == merged
    assert [pushed.parent, *pushed.others] == git("log", "-1", "--format=%P", merged, at=seen).split()
    assert git("cat-file", "-t", "v1.2.1", at=seen) == "tag"
    assert work.differ("v1.2.0", "v1.2.1") == ["A\tmeanwhile.py", "M\tshop/checkout.py"]
    assert len(proof.lines) == 8
    for command, printed in proof.lines:
        assert shell(seen, command) == printed


def test_a_newer_release_that_came_meanwhile_is_not_deployed_over(work: Work) -> None:
    """It was built on the faulty one, while a person thought about the hotfix."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    work.write("Newer", {"newer.py": "x\n"})
    work.tag("v1.3.0")
    merged = work.merge(plan.branch)

    with pytest.raises(Refused, match=r"v1\.3\.0 was released on top of v1\.2\.0 while we waited"):
        tag_hotfix.fn(plan, merged)
    assert git("tag", "--list", "v1.2.1", at=work.bare) == ""


def test_tagging_twice_leaves_one_tag(work: Work) -> None:
    """Also when the second call names the next number in its plan."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    first = tag_hotfix.fn(plan, merged)
    before = work.refs()

    second = tag_hotfix.fn(replace(plan, patch_tag="v1.2.2"), merged)

    assert second.said.startswith("skipped: v1.2.0 was already mended as v1.2.1")
    assert (second.tag, second.commit, second.tree) == (first.tag, first.commit, first.tree)
    assert work.refs() == before
    assert planned(work).done_as == "v1.2.1"
    assert push_hotfix.fn(plan, plan.proposals[0]).said.startswith("skipped: v1.2.0 was already answered on main")
    assert work.refs() == before


def test_tags_pushed_at_the_same_time_are_one(work: Work) -> None:
    """Three threads agree on the tag object."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda each: tag_hotfix.fn(plan, each), [merged] * 3))

    assert {pushed.tag for pushed in done} == {"v1.2.1"}
    assert git("tag", "--list", "v1.2.*", at=work.bare).split() == ["v1.2.0", "v1.2.1"]


def test_a_number_that_was_taken_meanwhile_is_left_alone(work: Work) -> None:
    """Somebody tagged v1.2.1 elsewhere: ours becomes v1.2.2."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    work.git("push", "--quiet", "origin", "v1.1.0^{commit}:refs/tags/v1.2.1")

    assert tag_hotfix.fn(plan, merged).tag == "v1.2.2"
    assert git("rev-parse", "v1.2.1", at=work.bare) == plan.stable_commit


def test_a_number_that_an_immutable_release_burned_is_passed_over(work: Work) -> None:
    """The host declines v1.2.1 for good, without a tag to be seen: the hotfix becomes v1.2.2."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    work.host.immutable_releases(work.repository)
    path, token = f"/repos/{work.repository}/releases", work.host.token("team")
    made = rest(work.host, token, "POST", path, tag_name="v1.2.1", target_commitish="main").raise_for_status().json()
    rest(work.host, token, "DELETE", f"{path}/{made['id']}").raise_for_status()
    work.git("push", "--quiet", "origin", ":refs/tags/v1.2.1")

    assert tag_hotfix.fn(plan, merged).tag == "v1.2.2"


def test_the_tag_that_a_person_put_on_the_merge_is_the_patch_release(work: Work) -> None:
    """It stays the only one."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    work.git("push", "--quiet", "origin", f"{merged}:refs/tags/v1.2.1")
    before = work.refs()

    assert tag_hotfix.fn(plan, merged).tag == "v1.2.1"
    assert work.refs() == before


def test_a_faulty_tag_that_was_moved_is_refused(work: Work) -> None:
    """Neither the branch nor the tag is pushed: what the plan speaks of is not what the tag says."""
    work.coupons()
    plan = planned(work)
    git("update-ref", "refs/tags/v1.2.0", "v1.1.0^{commit}", at=work.bare)
    before = work.refs()

    with pytest.raises(Refused, match=r"v1\.2\.0 of .* was moved meanwhile: put it back where it was and retry"):
        push_hotfix.fn(plan, plan.proposals[0])
    with pytest.raises(Refused, match=r"v1\.2\.0 of .* was moved meanwhile"):
        tag_hotfix.fn(plan, plan.faulty_commit)
    assert work.refs() == before


def test_a_faulty_tag_that_moves_between_look_and_push_stops_the_tag(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push names it as it was seen: the host declines, and the next look sees why."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)

    def moved(bare: Repository, tag: str, commit: str, message: str, date: datetime) -> str:
        git("update-ref", "refs/tags/v1.2.0", "v1.1.0^{commit}", at=work.bare)
        return tag_commit(bare, tag, commit, message, date)

    monkeypatch.setattr(hotfix, "tag_commit", moved)
    with pytest.raises(Refused, match=r"v1\.2\.0 of .* was moved meanwhile"):
        tag_hotfix.fn(plan, merged)
    assert "v1.2.1" not in git("tag", at=work.bare)


def test_the_proof_believes_nothing_that_was_kept(work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A commit that the kept copy has and the host has lost is not proved: nobody could clone it."""
    monkeypatch.setenv("RIPCORD_GIT_CACHE", str(tmp_path / "kept"))
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    pushed = tag_hotfix.fn(plan, work.merge(plan.branch))
    prove_hotfix.fn(plan, state, pushed)
    read_branch.fn(plan)  # keeps the merge
    objects = work.bare / "objects"
    objects.rename(objects.with_name("lost"))
    (objects / "pack").mkdir(parents=True)

    with pytest.raises(Unavailable):
        prove_hotfix.fn(plan, state, pushed)


def test_a_commit_that_is_no_merge_of_the_hotfix_is_not_tagged(work: Work) -> None:
    """One that main does not have, and the faulty release itself."""
    work.coupons()
    plan = planned(work)
    made = push_hotfix.fn(plan, plan.proposals[0])
    before = work.refs()

    with pytest.raises(Refused, match=r"is not on main of .*: merge it there first"):
        tag_hotfix.fn(plan, made.commit)
    with pytest.raises(Refused, match=r"is no newer than v1\.2\.0"):
        tag_hotfix.fn(plan, plan.faulty_commit)
    assert work.refs() == before


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_merge_that_lost_something_is_not_proved(work: Work, how: str) -> None:
    """The migration, and what the branch brought: each is named."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    work.merge(plan.branch, how)
    (work.place / NEW).unlink()
    work.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    work.git("push", "--quiet", "--force", "origin", "main")
    pushed = tag_hotfix.fn(plan, work.git("rev-parse", "HEAD"))

    with pytest.raises(Incomplete, match=f"{NEW} is as v1.2.0 left it.*done before: tagged"):
        prove_hotfix.fn(plan, state, pushed)


def test_a_squash_without_the_fix_is_not_proved(work: Work) -> None:
    """The file that the branch brought is named."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    merged = work.write("Something else (#14)", {"README.md": "else\n"})
    work.push(f":refs/heads/{plan.branch}")

    with pytest.raises(Incomplete, match=r"v1\.2\.1 has what hotfix/v1\.2\.1 brought: shop/checkout\.py"):
        prove_hotfix.fn(plan, state, tag_hotfix.fn(plan, merged))


def test_a_tag_that_somebody_moved_is_not_proved(work: Work) -> None:
    """The proof reads the remote afresh."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    pushed = tag_hotfix.fn(plan, work.merge(plan.branch))
    git("update-ref", "refs/tags/v1.2.1", "v1.1.0^{commit}", at=work.bare)

    with pytest.raises(Incomplete, match=r"does not hold that v1\.2\.1 is "):
        prove_hotfix.fn(plan, state, pushed)
