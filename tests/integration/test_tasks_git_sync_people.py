"""What of a synchronisation is left to people, or refused; plain git in a checkout is the witness."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recovery.errors import Refused
from tasks.git.sync import sync_develop
from tests.integration.plain_git import PERSON, git
from tests.integration.releasing import Repository, service, text
from tests.integration.syncing import PROTECTED, assert_nothing_is_missing, coupon_shop, hook, rivals, synced


@pytest.fixture(name="shop")
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with coupon_shop(tmp_path, monkeypatch) as shop:
        yield shop


def by_hand(shop: Repository, body: str, resolve: Callable[[], None]) -> None:
    """Do as the pull request's text says, line by line; the second half once it is merged with a merge commit."""
    for half in re.findall(r"```sh\n(.*?)```", body, re.DOTALL):
        for line in half.splitlines():
            if line.startswith("# where it stops"):
                resolve()
            env = {"PATH": "/usr/bin:/bin", "GIT_EDITOR": "true", "HOME": str(shop.root)} | PERSON
            subprocess.run(["bash", "-c", line], cwd=shop.clone, env=env, check=False, capture_output=True, timeout=60)
        if "sync/v1.2.1" in half:
            shop.git("checkout", "--quiet", "-B", "develop", "origin/develop")
            shop.git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #8", "origin/sync/v1.2.1")
            shop.push("develop")


