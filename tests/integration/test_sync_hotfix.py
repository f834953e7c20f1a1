"""Develop after a hotfix: it follows by a real merge, or people are asked; plain git in a checkout is the witness."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recovery.errors import Refused
from recovery.hotfixes import HotfixPlan
from recovery.reverts import Pushed
from recovery.syncs import Synced
from tasks.git import sync as following
from tasks.git.sync import sync_hotfix
from tests.integration.plain_git import git
from tests.integration.releasing import NOW, Repository, service, text
from tests.integration.syncing import PROTECTED, coupon_shop, hook, rivals

FIX = {"coupons": text(rate="9", limit="3")}
OWN = {"wishes": text(most="5")}
WAYS = pytest.mark.parametrize("way", ["--no-ff", "--squash"])


@pytest.fixture(name="shop")
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """v1.2.0 is out, with coupons; the Git host takes no push that would drop a commit, forced or not."""
    with coupon_shop(tmp_path, monkeypatch) as shop:
        git("config", "receive.denyNonFastForwards", "true", at=shop.bare)
        git("config", "receive.denyDeletes", "true", at=shop.bare)
        shop.release("v1.2.0")
        yield shop


def mended(shop: Repository, way: str = "--no-ff", files: dict[str, str | None] | None = None) -> Pushed:
    """A hotfix on a branch of its own, merged into main as people do and tagged v1.2.1; all branches are pushed."""
    faulty, parent = shop.git("rev-parse", "v1.2.0^{commit}", "main").splitlines()
    said = f"Mend the rate\n\nMends-Release: v1.2.0 {faulty}\n"
    shop.git("checkout", "--quiet", "-B", "hotfix/v1.2.1", "main")
    shop.write("hotfix/v1.2.1", files or dict(FIX), said)
    shop.git("checkout", "--quiet", "main")
    shop.git("merge", "--quiet", way, *(["-m", "Merge pull request #14"] if way == "--no-ff" else []), "hotfix/v1.2.1")
    if way == "--squash":
        shop.git("commit", "--quiet", "-m", said)
    shop.tag("v1.2.1")
    shop.push("main", "develop", "refs/tags/v1.2.1")
    commit, tree = shop.git("rev-parse", "main", "main^{tree}").splitlines()
    others = tuple(shop.git("log", "-1", "--format=%P", "main").split()[1:])
    return Pushed(commit, parent, tree, "v1.2.1", (), "tagged", others)


def planned(shop: Repository) -> HotfixPlan:
    """The plan that the hotfix followed."""
    faulty, stable = shop.git("rev-parse", "v1.2.0^{commit}", "v1.1.0^{commit}").splitlines()
    return HotfixPlan(
        service="shop", repository="acme/shop", main="main", tag_prefix="v", faulty_tag="v1.2.0", faulty_commit=faulty,
        stable_tag="v1.1.0", stable_commit=stable, patch_tag="v1.2.1", branch="hotfix/v1.2.1", date=NOW,
        because="checkout fails", reason="a migration lies between", proposals=(), migrations=(), done_as="v1.2.1",
    )  # fmt: skip


def followed(shop: Repository, pushed: Pushed) -> Synced:
    """Synchronise."""
    return sync_hotfix.fn(service(), planned(shop), pushed)


@WAYS
def test_develop_with_work_of_its_own_gets_a_real_merge(shop: Repository, way: str) -> None:
    """It has the tree of `git merge`, both parents, and the next release has the feature, the fix and the work."""
    own = shop.write("develop", dict(OWN))
    pushed = mended(shop, way)
    done, refs = followed(shop, pushed), shop.refs()

    assert done == Synced(f"merged v1.2.1 into develop ({refs['heads/develop'][:12]})", refs["heads/develop"])
    assert git("log", "-1", "--format=%P", "develop", at=shop.bare) == f"{own} {pushed.commit}"
    assert git("rev-parse", "develop^{tree}", at=shop.bare) == shop.merged(own, pushed.commit)
    assert not [ref for ref in refs if "reland" in ref or "sync" in ref]
    assert shop.next_release(reland=False) == shop.merged(pushed.commit, own)
    for name, word in (("coupons", "rate = '9'"), ("checkout", "pay = 'coupon'"), ("wishes", "most = '5'")):
        assert word in shop.shown("HEAD", name)


@WAYS
def test_develop_without_work_of_its_own_is_fast_forwarded(shop: Repository, way: str) -> None:
    """It is where main is."""
    pushed = mended(shop, way)
    done = followed(shop, pushed)

    assert done == Synced(f"fast-forwarded v1.2.1 into develop ({pushed.commit[:12]})", pushed.commit)
    assert shop.refs()["heads/develop"] == shop.refs()["heads/main"] == pushed.commit


def test_what_the_hotfix_took_out_goes_from_develop_as_well(shop: Repository) -> None:
    """It mends by taking a part back; what people put right is theirs to bring again."""
    own = shop.write("develop", dict(OWN))
    pushed = mended(shop, files={"coupons": None})
    done = followed(shop, pushed)

    assert (done.reland, done.proposals) == (None, ())
    assert git("rev-parse", "develop^{tree}", at=shop.bare) == shop.merged(own, pushed.commit)
    assert git("ls-tree", "--name-only", "develop", at=shop.bare).split() == ["README", "checkout", "wishes"]


def test_what_main_got_since_is_in_the_next_release_too(shop: Repository) -> None:
    """The hotfix alone is merged, and nothing is lost when develop is released."""
    own = shop.write("develop", dict(OWN))
    pushed = mended(shop)
    later = shop.write("main", {"limits": text(most="9")})
    shop.push("main")
    followed(shop, pushed)

    assert git("log", "-1", "--format=%P", "develop", at=shop.bare) == f"{own} {pushed.commit}"
    assert shop.next_release(reland=False) == shop.merged(later, own)


def test_the_second_call_changes_nothing(shop: Repository) -> None:
    """It says that it was done."""
    shop.write("develop", dict(OWN))
    pushed = mended(shop)
    done, refs = followed(shop, pushed), shop.refs()

    assert followed(shop, pushed) == Synced("skipped: develop already contains v1.2.1", done.develop)
    assert shop.refs() == refs


@pytest.mark.parametrize("step", ["rehearse", "_offer", "_read_back"])
def test_killed_at_a_step_it_comes_to_the_same_end(
    shop: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    """Before the push nothing is there, after it all is; either way the objects are those of a run that lived."""
    shop.write("develop", dict(OWN))
    pushed = mended(shop)
    before, kept = shop.refs(), tmp_path / "kept"
    shutil.copytree(shop.bare, kept)

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as at_the_step:
        at_the_step.setattr(following, step, killed)
        with pytest.raises(KeyboardInterrupt):
            followed(shop, pushed)
    assert (shop.refs() == before) == (step != "_read_back")
    done, after = followed(shop, pushed), shop.refs()

    assert done.said.startswith("skipped: " if step == "_read_back" else "merged ")
    shutil.rmtree(shop.bare)
    shutil.copytree(kept, shop.bare)
    assert followed(shop, pushed).develop == done.develop
    assert shop.refs() == after


def test_a_conflict_ends_in_a_pull_request(shop: Repository) -> None:
    """Develop stays; the hotfix waits on a branch, and once people have merged it nothing is left to be done."""
    own = shop.write("develop", {"coupons": text(rate="8", limit="3")})
    pushed = mended(shop)
    before = shop.refs()
    done = followed(shop, pushed)

    assert shop.merged(own, pushed.commit) is None
    assert "left develop to people: v1.2.1 does not merge into develop, both changed coupons" in done.said
    assert shop.refs() == before | {"heads/sync/v1.2.1": pushed.commit}
    assert [(each.head, each.base, each.draft) for each in done.proposals] == [("sync/v1.2.1", "develop", False)]
    assert followed(shop, pushed) == done
    shop.git("fetch", "--quiet", "origin")
    shop.git("checkout", "--quiet", "develop")
    shop.git("merge", "--quiet", "--no-edit", "-X", "theirs", "origin/sync/v1.2.1")
    shop.push("develop")
    assert followed(shop, pushed).said == "skipped: develop already contains v1.2.1"
    assert "rate = '9'" in shop.shown("develop", "coupons")


def test_a_protected_develop_gets_a_pull_request_with_the_finished_merge(shop: Repository) -> None:
    """The merge waits on a branch; the second call pushes nothing."""
    own = shop.write("develop", dict(OWN))
    pushed = mended(shop)
    before = shop.refs()
    hook(shop, PROTECTED)
    done, after = followed(shop, pushed), shop.refs()

    assert done.said == "develop is protected: sync/v1.2.1 waits to be merged, with a merge commit"
    assert done.develop is None
    assert after == before | {"heads/sync/v1.2.1": after["heads/sync/v1.2.1"]}
    assert git("log", "-1", "--format=%P", "sync/v1.2.1", at=shop.bare) == f"{own} {pushed.commit}"
    assert git("rev-parse", "sync/v1.2.1^{tree}", at=shop.bare) == shop.merged(own, pushed.commit)
    assert followed(shop, pushed) == done
    assert shop.refs() == after


def test_develop_that_moves_while_we_push_is_not_overwritten(shop: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rival's commit is the merge's first parent."""
    shop.write("develop", dict(OWN))
    pushed = mended(shop)
    made = rivals(shop, monkeypatch, 2)
    followed(shop, pushed)

    assert git("rev-parse", "develop^1", at=shop.bare) == made[-1]


