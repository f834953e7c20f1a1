"""Releases and statuses on the lab's GitHub; plain HTTP is the witness."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from infra.lab.githost import GitHost, git_host
from infra.lab.process import free_port
from infra.lab.team import Team
from recovery.catalog import Service
from recovery.errors import Refused, Unavailable
from recovery.incidents import Cause
from recovery.reverts import Proof, Pushed, RevertPlan, plan_revert
from recovery.versions import parse_version
from tasks.git import prove_revert, push_revert, read_history
from tasks.github import publish_release, read_releases, write_status
from tests.integration.plain_git import rest

Facts = tuple[RevertPlan, Pushed, Proof]


@pytest.fixture(name="host")
def _host(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHost]:
    with git_host(tmp_path_factory.mktemp("githost")) as host, disable_run_logger():
        team = Team(host, directory=tmp_path_factory.mktemp("team"))
        team.start()
        team.release("v1.1.0")
        team.release("v1.2.0")
        monkeypatch.setenv("RIPCORD_GITHUB_API_URL", host.api_url)
        monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
        monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
        monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
        yield host


@pytest.fixture(name="shop")
def _shop() -> Service:
    return Service(name="shop", namespace="acme", repository="acme/shop")


@pytest.fixture(name="facts")
def _facts(host: GitHost, shop: Service) -> Facts:
    """The revert of v1.2.0, pushed and proved."""
    cause = Cause(sentence="checkout fails", seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC))
    history = read_history.fn(shop, "v1.2.0")
    plan = plan_revert(shop, parse_version("v1.2.0"), history, read_releases.fn(shop), cause)
    pushed = push_revert.fn(plan)
    return plan, pushed, prove_revert.fn(plan, pushed)


def releases(host: GitHost) -> dict[str, list[dict[str, Any]]]:
    """The Releases history by tag."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in rest(host, host.token("reader", write=False), "GET", "/repos/acme/shop/releases").json():
        found.setdefault(each["tag_name"], []).append(each)
    return found


def statuses(host: GitHost, tag: str) -> list[tuple[str, str]]:
    """Every status ever written on a tag's commit."""
    answer = rest(host, host.token("reader", write=False), "GET", f"/repos/acme/shop/commits/{tag}/statuses")
    return [(each["context"], each["state"]) for each in answer.json()]


def test_publishing_twice_gives_one_release_and_one_note(host: GitHost, facts: Facts) -> None:
    """The patch release is the latest; the faulty one says once that it was taken back, above its own words."""
    own = releases(host)["v1.2.0"][0]["body"]
    first, second = publish_release.fn(*facts), publish_release.fn(*facts)

    seen = releases(host)
    latest = rest(host, host.token("reader"), "GET", "/repos/acme/shop/releases/latest").json()
    assert first.startswith("published ")
    assert second.startswith("skipped: ")
    assert len(seen["v1.2.1"]) == 1
    assert latest["tag_name"] == "v1.2.1"
    assert seen["v1.2.0"][0]["body"] == f"> Taken back by v1.2.1. Do not deploy.\n\n{own}".strip()


def test_an_answer_that_got_lost_leads_to_one_release(host: GitHost, facts: Facts) -> None:
    """GitHub made the Release and answered 502: the next try finds it and finishes the note."""
    host.break_calls({"method": "POST", "path": "/releases$", "status": 502, "after_effect": True})
    with pytest.raises(Unavailable, match="502"):
        publish_release.fn(*facts)

    assert publish_release.fn(*facts).startswith("skipped: ")
    assert len(releases(host)["v1.2.1"]) == 1
    assert "Do not deploy" in releases(host)["v1.2.0"][0]["body"]


def test_a_note_that_could_not_be_written_is_written_on_the_next_try(host: GitHost, facts: Facts) -> None:
    """The Release stands, the faulty one's change failed before it had an effect."""
    host.break_calls({"method": "PATCH", "path": "/releases/", "status": 503})
    with pytest.raises(Unavailable, match="503"):
        publish_release.fn(*facts)
    assert "Do not deploy" not in releases(host)["v1.2.0"][0]["body"]

    publish_release.fn(*facts)

    assert releases(host)["v1.2.0"][0]["body"].count("Do not deploy") == 1


def test_a_verdict_is_written_once(host: GitHost, shop: Service) -> None:
    """Twice the same is one status; another verdict is a second one."""
    first = write_status.fn(shop, "v1.1.0", "success", "no breach " * 40)
    second = write_status.fn(shop, "v1.1.0", "success", "no breach")
    ours = [state for context, state in statuses(host, "v1.1.0") if context == "ripcord/verdict"]

    assert (first, second) == ("wrote success on v1.1.0", "skipped: v1.1.0 already says success")
    assert ours == ["success"]
    assert write_status.fn(shop, "v1.1.0", "failure", "breach") == "wrote failure on v1.1.0"


def test_a_token_that_github_does_not_know_is_named_and_not_told(
    host: GitHost, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the setting to look at."""
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", "ghp_wrong0123456789")

    with pytest.raises(Refused, match=r"GitHub does not know the token .*set RIPCORD_GITHUB_TOKEN") as refused:
        read_releases.fn(shop)
    assert "ghp_wrong" not in str(refused.value)


def test_a_repository_that_is_not_there_is_refused(host: GitHost, shop: Service) -> None:
    """It, or the right to see it."""
    with pytest.raises(Refused, match="has no acme/nope"):
        read_releases.fn(shop.model_copy(update={"repository": "acme/nope"}))


def test_a_github_that_is_down_is_tried_again(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is Unavailable."""
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}/api/v3")

    with pytest.raises(Unavailable, match="did not answer"):
        read_releases.fn(shop)
