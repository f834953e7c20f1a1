"""A main that asks for branches that are up to date, and moves on: the revert is made anew on it, and loses nothing."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows import revert_release
from infra.lab.githost import GitHost
from recovery.errors import Incomplete, Refused
from recovery.incidents import Cause
from recovery.pulls import Proposal, PullRequest
from recovery.reverts import RevertPlan, plan_revert
from recovery.versions import parse_version
from tasks.git import prove_revert, push_branch, read_history, tag_merged
from tasks.github import open_pull, read_releases, wait_and_merge
from tests.histories.chain import SEEN_AT
from tests.integration.github_shop import Shop, new_shop
from tests.integration.plain_git import commit, git

BRANCH = "revert/v1.2.0"
STEPS = ("push_branch", "open_pull", "comment_on", "wait_and_merge", "tag_merged")


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose main asks for a check of a head that is up to date; the steps run without Prefect."""
    with new_shop(host, tmp_path, monkeypatch) as shop:
        for step in STEPS:
            monkeypatch.setattr(revert_release, step, getattr(revert_release, step).fn)
        guard(shop)
        yield shop


def guard(shop: Shop) -> None:
    """What main asks for."""
    shop.host.protect(shop.name, "main", ("build",), strict=True, ruleset=True)


def moves_on(shop: Shop, file: str, content: str = "x\n") -> str:
    """Main gets a commit of the team's."""
    shop.host.unprotect(shop.name, "main")
    git("fetch", "--quiet", "origin", at=shop.clone, token=shop.host.token("team"))
    git("checkout", "--quiet", "-B", "main", "origin/main", at=shop.clone)
    made = commit(shop.clone, file, content)
    shop.push("main")
    guard(shop)
    return made


def planned(shop: Shop) -> RevertPlan:
    """The plan that takes v1.2.0 out."""
    cause = Cause(sentence="checkout fails", seen_at=SEEN_AT)
    faulty = parse_version("v1.2.0", "v")
    return plan_revert(
        shop.service, faulty, read_history.fn(shop.service, "v1.2.0"), read_releases.fn(shop.service), cause
    )


def on_opening(monkeypatch: pytest.MonkeyPatch, then: Callable[[int, PullRequest], object]) -> None:
    """Do something whenever the request was opened or found again; numbered from 1."""
    times: list[PullRequest] = []

    def opened(proposal: Proposal) -> PullRequest:
        pull = open_pull.fn(proposal)
        times.append(pull)
        then(len(times), pull)
        return pull

    monkeypatch.setattr(revert_release, "open_pull", opened)


def comments(shop: Shop, number: int) -> list[dict[str, Any]]:
    """What was said on a request."""
    return list(shop.get(f"/issues/{number}/comments"))


@pytest.mark.parametrize("moves", [0, 1, 5])
def test_the_revert_is_made_anew_on_a_main_that_moved_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """As often as five times, in one pull request that says so; what came meanwhile is kept, and the proof holds."""
    plan, heads = planned(shop), list[str]()

    def then(time: int, pull: PullRequest) -> None:
        heads.append(pull.sha)
        shop.host.set_check(shop.name, pull.sha, "build", "success")
        if time <= moves:
            moves_on(shop, f"later-{time}")

    on_opening(monkeypatch, then)
    pushed = revert_release.merge_by_pull_request(shop.service, plan)

    [pull] = shop.pulls()
    assert pull["merge_commit_sha"] == pushed.commit == shop.bare("rev-parse", "main")
    assert len(set(heads)) == moves + 1
    assert shop.bare("rev-parse", "main^2") == heads[-1]
    assert shop.bare("rev-list", "--count", "main^1..main^2") == "1"
    later = [f"later-{time}" for time in range(1, moves + 1)]
    assert shop.bare("diff", "--name-only", "v1.1.0", "main").splitlines() == later
    assert shop.bare("rev-parse", f"{pushed.tag}^{{}}") == pushed.commit
    assert [each["body"].partition(", as ")[2][:40] for each in comments(shop, pull["number"])] == heads[1:]
    prove_revert.fn(plan, pushed)