def test_a_develop_that_never_rests_is_given_up(shop: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with the way out; the team's work stays, and no branch of ours is left."""
    pushed = mended(shop)
    made = rivals(shop, monkeypatch, 99)

    with pytest.raises(Refused, match="develop of acme/shop moved 5 times while we pushed: freeze merges and retry"):
        followed(shop, pushed)
    assert shop.refs()["heads/develop"] == made[-1]
    assert "heads/sync/v1.2.1" not in shop.refs()


@pytest.mark.parametrize(("develop", "said"), [(None, "shop has no develop branch"), ("next", "has no branch next")])
def test_without_a_develop_branch_it_is_skipped(shop: Repository, develop: str | None, said: str) -> None:
    """A team that works on main alone has nothing to synchronise."""
    pushed = mended(shop)
    before = shop.refs()
    done = sync_hotfix.fn(service(develop), planned(shop), pushed)

    assert done.said.startswith("skipped: ")
    assert said in done.said
    assert shop.refs() == before


def test_a_hotfix_that_is_not_on_main_is_refused(shop: Repository) -> None:
    """Develop must not get ahead of main."""
    pushed = mended(shop)
    git("update-ref", "refs/heads/main", pushed.parent, at=shop.bare)

    with pytest.raises(Refused, match=r"v1\.2\.1 .* is not on main"):
        followed(shop, pushed)
