"""A GitHub that loses answers, comes too late or is interrupted: every write happens once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from recovery.errors import Incomplete, Refused, Unavailable
from tasks.github import (
    close_pull,
    comment_on,
    mark_ready,
    open_pull,
    wait_and_merge,
)
from tests.integration.github_shop import Shop, new_shop

BRANCH = "revert/v1.2.0"


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


def lose(shop: Shop, method: str, path: str, status: int = 502) -> None:
    """The next such call has its effect, and its answer is lost."""
    shop.host.break_calls({"method": method, "path": path, "status": status, "after_effect": True})


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_pull_request_whose_answer_got_lost_is_found(shop: Shop, status: int) -> None:
    """There is one, and it is the one that is told."""
    shop.branch(BRANCH)
    lose(shop, "POST", "/pulls$", status)
    opened = open_pull.fn(shop.proposal())

    assert [each["number"] for each in shop.pulls()] == [opened.number]


def test_a_pull_request_whose_answer_comes_too_late_is_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it any longer, and it is there."""
    monkeypatch.setenv("RIPCORD_REQUEST_TIMEOUT", "2")
    shop.branch(BRANCH)
    late = {"method": "POST", "path": "/pulls$", "status": 0, "after_effect": True, "delay_seconds": 4}
    shop.host.break_calls(late)
    opened = open_pull.fn(shop.proposal())

    assert [each["number"] for each in shop.pulls()] == [opened.number]


def test_one_that_was_not_made_is_made_on_the_next_try(shop: Shop) -> None:
    """The 502 came before any effect."""
    shop.branch(BRANCH)
    shop.host.break_calls({"method": "POST", "path": "/pulls$", "status": 502})
    with pytest.raises(Unavailable, match="502"):
        open_pull.fn(shop.proposal())
    assert shop.pulls() == []

    assert open_pull.fn(shop.proposal()).number == shop.pulls()[0]["number"]


def test_one_that_a_person_opens_at_the_same_time_is_taken(shop: Shop) -> None:
    """GitHub says that one exists (422): that one it is, and there is no twin."""
    shop.branch(BRANCH)
    shop.host.break_calls({"method": "POST", "path": "/pulls$", "status": 0, "delay_seconds": 1, "times": 1})
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_pull.fn, shop.proposal())
        wait_until(lambda: shop.calls("GET", f"{shop.name}/pulls"), what="the first look", seconds=20, every=0.02)
        wait_until(lambda: not shop.faults_left(), what="the held call", seconds=20, every=0.02)
        theirs = shop.send("POST", "/pulls", title="Mine", head=BRANCH, base="main").json()["number"]

        assert opening.result(30).number == theirs
    assert len(shop.pulls()) == 1


def test_a_merge_whose_answer_got_lost_is_one_merge(shop: Shop) -> None:
    """The reading back finds it."""
    head = shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    lose(shop, "PUT", "/merge$")
    merged = wait_and_merge.fn(shop.service, pull, "t", "m")

    assert merged.merged_as == shop.bare("rev-parse", "main")
    assert shop.bare("log", "-1", "--format=%P", "main").split()[1] == head
    assert len(shop.bare("log", "--merges", "--format=%H", "main").split()) == 1


def test_a_merge_that_did_not_happen_happens_on_the_next_try(shop: Shop) -> None:
    """Nothing was changed by the first."""
    shop.branch(BRANCH)
    pull, before = open_pull.fn(shop.proposal()), shop.bare("rev-parse", "main")
    shop.host.break_calls({"method": "PUT", "path": "/merge$", "status": 503})
    with pytest.raises(Unavailable, match="503"):
        wait_and_merge.fn(shop.service, pull, "t", "m")
    assert shop.bare("rev-parse", "main") == before

    assert wait_and_merge.fn(shop.service, pull, "t", "m").merged_as == shop.bare("rev-parse", "main")


@pytest.mark.parametrize("status", [405, 409])
def test_a_merge_that_github_puts_off_is_tried_again(shop: Shop, status: int) -> None:
    """Its base was modified a moment ago, or what it showed before was old; the head is as it was."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.host.break_calls({"method": "PUT", "path": "/merge$", "status": status, "times": 2})
    merged = wait_and_merge.fn(shop.service, pull, "t", "m")

    assert merged.merged_as == shop.bare("rev-parse", "main")
    assert shop.calls("PUT", f"{shop.name}/pulls/{pull.number}/merge") == [status, status, 200]


def test_a_merge_that_github_never_takes_ends_with_its_words(shop: Shop) -> None:
    """The time is over; a person sees why on its page."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.host.break_calls({"method": "PUT", "path": "/merge$", "status": 405, "times": 1000})

    with pytest.raises(Incomplete, match=r"GitHub does not merge http\S+ yet \(Server Error\): look there \(waited"):
        wait_and_merge.fn(shop.service, pull, "t", "m", timedelta(seconds=0.5))


def test_a_merge_that_github_took_and_does_not_show_is_incomplete(shop: Shop) -> None:
    """Said yes is not done."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.host.break_calls({"method": "PUT", "path": "/merge$", "status": 200})

    with pytest.raises(Incomplete, match=r"GitHub took the merge of http\S+ and does not show it"):
        wait_and_merge.fn(shop.service, pull, "t", "m")


def test_a_head_that_moves_while_it_is_merged_is_refused(shop: Shop) -> None:
    """GitHub holds the commit that was named against the branch (409)."""
    shop.branch(BRANCH)
    pull, before = open_pull.fn(shop.proposal()), shop.bare("rev-parse", "main")
    shop.host.break_calls({"method": "PUT", "path": "/merge$", "status": 0, "delay_seconds": 2})
    with ThreadPoolExecutor(1) as pool:
        merging = pool.submit(wait_and_merge.fn, shop.service, pull, "t", "m")
        wait_until(lambda: not shop.faults_left(), what="the held merge", seconds=20, every=0.02)
        moved = shop.branch(BRANCH, "smuggled")

        with pytest.raises(Refused, match=rf"moved from {pull.sha[:12]} to {moved[:12]}"):
            merging.result(30)
    assert shop.bare("rev-parse", "main") == before
    assert shop.calls("PUT", f"{shop.name}/pulls/{pull.number}/merge") == [409]


def test_words_and_closings_whose_answers_got_lost_happen_once(shop: Shop) -> None:
    """A comment, a draft made ready, a pull request closed."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal(draft=True))
    lose(shop, "POST", "/comments$")
    assert comment_on.fn(pull, "Hello.", "key").startswith("said http")
    lose(shop, "POST", "/graphql$")
    assert mark_ready.fn(pull).startswith("marked ")
    lose(shop, "PATCH", "/pulls/")
    assert close_pull.fn(pull, "No more.").startswith("closed ")

    said = [each["body"] for each in shop.get(f"/issues/{pull.number}/comments")]
    assert said == ["Hello.\n\n<!-- ripcord:key -->", "No more.\n\n<!-- ripcord:closed -->"]
    assert (shop.pulls()[0]["draft"], shop.pulls()[0]["state"]) == (False, "closed")
