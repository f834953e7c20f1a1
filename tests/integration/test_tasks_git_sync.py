"""Develop after a revert: real repositories, and plain git in a checkout is the witness."""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.reverts import Pushed
from recovery.syncs import Synced
from tasks.git import sync as syncing
from tasks.git.plumbing import Repository as Ephemeral
from tasks.git.sync import preview_sync, sync_develop
from tests.integration.plain_git import git, try_git
from tests.integration.releasing import Repository, service, text
from tests.integration.syncing import assert_nothing_is_missing, coupon_shop, rivals, synced


@pytest.fixture(name="shop")
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with coupon_shop(tmp_path, monkeypatch) as shop:
        yield shop


def test_develop_without_work_of_its_own_is_fast_forwarded(shop: Repository) -> None:
    """Develop is the patch release; the re-land is v1.2.0 again."""
    shop.release("v1.2.0")
    shop.git("branch", "--force", "develop", "main")
    done, pushed = synced(shop)

    assert done.said.startswith(f"fast-forwarded v1.2.1 into develop ({pushed.commit[:12]}); reland/v1.2.0 brings")
    assert shop.refs()["heads/develop"] == done.develop == pushed.commit
    assert shop.next_release(reland=False) == shop.git("rev-parse", "v1.1.0^{tree}")
    assert_nothing_is_missing(shop, shop.git("rev-parse", "v1.2.0^{tree}"))


def test_develop_with_work_of_its_own_gets_a_real_merge(shop: Repository) -> None:
    """Two parents, develop's first; its tree is that of `git merge`, and the re-land's that of develop before."""
    shop.release("v1.2.0")
    own = shop.write("develop", {"wishes": text(most="5")})
    done, pushed = synced(shop)
    expected, refs = shop.merged(own, pushed.commit), shop.refs()

    assert shop.git("log", "-1", "--format=%P", "origin/develop") == f"{own} {pushed.commit}"
    assert shop.git("rev-parse", "origin/develop^{tree}") == expected
    assert shop.git("log", "-1", "--format=%P", "origin/reland/v1.2.0") == refs["heads/develop"]
    assert shop.git("rev-parse", "origin/reland/v1.2.0^{tree}") == shop.git("rev-parse", f"{own}^{{tree}}")
    assert (done.develop, done.reland) == (refs["heads/develop"], refs["heads/reland/v1.2.0"])
    shop.next_release(reland=False)
    assert shop.shown("HEAD", "wishes")
    assert not shop.shown("HEAD", "coupons")
    assert_nothing_is_missing(shop, shop.merged("v1.2.0", own))
    git("fsck", "--strict", at=shop.bare)


def test_commits_say_what_they_are_to_people_and_to_machines(shop: Repository) -> None:
    """A title in the manner of git, and trailers that git parses; neither passes for a revert."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    _, pushed = synced(shop)
    shop.git("fetch", "--quiet", "origin")
    titles = shop.git("log", "-2", "--first-parent", "--format=%s", "origin/reland/v1.2.0").splitlines()
    trailers = shop.git("log", "-1", "--format=%(trailers:only)", "origin/reland/v1.2.0").splitlines()

    assert titles == ["Reapply release v1.2.0", "Merge v1.2.1 into develop"]
    assert trailers[:2] == [f"Relands-Release: v1.2.0 {shop.plan().faulty_commit}", f"Reverts-Commit: {pushed.commit}"]
    assert shop.git("log", "-1", "--format=%(trailers:key=Syncs-Release,valueonly)", "origin/develop") == (
        f"v1.2.1 {pushed.commit}"
    )


def test_the_draft_proves_itself_with_plain_git(shop: Repository) -> None:
    """Both commands of its text print the tree that it names."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    (proposal,) = synced(shop)[0].proposals
    shop.git("fetch", "--quiet", "origin")
    commands = re.findall(r"^git (?:rev-parse|merge-tree).*$", proposal.body, re.MULTILINE)

    assert (proposal.head, proposal.base, proposal.draft) == ("reland/v1.2.0", "develop", True)
    assert "- Release v1.2.0 (" in proposal.body
    printed = {shop.git(*command.split()[1:]) for command in commands}
    assert len(commands) == 2
    assert printed == {shop.git("rev-parse", "origin/reland/v1.2.0^{tree}")}
    assert printed.pop() in proposal.body


HOTFIXES: dict[str, tuple[bool, dict[str, str | None], str]] = {
    "after the release, in a file of its own": (True, {"limits": text(most="9")}, "limits"),
    "after the release, in a file it changed": (
        True,
        {"checkout": text(pay="coupon", ship="post", tax="7")},
        "checkout",
    ),
    "before the release, kept by a tag": (False, {"limits": text(most="9")}, "limits"),
}


