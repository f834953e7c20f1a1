"""Merging on the lab's GitHub as soon as the branch's protection allows; plain git is the witness."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from recovery.errors import Incomplete, Refused
from recovery.pulls import Protection
from tasks.github import open_pull, read_protection, wait_and_merge
from tests.integration.github_shop import Shop, new_shop
from tests.integration.plain_git import commit, git

BRANCH = "revert/v1.2.0"
SHORT = timedelta(seconds=1)


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


def test_a_free_branch_is_merged_at_once_with_the_words_given(shop: Shop) -> None:
    """A merge commit whose second parent is the head that was proved; the second call merges nothing."""
    head, before = shop.branch(BRANCH), shop.bare("rev-parse", "main")
    pull = open_pull.fn(shop.proposal())
    merged = wait_and_merge.fn(shop.service, pull, "Revert release v1.2.0", "Reverts-Release: v1.2.0")

    assert merged.merged_as == shop.bare("rev-parse", "main")
    assert shop.bare("log", "-1", "--format=%P%n%B", "main") == (
        f"{before} {head}\nRevert release v1.2.0\n\nReverts-Release: v1.2.0"
    )
    assert wait_and_merge.fn(shop.service, pull, "t", "m") == merged
    assert shop.calls("PUT", f"{shop.name}/pulls/{pull.number}/merge") == [200]


@pytest.mark.parametrize(("allowed", "parents"), [("squash rebase", 1), ("rebase", 1), ("rebase merge", 2)])
def test_the_best_way_of_merging_that_is_allowed_is_taken(shop: Shop, allowed: str, parents: int) -> None:
    """The tree is that of the head either way."""
    shop.host.allow_merges(shop.name, *allowed.split())
    shop.branch(BRANCH)
    merged = wait_and_merge.fn(shop.service, open_pull.fn(shop.proposal()), "A title", "")

    assert merged.merged_as == shop.bare("rev-parse", "main")
    assert len(shop.bare("log", "-1", "--format=%P", "main").split()) == parents
    assert shop.bare("diff", "--name-only", f"{merged.sha}", "main") == ""


def test_a_repository_that_allows_no_way_of_merging_is_refused(shop: Shop) -> None:
    """Nothing was changed."""
    shop.host.allow_merges(shop.name)
    shop.branch(BRANCH)

    with pytest.raises(Refused, match="no way of merging is allowed"):
        wait_and_merge.fn(shop.service, open_pull.fn(shop.proposal()), "t", "m")


@pytest.mark.parametrize("ruleset", [False, True])
def test_required_checks_are_waited_for(shop: Shop, ruleset: bool) -> None:
    """One as a check run, one as a commit status; both kinds of protection. They may take longer than a rollout."""
    service = shop.service.model_copy(update={"settle": timedelta()})
    shop.host.protect(shop.name, "main", ("build", "test"), ruleset=ruleset)
    head = shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    merge = f"{shop.name}/pulls/{pull.number}/merge"
    with ThreadPoolExecutor(1) as pool:
        merging = pool.submit(wait_and_merge.fn, service, pull, "t", "m")
        shop.host.set_check(shop.name, head, "build", None)
        wait_until(lambda: len(shop.calls("GET", f"/pulls/{pull.number}")) > 4, what="a few looks", seconds=20)
        assert shop.calls("PUT", merge) == []
        shop.host.set_check(shop.name, head, "build", "success")
        shop.send("POST", f"/statuses/{head}", state="success", context="test")

        assert merging.result(30).merged_as == shop.bare("rev-parse", "main")
    assert shop.calls("PUT", merge) == [200]


def test_a_required_check_that_failed_is_told_at_once(shop: Shop) -> None:
    """A person mends it or runs it again."""
    shop.host.protect(shop.name, "main", ("build",))
    pull_sha = shop.branch(BRANCH)
    shop.host.set_check(shop.name, pull_sha, "build", "failure")

    with pytest.raises(Incomplete, match=r"did not succeed: build \(failure\); mend it .*\(done before: opened http"):
        wait_and_merge.fn(shop.service, open_pull.fn(shop.proposal()), "t", "m")


def test_a_review_that_does_not_come_is_incomplete_with_the_link(shop: Shop) -> None:
    """People were waited for as long as was said."""
    shop.host.protect(shop.name, "main", reviews=1, ruleset=True)
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())

    with pytest.raises(Incomplete, match=rf"{pull.url} has 0 of 1 approvals: review it \(waited 0:00:01\)"):
        wait_and_merge.fn(shop.service, pull, "t", "m", SHORT)
    shop.host.approve(shop.name, pull.number, "mina")

    assert wait_and_merge.fn(shop.service, pull, "t", "m").merged_as == shop.bare("rev-parse", "main")


def test_who_asked_for_changes_is_named(shop: Shop) -> None:
    """It is for people to settle."""
    shop.host.protect(shop.name, "main", reviews=1, ruleset=True)
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.send("POST", f"/pulls/{pull.number}/reviews", "mina", event="REQUEST_CHANGES", body="Why?")

    with pytest.raises(Incomplete, match="mina asked for changes: answer them on"):
        wait_and_merge.fn(shop.service, pull, "t", "m", SHORT)


def test_a_conflict_is_told_at_once(shop: Shop) -> None:
    """Nothing was merged."""
    shop.branch(BRANCH, "same", "one\n")
    pull = open_pull.fn(shop.proposal())
    git("checkout", "--quiet", "main", at=shop.clone)
    commit(shop.clone, "same", "other\n")
    shop.push("main")
    before = shop.bare("rev-parse", "main")

    with pytest.raises(Incomplete, match="conflicts with main: resolve the conflicts there"):
        wait_and_merge.fn(shop.service, pull, "t", "m")
    assert shop.bare("rev-parse", "main") == before


@pytest.mark.parametrize("ruleset", [False, True])
def test_a_merge_queue_is_named(shop: Shop, ruleset: bool) -> None:
    """Whether it can be read in the rules, or only from the refusal."""
    shop.host.protect(shop.name, "main", merge_queue=True, ruleset=ruleset)
    shop.branch(BRANCH)

    with pytest.raises(Incomplete, match=r"main takes changes from its merge queue only.*'Merge when ready'"):
        wait_and_merge.fn(shop.service, open_pull.fn(shop.proposal()), "t", "m", SHORT)


def test_a_branch_that_is_behind_is_told_after_the_wait(shop: Shop) -> None:
    """Strict protection: the way out is to update it."""
    shop.host.protect(shop.name, "main", strict=True, ruleset=True)
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.host.unprotect(shop.name, "main")
    git("checkout", "--quiet", "main", at=shop.clone)
    commit(shop.clone, "later")
    shop.push("main")
    shop.host.protect(shop.name, "main", strict=True, ruleset=True)

    with pytest.raises(Incomplete, match="does not contain the newest main: press 'Update branch'"):
        wait_and_merge.fn(shop.service, pull, "t", "m", SHORT)


def test_one_that_can_be_made_anew_comes_back_when_it_is_behind(shop: Shop) -> None:
    """At once, although a check is missing: it is asked for again of the new head."""
    shop.host.protect(shop.name, "main", ("build",), strict=True, ruleset=True)
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.host.unprotect(shop.name, "main")
    git("checkout", "--quiet", "main", at=shop.clone)
    commit(shop.clone, "later")
    shop.push("main")
    shop.host.protect(shop.name, "main", ("build",), strict=True, ruleset=True)

    assert wait_and_merge.fn(shop.service, pull, "t", "m", renewable=True) == pull
    assert shop.calls("PUT", f"{shop.name}/pulls/{pull.number}/merge") == []


def test_a_head_that_moved_is_refused_and_named(shop: Shop) -> None:
    """What nobody proved is not merged."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    moved, before = shop.branch(BRANCH, "smuggled"), shop.bare("rev-parse", "main")

    with pytest.raises(Refused, match=rf"moved from {pull.sha[:12]} to {moved[:12]}, which nobody proved"):
        wait_and_merge.fn(shop.service, pull, "t", "m")
    assert shop.bare("rev-parse", "main") == before