EDITS: dict[str, tuple[dict[str, str | None], dict[str, str | None]]] = {
    "a file that the release brought": (
        {"coupons": text(rate="10", limit="4")}, {"coupons": None},
    ),
    "a file with a name that git and shells quote": (
        {"é 'x' \"y\".[a]": text(rate="10", limit="4")}, {"é 'x' \"y\".[a]": None},
    ),
    "a line that the release changed": (
        {"checkout": text(pay="coupon or card", ship="post", tax="19")},
        {"checkout": text(pay="card", ship="post", tax="19")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EDITS)
@pytest.mark.parametrize("merge", [False, True], ids=["pushed", "by pull request"])
def test_develop_that_edited_what_was_reverted_is_left_to_people(shop: Repository, case: str, merge: bool) -> None:
    """Develop stays, the patch waits on a branch, and who follows the text loses nothing, hotfix and edit included."""
    edit, resolution = EDITS[case]
    if odd := [name for name in edit if name not in ("coupons", "checkout")]:
        shop.write("develop", dict.fromkeys(odd, text(rate="10", limit="3")))
    shop.release("v1.2.0")
    hotfix = shop.write("main", {"limits": text(most="9")})
    own = shop.write("develop", edit)
    pushed = shop.revert(merge=merge)
    assert pushed is not None
    refs, plan = shop.refs(), shop.plan()
    done = sync_develop.fn(service(), plan, pushed)
    (proposal,) = done.proposals

    assert shop.refs() == refs | {"heads/sync/v1.2.1": pushed.commit}
    assert shop.merged(own, pushed.commit) is None
    assert (done.develop, done.reland, proposal.head, proposal.draft) == (None, None, "sync/v1.2.1", False)
    assert odd or f"- `{next(iter(edit))}`" in proposal.body
    assert "do not squash" in proposal.body
    assert sync_develop.fn(service(), plan, pushed) == done

    def resolve() -> None:
        for name, content in resolution.items():
            (shop.clone / name).unlink() if content is None else (shop.clone / name).write_text(content)

    by_hand(shop, proposal.body, resolve)
    assert shop.refs()["heads/develop"] != own
    assert sync_develop.fn(service(), plan, pushed).said == "skipped: develop already contains v1.2.1"
    shop.next_release(reland=False)
    assert "pay = 'card'" in shop.shown("HEAD", "checkout")
    assert "most = '9'" in shop.shown("HEAD", "limits")
    assert_nothing_is_missing(shop, shop.merged(hotfix, own))


def test_a_squashed_sync_loses_the_features_as_the_text_warns(shop: Repository) -> None:
    """The warning is true: squash it, bring v1.2.0 back by hand, and the next release lacks it without a conflict."""
    shop.release("v1.2.0")
    own = shop.write("develop", {"wishes": text(most="5")})
    pushed = shop.revert()
    assert pushed is not None
    shop.git("checkout", "--quiet", "develop")
    shop.git("merge", "--quiet", "--squash", "v1.2.1")
    shop.git("commit", "--quiet", "-m", "Squash")
    shop.git("checkout", "--quiet", own, "--", ".")
    shop.git("commit", "--quiet", "-m", "Bring it back")
    shop.git("checkout", "--quiet", "main")
    shop.git("merge", "--quiet", "--no-edit", "develop")

    assert not shop.shown("main", "coupons")


def test_a_develop_that_never_rests_is_given_up(shop: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with the way out; the team's work stays, and no branch of ours is left."""
    shop.release("v1.2.0")
    made = rivals(shop, monkeypatch, 99)

    with pytest.raises(Refused, match="develop of acme/shop moved 5 times while we pushed: freeze merges and retry"):
        synced(shop)
    assert len(made) == 5
    assert shop.refs()["heads/develop"] == made[-1]
    assert not [ref for ref in shop.refs() if "sync" in ref or "reland" in ref]


def test_a_protected_develop_gets_a_pull_request_with_the_finished_merge(shop: Repository) -> None:
    """Develop stays; the merge and the re-land wait on branches, and merged by people nothing is missing."""
    shop.release("v1.2.0")
    hotfix = shop.write("main", {"limits": text(most="9")})
    own = shop.write("develop", {"wishes": text(most="5")})
    pushed = shop.revert()
    assert pushed is not None
    refs, plan, update = shop.refs(), shop.plan(), hook(shop, PROTECTED)
    done = sync_develop.fn(service(), plan, pushed)
    after = shop.refs()

    assert "develop is protected" in done.said
    assert after.keys() - refs.keys() == {"heads/sync/v1.2.1", "heads/reland/v1.2.0"}
    assert refs.items() <= after.items()
    assert git("log", "-1", "--format=%P", "sync/v1.2.1", at=shop.bare) == f"{own} {pushed.commit}"
    assert [(each.head, each.draft) for each in done.proposals] == [("sync/v1.2.1", False), ("reland/v1.2.0", True)]
    assert "with a merge commit; do not squash" in done.proposals[0].body
    assert sync_develop.fn(service(), plan, pushed) == done
    assert shop.refs() == after

    update.unlink()
    shop.git("fetch", "--quiet", "origin")
    shop.git("checkout", "--quiet", "develop")
    shop.git("merge", "--quiet", "--no-ff", "--no-edit", "origin/sync/v1.2.1")
    shop.push("develop")
    assert sync_develop.fn(service(), plan, pushed).proposals == done.proposals[1:]
    assert_nothing_is_missing(shop, shop.merged(hotfix, own))


def test_a_host_that_takes_no_branch_at_all_is_refused(shop: Repository) -> None:
    """Neither develop nor a branch: a person must let us, and every ref stays."""
    shop.release("v1.2.0")
    pushed = shop.revert()
    assert pushed is not None
    refs, plan = shop.refs(), shop.plan()
    hook(shop, "#!/bin/sh\nexit 1\n")

    with pytest.raises(Refused, match=r"neither develop nor sync/v1\.2\.1"):
        sync_develop.fn(service(), plan, pushed)
    assert shop.refs() == refs


def test_a_reland_that_is_not_ours_is_neither_moved_nor_proposed(shop: Repository) -> None:
    """Somebody has a branch of that name; develop is synchronised, and the sentence says so."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    shop.git("push", "--quiet", "origin", "develop:refs/heads/reland/v1.2.0")
    theirs = shop.refs()["heads/reland/v1.2.0"]
    done, _ = synced(shop)

    assert shop.refs()["heads/reland/v1.2.0"] == theirs
    assert (done.reland, done.proposals) == (None, ())
    assert "reland/v1.2.0 was there already and was left as it is" in done.said


def test_a_waiting_branch_that_is_not_ours_is_refused(shop: Repository) -> None:
    """It has the name that we need and lacks the patch release; every ref stays."""
    shop.release("v1.2.0")
    shop.write("develop", {"coupons": text(rate="10", limit="4")})
    shop.git("push", "--quiet", "origin", "develop:refs/heads/sync/v1.2.1")

    with pytest.raises(Refused, match=r"branch sync/v1\.2\.1 without v1\.2\.1 in it: rename it and retry"):
        synced(shop)
    assert shop.refs()["heads/sync/v1.2.1"] == shop.refs()["heads/develop"]


@pytest.mark.parametrize(
    ("branch", "other", "protected"),
    [
        ("sync", "sync/v1.2.1", True),
        ("sync/v1.2.1/draft", "sync/v1.2.1", True),
        ("reland", "reland/v1.2.0", False),
    ],
)
def test_a_branch_that_stands_in_the_way_is_named(shop: Repository, branch: str, other: str, protected: bool) -> None:
    """Git keeps branches like files: what we need cannot be beside it, and every ref stays."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    shop.git("push", "--quiet", "origin", f"develop:refs/heads/{branch}")
    pushed = shop.revert()
    assert pushed is not None
    refs, plan = shop.refs(), shop.plan()
    if protected:
        hook(shop, PROTECTED)

    with pytest.raises(Refused, match=f"the branch {branch} of acme/shop stands in the way of {other}, .*: rename it"):
        sync_develop.fn(service(), plan, pushed)
    assert shop.refs() == refs


def test_what_develop_itself_took_back_is_left_to_people(shop: Repository) -> None:
    """Develop removed the file too: reverting the revert would bring it back against develop's will."""
    shop.release("v1.2.0")
    shop.write("develop", {"coupons": None})
    pushed = shop.revert()
    assert pushed is not None
    refs, plan = shop.refs(), shop.plan()
    done = sync_develop.fn(service(), plan, pushed)

    assert "reverting the revert on develop would not give v1.2.0 back whole, see coupons" in done.said
    assert shop.refs() == refs | {"heads/sync/v1.2.1": pushed.commit}


def test_main_that_reworked_the_same_since_is_left_to_people(shop: Repository) -> None:
    """The next release with v1.2.0 in it would conflict: said before anything is pushed to develop."""
    shop.release("v1.2.0")
    shop.write("develop", {"wishes": text(most="5")})
    pushed = shop.revert()
    assert pushed is not None
    shop.write("main", {"checkout": text(pay="cash", ship="post", tax="19")})
    shop.push("main")
    refs, plan = shop.refs(), shop.plan()

    done = sync_develop.fn(service(), plan, pushed)

    assert "what came to main after v1.2.1 touches what is to come back, in checkout" in done.said
    assert shop.refs() == refs | {"heads/sync/v1.2.1": pushed.commit}


@pytest.mark.parametrize("folder", ["", "ui/", "läger/deep/", 'a "b"/'])
def test_a_file_that_must_not_be_merged_is_left_to_people(shop: Repository, folder: str) -> None:
    """The team's .gitattributes hold in memory as they do in a checkout: half of each lock file is no lock file."""
    lock = f"{folder}lock"
    shop.write("develop", {f"{folder}.gitattributes": "lock -merge\n", lock: text(a="1", b="1")})
    shop.release("v1.1.0-rc.1")
    shop.git("tag", "--force", "--annotate", "-m", "Release", "v1.1.0")
    shop.write("develop", {lock: text(a="1", b="2")})
    shop.release("v1.2.0")
    own = shop.write("develop", {lock: text(a="2", b="2")})
    done, pushed = synced(shop)

    assert shop.merged(own, pushed.commit) is None
    assert "v1.2.1 does not merge into develop, both changed " in done.said
    assert "lock" in done.said
    assert shop.refs()["heads/develop"] == own


def test_a_patch_that_is_not_on_main_is_refused(shop: Repository) -> None:
    """Somebody moved main back: develop must not get ahead of it."""
    shop.release("v1.2.0")
    pushed = shop.revert()
    assert pushed is not None
    shop.git("push", "--quiet", "--force", "origin", "v1.2.0^{commit}:refs/heads/main")

    with pytest.raises(Refused, match=r"v1\.2\.1 .* is not on main"):
        sync_develop.fn(service(), shop.plan(), pushed)


def test_branches_without_a_common_commit_are_refused(shop: Repository) -> None:
    """Git would not merge them either."""
    shop.release("v1.2.0")
    pushed = shop.revert()
    assert pushed is not None
    plan = shop.plan()
    shop.git("checkout", "--quiet", "--orphan", "other")
    shop.git("commit", "--quiet", "-m", "Another beginning")
    shop.git("push", "--quiet", "--force", "origin", "other:refs/heads/develop")

    with pytest.raises(Refused, match="share no commit: merge them by hand"):
        sync_develop.fn(service(), plan, pushed)
