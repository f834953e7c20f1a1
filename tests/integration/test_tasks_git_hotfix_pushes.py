"""The hotfix' branch on a real Git host: pushed once, shared with people, declined."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.errors import Refused
from recovery.hotfix_wording import trailers
from tasks.git.hotfix import push_hotfix, read_branch
from tests.integration.hotfixing import Work, planned, team_of
from tests.integration.plain_git import git


@pytest.fixture(name="work")
def _work(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    with team_of(host, tmp_path, monkeypatch) as work:
        yield work


def test_the_second_call_changes_nothing(work: Work) -> None:
    """It says so, and knows the proposal again."""
    work.coupons()
    plan = planned(work)
    first = push_hotfix.fn(plan, plan.proposals[0])
    before = work.refs()

    second = push_hotfix.fn(planned(work), plan.proposals[1])

    assert second.said.startswith("skipped: hotfix/v1.2.1 is there already")
    assert (second.commit, second.parent, second.tree) == (first.commit, first.parent, first.tree)
    assert second.proposal == first.proposal
    assert work.refs() == before


def test_the_same_plan_gives_the_same_commit(work: Work) -> None:
    """Also after the branch was lost."""
    work.coupons()
    plan = planned(work)
    first = push_hotfix.fn(plan, plan.proposals[0])
    git("update-ref", "-d", f"refs/heads/{plan.branch}", at=work.bare)

    assert push_hotfix.fn(plan, plan.proposals[0]).commit == first.commit


def test_pushes_at_the_same_time_leave_one_commit(work: Work) -> None:
    """Three threads that know nothing of each other agree."""
    work.coupons()
    plan = planned(work)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda each: push_hotfix.fn(plan, each), [plan.proposals[0]] * 3))

    assert {made.commit for made in done} == {git("rev-parse", plan.branch, at=work.bare)}


def test_what_people_push_is_kept_and_told(work: Work) -> None:
    """Their commit on top of ours stays, is named with its author, and is known from ours."""
    work.coupons()
    plan = planned(work)
    ours = push_hotfix.fn(plan, plan.proposals[0]).commit
    work.git("fetch", "--quiet", "origin")
    work.git("switch", "--quiet", plan.branch)
    theirs = work.write("Mend it properly", {"shop/checkout.py": "def checkout():\n    return 'mended'\n"})
    work.push()

    again, state = push_hotfix.fn(plan, plan.proposals[0]), read_branch.fn(plan)

    assert again.commit == state.head == theirs
    assert f"with Mend it properly ({theirs[:12]}, Ada)" in again.said
    assert [(each.id, each.ours) for each in state.ahead] == [(theirs, False), (ours, True)]
    assert [each.author for each in state.own] == ["Ada"]
    assert [path for path, _ in state.brings] == ["shop/checkout.py"]


def test_names_and_titles_that_python_takes_for_several_lines_are_one_commit(work: Work) -> None:
    """A line separator pasted into a title, a vertical tab, and an author with a unit separator in the name."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("fetch", "--quiet", "origin")
    work.git("switch", "--quiet", plan.branch)
    work.git("config", "user.name", "A\x1fda")
    odd = "Mend\u2028it\x0bproperly\x1c now"
    theirs = work.write(odd, {"shop/checkout.py": "def checkout():\n    return 'mended'\n"})
    work.push()

    state = read_branch.fn(plan)

    assert [(each.id, each.title) for each in state.own] == [(theirs, odd)]
    assert [each.ours for each in state.ahead] == [False, True]


def test_a_branch_that_people_made_first_is_theirs(work: Work) -> None:
    """Nothing of ours is put on it."""
    work.coupons()
    work.git("switch", "--quiet", "--create", "hotfix/v1.2.1")
    theirs = work.write("We are at it", {"shop/checkout.py": "x = 1\n"})
    work.push()
    plan = planned(work)
    before = work.refs()

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.commit == theirs
    assert made.proposal is None
    assert work.refs() == before


def test_a_branch_that_somebody_made_and_put_nothing_on_gets_the_proposal(work: Work) -> None:
    """It stands at main's head: no pull request could be opened of it."""
    work.coupons()
    work.push("HEAD:refs/heads/hotfix/v1.2.1")
    plan = planned(work)

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.proposal == plan.proposals[0]
    assert made.commit == git("rev-parse", plan.branch, at=work.bare)
    assert made.parent == git("rev-parse", "main", at=work.bare)


def test_a_branch_that_is_not_there_reads_as_none(work: Work) -> None:
    """And no commits."""
    work.coupons()
    state = read_branch.fn(planned(work))

    assert state.head is None
    assert state.ahead == ()
    assert state.brings == ()


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_fix_that_is_on_main_already_is_not_prepared_again(work: Work, how: str) -> None:
    """The merge was made and the tag was not: the branch, still there or gone, stays, and the merge is named."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch, how, message=f"{plan.proposals[0].title} (#14)\n\n{trailers(plan)}", delete=False)
    work.write("Later", {"later.py": "x\n"})
    work.push()
    for _ in range(2):
        before = work.refs()

        again = push_hotfix.fn(planned(work), plan.proposals[1])

        assert again.said == f"skipped: v1.2.0 was already answered on main ({merged[:12]})"
        assert again.merged_as == again.commit == merged
        assert again.proposal == plan.proposals[0]
        assert work.refs() == before
        work.git("push", "--quiet", "origin", f":refs/heads/{plan.branch}", "main")


@pytest.mark.parametrize("branch", ["hotfix", "hotfix/v1.2.1/mine"])
def test_a_branch_that_stands_in_the_way_is_named(work: Work, branch: str) -> None:
    """Git cannot keep hotfix/v1.2.1 beside one above it or below it."""
    work.coupons()
    work.git("push", "--quiet", "origin", f"main:refs/heads/{branch}")
    plan = planned(work)

    with pytest.raises(Refused, match=rf"the branch {branch} of .* in the way of hotfix/v1\.2\.1, .*: rename it"):
        push_hotfix.fn(plan, plan.proposals[0])


def test_a_token_that_may_only_read_is_refused(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ref stays."""
    work.coupons()
    plan = planned(work)
    before = work.refs()
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", work.host.token("reader", write=False))

    with pytest.raises(Refused, match="RIPCORD_GITHUB_TOKEN"):
        push_hotfix.fn(plan, plan.proposals[0])
    assert work.refs() == before


def test_a_host_that_declines_the_branch_is_refused(work: Work) -> None:
    """Trying again would not help."""
    work.coupons()
    plan = planned(work)
    hook = work.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(Refused, match=r"does not let us create refs/heads/hotfix/v1\.2\.1"):
        push_hotfix.fn(plan, plan.proposals[0])


def test_a_token_that_may_push_no_workflows_is_refused(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fix takes a workflow back: the sentence names the one permission that is missing, and every ref stays."""
    work.write("Ship coupons", {".github/workflows/ship.yml": "on: push\n"})
    work.coupons()
    plan = planned(work)
    whole = next(each for each in plan.proposals if ".github/workflows/ship.yml" in each.paths)
    before = work.refs()
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", work.host.token("mere", workflows=False))

    with pytest.raises(Refused, match=r"give RIPCORD_GITHUB_TOKEN the permission Workflows: write"):
        push_hotfix.fn(plan, whole)
    assert work.refs() == before