@pytest.mark.parametrize("case", HOTFIXES)
def test_a_hotfix_that_only_main_has_reaches_develop(shop: Repository, case: str) -> None:
    """It is in develop, in the next release and in the one with the re-land, as main had it."""
    after, files, name = HOTFIXES[case]
    if after:
        shop.release("v1.2.0")
    shop.write("main", files)
    if not after:
        shop.git("tag", "--force", "--annotate", "-m", "Hotfix", "v1.1.0")
        shop.release("v1.2.0")
    own = shop.write("develop", {"wishes": text(most="5")})
    before = shop.git("rev-parse", "main")
    done, pushed = synced(shop)

    assert done.said.startswith("merged v1.2.1 into develop"), done
    assert shop.merged(own, pushed.commit) == shop.git("rev-parse", "origin/develop^{tree}")
    shop.next_release(reland=False)
    for line in ("most = '9'", "tax = '7'"):
        assert (line in shop.shown("HEAD", name)) == (line in str(files[name]))
    assert "pay = 'card'" in shop.shown("HEAD", "checkout")
    assert_nothing_is_missing(shop, shop.merged(own, before))


@pytest.mark.parametrize(("develop", "said"), [(None, "shop has no develop branch"), ("next", "has no branch next")])
def test_without_a_develop_branch_it_is_skipped(shop: Repository, develop: str | None, said: str) -> None:
    """By the catalogue or by the repository; every ref stays."""
    shop.release("v1.2.0")
    pushed, refs = shop.revert(), shop.refs()
    assert pushed is not None
    done = sync_develop.fn(service(develop), shop.plan(), pushed)

    assert done.said.startswith("skipped: ")
    assert said in done.said
    assert done == Synced(done.said)
    assert {key: value for key, value in shop.refs().items() if key in refs} == refs


def test_the_second_call_changes_nothing_and_asks_the_same(shop: Repository) -> None:
    """Killed after the push, a run still comes to the same pull request."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    done, pushed = synced(shop)
    refs = shop.refs()
    again = sync_develop.fn(service(), shop.plan(), pushed)

    assert again.said == "skipped: develop already contains v1.2.1"
    assert (again.develop, again.reland, again.proposals) == (done.develop, done.reland, done.proposals)
    assert shop.refs() == refs


def test_a_release_that_is_back_is_not_asked_for_again(shop: Repository) -> None:
    """The re-land was merged and its branch deleted."""
    shop.release("v1.2.0")
    _, pushed = synced(shop)
    shop.git("fetch", "--quiet", "origin")
    shop.git("checkout", "--quiet", "-B", "develop", "origin/develop")
    shop.git("merge", "--quiet", "--no-ff", "--no-edit", "origin/reland/v1.2.0")
    shop.push("develop", ":reland/v1.2.0")
    refs = shop.refs()

    done = sync_develop.fn(service(), shop.plan(), pushed)

    assert done.said == "skipped: develop already contains v1.2.1, and v1.2.0 again on top of it"
    assert done.proposals == ()
    assert shop.refs() == refs


def test_killed_before_the_push_it_makes_the_same_objects_again(
    shop: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is half done, and the second run's commits are those that the first would have pushed."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    pushed = shop.revert()
    assert pushed is not None
    refs, plan, kept = shop.refs(), shop.plan(), tmp_path / "kept"
    shutil.copytree(shop.bare, kept)
    offered: list[Mapping[str, tuple[str, str]]] = []

    def killed(bare: Ephemeral, branches: Mapping[str, tuple[str, str]]) -> Any:
        offered.append(branches)
        raise KeyboardInterrupt

    with monkeypatch.context() as at_the_push:
        at_the_push.setattr(syncing, "_offer", killed)
        with pytest.raises(KeyboardInterrupt):
            sync_develop.fn(service(), plan, pushed)
    assert shop.refs() == refs

    done = sync_develop.fn(service(), plan, pushed)

    assert {name: new for name, (new, _) in offered[0].items()} == {
        "develop": done.develop,
        "reland/v1.2.0": done.reland,
    }
    after = shop.refs()
    shutil.rmtree(shop.bare)
    shutil.copytree(kept, shop.bare)
    assert sync_develop.fn(service(), plan, pushed) == done
    assert shop.refs() == after


def test_develop_that_moves_while_we_push_is_not_overwritten(shop: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rival's commit is the merge's first parent, and the re-land has its work."""
    shop.release("v1.2.0")
    made = rivals(shop, monkeypatch, 2)
    synced(shop)
    shop.git("fetch", "--quiet", "origin")

    assert shop.git("rev-parse", "origin/develop^1") == made[-1]
    assert shop.shown("origin/reland/v1.2.0", "rival0") == shop.shown("origin/reland/v1.2.0", "rival1") == "x\n"


def test_a_release_that_was_squashed_stays_on_develop_and_that_is_said(shop: Repository) -> None:
    """Git cannot know that develop's commits are what was reverted: nothing is lost, and the fault is still there."""
    shop.release("v1.2.0", squash=True)
    own = shop.write("develop", {"wishes": text(most="5")})
    done, pushed = synced(shop)
    tree = shop.merged(own, pushed.commit)

    assert "develop still has v1.2.0 in checkout, coupons" in done.said
    assert (done.reland, done.proposals) == (None, ())
    assert shop.git("rev-parse", "origin/develop^{tree}") == tree == shop.next_release(reland=False)


