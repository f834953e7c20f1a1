"""Watching the team's pipeline over the lab's GitHub, by its deployments and its workflow runs."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import tasks.github.pipeline
from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from tasks.github import read_deployed, watch_pipeline
from tests.integration.github_shop import Shop, new_shop
from tests.integration.plain_git import git


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


def hasty(shop: Shop, seconds: float = 0.3) -> Service:
    """The service with little time to settle."""
    return shop.service.model_copy(update={"settle": timedelta(seconds=seconds)})


def deploy(shop: Shop, tag: str, *states: str, environment: str = "production") -> None:
    """Tell GitHub how the deployment of a tag goes, as a pipeline does."""
    number = shop.send("POST", "/deployments", "pipeline", ref=tag, environment=environment).json()["id"]
    for state in states:
        how: dict[str, Any] = {"state": state, "log_url": f"https://ci.example.com/{tag}/{environment}"}
        shop.send("POST", f"/deployments/{number}/statuses", "pipeline", **how)


def test_the_pipeline_is_waited_for(shop: Shop) -> None:
    """From not started to success, which is told with its link."""
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch_pipeline.fn, shop.service, "v1.2.0")
        deploy(shop, "v1.2.0", "queued", "in_progress", "success")

        assert watched.result(30) == "the pipeline deployed v1.2.0: https://ci.example.com/v1.2.0/production"


@pytest.mark.parametrize("state", ["failure", "error"])
def test_a_pipeline_that_failed_is_told_with_its_link(shop: Shop, state: str) -> None:
    """A person must look there; another tag's success does not count."""
    deploy(shop, "v1.2.0", "in_progress", state)
    deploy(shop, "v1.1.0", "success")

    with pytest.raises(
        Incomplete, match=rf"could not deploy v1\.2\.0 \({state}\): https://ci\.example\.com/v1\.2\.0/.*;"
    ):
        watch_pipeline.fn(shop.service, "v1.2.0")


def test_only_production_counts_where_there_is_one(shop: Shop) -> None:
    """A staging that hangs is not waited for; one that is done is not enough."""
    deploy(shop, "v1.2.0", "success", environment="staging")
    deploy(shop, "v1.2.0", "in_progress")
    with pytest.raises(Incomplete, match=r"\(last: in_progress\), look at https://ci\.example\.com/v1\.2\.0/prod"):
        watch_pipeline.fn(hasty(shop), "v1.2.0")

    deploy(shop, "v1.1.0", "in_progress", environment="staging")
    deploy(shop, "v1.1.0", "success")

    assert watch_pipeline.fn(shop.service, "v1.1.0").endswith("/v1.1.0/production")


def test_a_workflow_that_fails_before_it_deploys_is_told_at_once_with_its_link(shop: Shop) -> None:
    """Its deployment would never come."""
    run = shop.host.start_run(shop.name, "v1.2.0")
    deploy(shop, "v1.2.0")
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch_pipeline.fn, shop.service, "v1.2.0")
        wait_until(lambda: len(shop.calls("GET", "/actions/runs")) > 2, what="a few looks", seconds=20)
        assert not watched.done()
        shop.host.finish_run(shop.name, run, "failure")

        with pytest.raises(Incomplete, match=rf"could not deploy v1\.2\.0 \(failure\): \S*/actions/runs/{run};"):
            watched.result(30)


def test_a_workflow_alone_says_that_a_tag_is_out(shop: Shop) -> None:
    """Not every pipeline writes deployments; the run of another tag does not count."""
    other = shop.host.start_run(shop.name, "v1.1.0")
    shop.host.finish_run(shop.name, other, "failure")
    run = shop.host.start_run(shop.name, "v1.2.0")
    with pytest.raises(Incomplete, match=rf"\(last: in_progress\), look at \S*/actions/runs/{run}"):
        watch_pipeline.fn(hasty(shop), "v1.2.0")
    shop.host.finish_run(shop.name, run)

    assert watch_pipeline.fn(shop.service, "v1.2.0").endswith(f"/actions/runs/{run}")


