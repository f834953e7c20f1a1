"""A GitHub that limits, moves, forbids and hides: what is done is done once, and every sentence is true."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from recovery.errors import Incomplete, Refused, Unavailable
from tasks.github import (
    check_github,
    close_pull,
    comment_on,
    mark_ready,
    open_pull,
    publish_release,
    read_protection,
    read_releases,
    wait_and_merge,
    watch_pipeline,
    write_status,
)
from tests.integration.github_shop import Shop, new_shop
from tests.integration.redirecting import sending

BRANCH = "revert/v1.2.0"


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


@pytest.mark.parametrize("limit", ["primary", "secondary"])
@pytest.mark.parametrize("status", [403, 429])
def test_a_short_rate_limit_is_waited_out(shop: Shop, monkeypatch: pytest.MonkeyPatch, limit: str, status: int) -> None:
    """As long as GitHub asks for, and then the write happens, once."""
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.05")
    shop.branch(BRANCH)
    shop.host.break_calls({"method": "POST", "path": "/pulls$", "status": status, "limit": limit, "retry_seconds": 1})
    begun = monotonic()
    open_pull.fn(shop.proposal())

    assert len(shop.pulls()) == 1
    assert monotonic() - begun > (1 if limit == "secondary" else 0)  # a reset is told in whole seconds
    assert shop.calls("POST", f"{shop.name}/pulls") == [status, 201]


@pytest.mark.parametrize("limit", ["primary", "secondary"])
def test_a_long_rate_limit_is_told_and_tried_again_later(shop: Shop, limit: str) -> None:
    """Nothing was changed, and nobody sleeps on it for an hour."""
    shop.branch(BRANCH)
    shop.host.break_calls({"method": "POST", "path": "/pulls$", "limit": limit, "retry_seconds": 1800})
    begun = monotonic()

    with pytest.raises(Unavailable, match=r"rate limit is used up for another (1800|1799) s"):
        open_pull.fn(shop.proposal())
    assert monotonic() - begun < 10
    assert shop.pulls() == []


def test_a_secondary_limit_without_a_time_is_waited_out(shop: Shop) -> None:
    """GitHub asks for a minute then; patience shortens it here."""
    shop.branch(BRANCH)
    shop.host.break_calls({"method": "POST", "path": "/pulls$", "limit": "secondary", "retry_seconds": 0})
    open_pull.fn(shop.proposal())

    assert shop.calls("POST", f"{shop.name}/pulls") == [403, 201]


def test_a_renamed_repository_is_followed_for_reading_and_writing(shop: Shop) -> None:
    """The catalogue has the old name still."""
    publication = shop.publication()
    sha = shop.branch(BRANCH)
    renamed = Shop(shop.host, f"{shop.name}-renamed", shop.clone, shop.service)
    shop.host.rename(shop.name, renamed.name)
    check_github(shop.service)
    assert len(read_releases.fn(shop.service)) == 2
    publish_release.fn(publication)
    write_status.fn(shop.service, "v1.1.0", "success", "no breach")
    renamed.send("POST", "/statuses/" + sha, state="success", context="build")
    renamed.host.protect(renamed.name, "main", ("build",), ruleset=True)
    pull = open_pull.fn(shop.proposal())
    comment_on.fn(pull, "Hello.", "key")
    renamed.host.start_run(renamed.name, "v1.2.1")

    assert read_protection.fn(shop.service).required_checks == ("build",)
    assert pull.repository == renamed.name
    assert open_pull.fn(shop.proposal()) == pull
    assert wait_and_merge.fn(shop.service, pull, "t", "m").merged_as == renamed.bare("rev-parse", "main")
    assert len(renamed.releases()["v1.2.1"]) == 1
    assert [each["state"] for each in renamed.get("/commits/v1.1.0/statuses")] == ["success"]
    with pytest.raises(Incomplete, match="in_progress"):
        watch_pipeline.fn(shop.service.model_copy(update={"settle": timedelta(seconds=0.2)}), "v1.2.1")


def test_a_repository_that_is_renamed_while_it_is_written_to_is_followed(shop: Shop) -> None:
    """GitHub sends the write on (307), and it arrives once."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    renamed = Shop(shop.host, f"{shop.name}-renamed", shop.clone, shop.service)
    shop.host.break_calls(
        {"method": "GET", "path": "/comments$", "status": 0, "delay_seconds": 1, "after_effect": True}
    )
    with ThreadPoolExecutor(1) as pool:
        saying = pool.submit(comment_on.fn, pull, "Hello.", "key")
        wait_until(lambda: not shop.faults_left(), what="the held look", seconds=20, every=0.02)
        shop.host.rename(shop.name, renamed.name)

        assert saying.result(30).startswith("said http")
    assert [each["body"] for each in renamed.get(f"/issues/{pull.number}/comments")] == [
        "Hello.\n\n<!-- ripcord:key -->"
    ]
    assert 307 in shop.calls("POST", f"{shop.name}/issues/{pull.number}/comments")