def test_the_sixth_time_it_is_left_to_a_person(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sentence; main has nothing of ours."""
    plan = planned(shop)
    in_a_hurry = shop.service.model_copy(update={"checks": timedelta(seconds=8)})
    on_opening(monkeypatch, lambda time, _: moves_on(shop, f"later-{time}"))

    with pytest.raises(Incomplete, match="does not contain the newest main: press 'Update branch'"):
        revert_release.merge_by_pull_request(in_a_hurry, plan)
    assert shop.bare("log", "--grep=Reverts-Release", "--format=%H", "main") == ""
    assert shop.bare("rev-list", "--count", "v1.2.0..main") == "6"


def test_a_main_that_changed_the_same_lines_meanwhile_is_left_to_a_person(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branch stays as it was."""
    plan = planned(shop)
    on_opening(monkeypatch, lambda *_: moves_on(shop, "v1.2.0", "mended\n"))

    with pytest.raises(Incomplete, match="conflicts with main: resolve the conflicts there, then merge it"):
        revert_release.merge_by_pull_request(shop.service, plan)
    [pull] = shop.pulls()
    assert pull["head"]["sha"] == shop.bare("rev-parse", BRANCH)


def test_what_a_person_put_on_the_branch_is_never_replaced(shop: Shop) -> None:
    """It is named; main merged into the branch is no work of anybody's, and goes."""
    plan = planned(shop)
    ours = push_branch.fn(plan).commit
    moves_on(shop, "later")
    git("fetch", "--quiet", "origin", at=shop.clone, token=shop.host.token("team"))
    git("checkout", "--quiet", "-B", "topic", f"origin/{BRANCH}", at=shop.clone)
    git("merge", "--quiet", "--no-edit", "origin/main", at=shop.clone)
    shop.push(f"HEAD:refs/heads/{BRANCH}")
    anew = push_branch.fn(plan, 1).commit

    assert shop.bare("rev-parse", BRANCH) == anew != ours
    assert shop.bare("rev-parse", f"{BRANCH}^") == shop.bare("rev-parse", "main")
    git("fetch", "--quiet", "origin", at=shop.clone, token=shop.host.token("team"))
    git("checkout", "--quiet", "-B", "topic", f"origin/{BRANCH}", at=shop.clone)
    theirs = commit(shop.clone, "by-hand")
    shop.push(f"HEAD:refs/heads/{BRANCH}")
    moves_on(shop, "once-more")

    with pytest.raises(Refused, match=rf"more on it than our revert \({theirs[:7]}\w* Write by-hand\): merge it by"):
        push_branch.fn(plan, 2)
    assert shop.bare("rev-parse", BRANCH) == theirs


def test_one_that_was_merged_meanwhile_is_not_pushed_again(shop: Shop) -> None:
    """A person had the right to merge what was behind; the request is found as it was merged."""
    plan = planned(shop)
    proposal = push_branch.fn(plan)
    pull = open_pull.fn(proposal)
    shop.host.unprotect(shop.name, "main")
    shop.send("PUT", f"/pulls/{pull.number}/merge", merge_method="merge")
    again = push_branch.fn(plan, 1)

    assert again.commit == proposal.commit == shop.bare("rev-parse", BRANCH)
    assert wait_and_merge.fn(shop.service, open_pull.fn(again), "t", "m").merged_as == shop.bare("rev-parse", "main")


def test_a_head_that_is_not_what_was_proposed_is_refused(shop: Shop) -> None:
    """What somebody pushed between our push and our look was proved by nobody."""
    proposal = push_branch.fn(planned(shop))
    open_pull.fn(proposal)
    moved = shop.branch(BRANCH, "smuggled")

    with pytest.raises(Refused, match=rf"is at {moved[:12]} and not at {proposal.commit[:12]}, which was proved"):
        open_pull.fn(proposal)


@pytest.mark.parametrize("branch", ["revert", "revert/v1.2.0/mine"])
def test_a_branch_that_stands_in_the_way_is_named(shop: Shop, branch: str) -> None:
    """Git keeps branches like files; every ref stays."""
    shop.push(f"main:refs/heads/{branch}")
    plan, before = planned(shop), shop.bare("for-each-ref")

    with pytest.raises(Refused, match=rf"the branch {branch} of .* in the way of revert/v1\.2\.0, .*: rename it"):
        push_branch.fn(plan)
    assert shop.bare("for-each-ref") == before


def test_a_merge_that_main_has_no_more_is_not_tagged(shop: Shop) -> None:
    """Somebody moved main back in between: a tag would deploy what is not on it."""
    shop.host.unprotect(shop.name, "main")
    plan, before = planned(shop), shop.bare("rev-parse", "main")
    pull = open_pull.fn(push_branch.fn(plan))
    merged = wait_and_merge.fn(shop.service, pull, "Revert release v1.2.0", "").merged_as
    shop.bare("update-ref", "refs/heads/main", before)

    with pytest.raises(Refused, match=rf"{str(merged)[:12]} is not on main of .*: look who moved it back"):
        tag_merged.fn(plan, str(merged))
    assert shop.bare("tag", "--list", "v1.2.1") == ""