def test_one_that_a_person_closed_is_incomplete(shop: Shop) -> None:
    """They said no, or did it in another way."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.send("PATCH", f"/pulls/{pull.number}", state="closed")

    with pytest.raises(Incomplete, match="was closed without being merged: reopen it"):
        wait_and_merge.fn(shop.service, pull, "t", "m")


@pytest.mark.parametrize(
    ("protect", "expected"),
    [
        (lambda host, name: None, Protection()),
        (
            lambda host, name: host.protect(
                name, "main", ("build",), signatures=True, strict=True, merge_queue=True, reviews=2, ruleset=True
            ),
            Protection(True, ("build",), signatures=True, merge_queue=True, strict=True, reviews=2),
        ),
        (
            lambda host, name: host.protect(name, "main", ("build", "test"), pull_request=False, ruleset=True),
            Protection(False, ("build", "test")),
        ),
    ],
)
def test_what_a_branch_asks_for_is_read(
    shop: Shop, protect: Callable[[GitHost, str], None], expected: Protection
) -> None:
    """From the rules that every reader sees."""
    protect(shop.host, shop.name)

    assert replace(read_protection.fn(shop.service)) == expected


def test_of_the_older_kind_a_writer_reads_the_checks_alone(shop: Shop) -> None:
    """The rest is for administrators; that it cannot be read is no error."""
    shop.host.protect(shop.name, "main", ("build",), reviews=1)

    assert read_protection.fn(shop.service) == Protection(required_checks=("build",))
    assert read_protection.fn(shop.service).refuses_push