@pytest.mark.parametrize(("states", "last"), [(None, "not started"), ((), "created"), (("queued",), "queued")])
def test_a_pipeline_that_never_ends_is_incomplete(shop: Shop, states: tuple[str, ...] | None, last: str) -> None:
    """After the time to settle nobody waits any longer; the sentence says how far it came."""
    if states is not None:
        deploy(shop, "v1.2.0", *states)

    with pytest.raises(Incomplete, match=rf"did not deploy v1\.2\.0 within 0:00:00\.3\d* \(last: {last}\)"):
        watch_pipeline.fn(hasty(shop), "v1.2.0")


def test_a_pipeline_that_does_not_begin_is_told_while_it_is_waited_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with the likely cause: the Actions token; and it may begin yet."""
    monkeypatch.setattr(tasks.github.pipeline, "get_run_logger", lambda: logging.getLogger("watching"))
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.actions_token())
    before = len(shop.host.requests())
    with caplog.at_level(logging.INFO, "watching"), ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch_pipeline.fn, shop.service, "v1.2.0")
        wait_until(lambda: "no pipeline has begun" in caplog.text, what="the warning", seconds=20)
        wait_until(lambda: len(shop.host.requests()) > before + 50, what="more looks", seconds=20)
        assert not watched.done()
        deploy(shop, "v1.2.0", "success")

        assert watched.result(30).startswith("the pipeline deployed v1.2.0")
    assert caplog.text.count("no pipeline has begun") == 1
    assert (
        "ghs_ of github-actions[bot] (ripcord's own begins with ghs_ and may be one), starts no workflow" in caplog.text
    )


def test_looking_again_at_what_did_not_change_costs_nothing_of_the_rate(shop: Shop) -> None:
    """From the second look on GitHub answers 304, and the repository itself is asked for once."""
    deploy(shop, "v1.2.0", "in_progress")
    before = len(shop.host.requests())
    with pytest.raises(Incomplete):
        watch_pipeline.fn(hasty(shop, 1.0), "v1.2.0")

    seen = [(each["path"].rpartition(shop.name)[2], each["status"]) for each in shop.host.requests()[before:]]
    assert seen.count(("", 200)) == 1
    statuses = f"/deployments/{shop.get('/deployments')[0]['id']}/statuses"
    assert {path for path, status in seen if status == 200} == {"", "/deployments", "/actions/runs", statuses}
    assert len([status for _, status in seen if status == 200]) == 4
    assert sum(status == 304 for _, status in seen) > 6


def test_the_commit_that_was_deployed_is_read_even_when_the_tag_has_moved(shop: Shop) -> None:
    """None where nobody says, or where it did not succeed."""
    deployed = shop.bare("rev-parse", "v1.2.0^{commit}")
    assert read_deployed.fn(shop.service, "v1.2.0") is None
    deploy(shop, "v1.2.0", "in_progress")
    assert read_deployed.fn(shop.service, "v1.2.0") is None
    deploy(shop, "v1.2.0", "success")
    git("tag", "--force", "--annotate", "-m", "moved", "v1.2.0", "v1.1.0^{commit}", at=shop.clone)
    shop.push("v1.2.0")

    assert read_deployed.fn(shop.service, "v1.2.0") == deployed != shop.bare("rev-parse", "v1.2.0^{commit}")


def test_a_token_that_sees_nothing_of_the_pipeline_is_refused(shop: Shop) -> None:
    """Waiting for what cannot be seen would be a lie."""
    shop.host.break_calls(
        {"method": "GET", "path": "/deployments$", "status": 403},
        {"method": "GET", "path": "/actions/runs$", "status": 403},
    )

    with pytest.raises(Refused, match=r"sees neither deployments nor workflow runs .*Actions: read"):
        watch_pipeline.fn(shop.service, "v1.2.0")


def test_a_repository_that_is_not_there_is_refused(shop: Shop) -> None:
    """It, or the right to see it."""
    with pytest.raises(Refused, match="has no acme/nope"):
        watch_pipeline.fn(shop.service.model_copy(update={"repository": "acme/nope"}), "v1.2.0")