def test_every_hand_names_the_permission_that_it_lacks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over REST and over GraphQL; nothing was changed."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal(draft=True))
    ready = replace(pull, draft=False)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.token("reader", write=False))
    for act, needed in (
        (lambda: open_pull.fn(shop.proposal("develop")), "Pull requests: write"),
        (lambda: comment_on.fn(pull, "Hello.", "key"), "Pull requests: write"),
        (lambda: mark_ready.fn(pull), "Pull requests: write"),
        (lambda: close_pull.fn(pull, "no"), "Pull requests: write"),
    ):
        with pytest.raises(Refused, match=rf"does not allow this on \S+ \(.*\): the token needs {needed}$"):
            act()
    shop.send("POST", f"/pulls/{pull.number}/reviews", "mina", event="COMMENT", body="?")
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.token("ripcord"))
    mark_ready.fn(pull)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.token("reader", write=False))
    with pytest.raises(Refused, match=r"the token needs Contents: write$"):
        wait_and_merge.fn(shop.service, ready, "t", "m")
    assert [(each["state"], each["merged_at"]) for each in shop.pulls()] == [("open", None)]
    assert shop.get(f"/issues/{pull.number}/comments") == []


def test_a_github_that_sends_to_another_host_is_refused(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    """The token goes to no host that nobody named, also where another port of this machine is one."""
    with sending(lambda path: None) as other, sending(lambda path: f"{other.url}{path}") as host:
        for status in (301, 307):
            host.status = status
            monkeypatch.setenv("RIPCORD_GITHUB_API_URL", f"{host.url}/api/v3")
            with pytest.raises(Refused, match=r"is not where this GitHub is .*: set RIPCORD_GITHUB_API_URL"):
                read_releases.fn(shop.service)

        assert other.asked == []


@pytest.mark.parametrize("status", [301, 307])
def test_a_circle_of_addresses_has_an_end(monkeypatch: pytest.MonkeyPatch, shop: Shop, status: int) -> None:
    """After five moves it is said, whether it leads to itself or to and fro."""
    for to in (lambda path: path, lambda path: "/api/v3/a" if path.endswith("b") else "/api/v3/b"):
        with sending(to, status) as host:
            monkeypatch.setenv("RIPCORD_GITHUB_API_URL", f"{host.url}/api/v3")
            with pytest.raises(Refused, match=r"sends us in a circle, at last to .*: set RIPCORD_GITHUB_API_URL"):
                read_releases.fn(shop.service)

            assert len(host.asked) < 10


def test_checks_that_the_token_may_not_read_are_left_to_github(shop: Shop) -> None:
    """Fine-grained tokens have no right to check runs: GitHub's own word counts then."""
    shop.host.protect(shop.name, "main", ("build",))
    sha = shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.host.break_calls({"method": "GET", "path": "/check-runs$", "status": 403, "times": 1000})
    with pytest.raises(Incomplete, match=r"waiting for build \(not started\)"):
        wait_and_merge.fn(shop.service, pull, "t", "m", timedelta(seconds=0.5))
    shop.host.set_check(shop.name, sha, "build", "success")

    assert wait_and_merge.fn(shop.service, pull, "t", "m").merged_as == shop.bare("rev-parse", "main")