def test_in_a_shared_repository_the_neighbours_work_stays(shop: Repository) -> None:
    """The revert was of one service's paths alone; develop and the next release have the other's."""
    shop.write("develop", {"a/code": text(x="1"), "b/code": text(y="1")})
    shop.release("v1.2.0")
    own = shop.write("develop", {"b/more": text(z="1")})
    before, pushed = shop.git("rev-parse", "main"), shop.revert("a", "coupons")
    assert pushed is not None
    done = sync_develop.fn(service(), shop.plan(), pushed)
    shop.next_release(reland=False)

    assert done.said.startswith("merged")
    assert shop.git("ls-tree", "-r", "--name-only", "HEAD").splitlines() == ["README", "b/code", "b/more", "checkout"]
    assert_nothing_is_missing(shop, shop.merged(own, before))


def test_what_main_got_since_is_in_the_next_release_too(shop: Repository) -> None:
    """Main moved on after the patch release; develop takes the patch, and the next release has all three."""
    shop.release("v1.2.0")
    own = shop.write("develop", {"wishes": text(most="5")})
    before, pushed = shop.git("rev-parse", "main"), shop.revert()
    assert pushed is not None
    shop.write("main", {"limits": text(most="9")})
    shop.push("main")
    sync_develop.fn(service(), shop.plan(), pushed)

    assert_nothing_is_missing(shop, shop.next_release(reland=True))
    assert shop.shown("HEAD", "limits")
    assert shop.shown("HEAD", "wishes") == shop.shown(own, "wishes")
    assert shop.shown("HEAD", "coupons") == shop.shown(before, "coupons") != ""


def test_a_patch_that_mends_is_followed_without_a_reland(shop: Repository) -> None:
    """A hotfix takes nothing out: develop gets it, and nothing is to be brought back."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    parent, faulty = shop.git("rev-parse", "main"), shop.plan().faulty_commit
    fix = shop.write("main", {"coupons": text(rate="9", limit="3")}, f"Mend\n\nMends-Release: v1.2.0 {faulty}\n")
    shop.tag("v1.2.1")
    shop.push("main", "develop", "refs/tags/v1.2.1")
    tree = shop.git("rev-parse", f"{fix}^{{tree}}")

    done = sync_develop.fn(service(), shop.plan(), Pushed(fix, parent, tree, "v1.2.1", (), "pushed"))

    assert done.said.startswith("merged v1.2.1 into develop")
    assert (done.reland, done.proposals) == (None, ())
    assert "heads/reland/v1.2.0" not in shop.refs()
    shop.next_release(reland=False)
    assert "rate = '9'" in shop.shown("HEAD", "coupons")
    assert shop.shown("HEAD", "wishes")


@pytest.mark.parametrize("own", [{"wishes": text(most="5")}, {"coupons": text(rate="10", limit="4")}])
def test_the_preview_changes_nothing_and_says_what_will_happen(shop: Repository, own: dict[str, str | None]) -> None:
    """Before and after the synchronisation, with and without a conflict."""
    shop.release("v1.2.0")
    shop.write("develop", own)
    pushed = shop.revert()
    assert pushed is not None
    plan, refs = shop.plan(), shop.refs()
    said = preview_sync.fn(service(), plan, pushed)

    assert shop.refs() == refs
    done = sync_develop.fn(service(), plan, pushed)
    assert said.startswith("v1.2.1 merges into develop, and reland/v1.2.0" if done.develop else "develop would be left")
    assert preview_sync.fn(service(None), plan, pushed) == "skipped: shop has no develop branch"
    if done.develop:
        assert preview_sync.fn(service(), plan, pushed) == "skipped: develop already contains v1.2.1"


def test_it_works_over_http_too(shop: Repository, host: GitHost, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on the lab's Git host, where one needs a token."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    pushed = shop.revert()
    assert pushed is not None
    there = hosted(shop, host, name, monkeypatch)

    done = sync_develop.fn(there, shop.plan(), pushed)

    seen = try_git("rev-parse", "develop", "reland/v1.2.0", at=host.bare(name)).stdout.split()
    assert seen == [done.develop, done.reland]
    assert done.proposals[0].repository == shop.plan().repository


def test_a_token_that_may_push_no_workflows_is_refused(
    shop: Repository, host: GitHost, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is brought back has a workflow: the one permission that is missing is named, and every ref stays."""
    shop.write("develop", {".github/workflows/ship.yml": "on: push\n"})
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    pushed = shop.revert()
    assert pushed is not None
    there = hosted(shop, host, name, monkeypatch)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("mere", workflows=False))
    before = git("for-each-ref", at=host.bare(name))

    with pytest.raises(Refused, match=r"give RIPCORD_GITHUB_TOKEN the permission Workflows: write"):
        sync_develop.fn(there, shop.plan(), pushed)
    assert git("for-each-ref", at=host.bare(name)) == before


def hosted(shop: Repository, host: GitHost, name: str, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service with all its refs on the lab's Git host, which ripcord is set to."""
    host.create_repository(name)
    refs = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
    git("push", "--quiet", host.clone_url(name), *refs, at=shop.clone, token=host.token("team"))
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
    return service().model_copy(update={"repository": name})
