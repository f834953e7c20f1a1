"""Watch the team's pipeline deploy a tag."""

import time
from typing import Any

from github.Repository import Repository
from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from recovery.pipelines import Deployment, Progress, Stage, WorkflowRun, deployed_commit, judge_pipeline
from tasks.github.client import open_repository, read, readable, wait_a_little
from tasks.retry import LOOKING_PATIENTLY, PATIENTLY, spoken
from tasks.settings import read_settings

START_SECONDS = 60.0  # in which a pipeline that a tag starts has shown itself


@task(name="watch pipeline", task_run_name="watch the pipeline deploy {tag}", **PATIENTLY)
@spoken
def watch_pipeline(service: Service, tag: str) -> str:
    """Wait for the pipeline's deployment of a tag, or its workflow run where it writes no deployments.

    Raises Incomplete, with its link, when it failed or never came.
    """
    begun = time.monotonic()
    said = ""
    with open_repository(service.repository) as repository:
        while True:
            seen = _progress(repository, tag)
            waited = time.monotonic() - begun
            url = seen.url or repository.html_url
            if seen.stage is Stage.DONE:
                return f"the pipeline deployed {tag}: {url}"
            if seen.stage is Stage.FAILED:
                raise Incomplete(
                    f"the pipeline could not deploy {tag} ({seen.said}): {url}; mend it and deploy it again"
                )
            if waited > service.settle.total_seconds():
                hint = f": {_hint(tag)}" if seen.stage is Stage.NOT_STARTED else f", look at {url}"
                raise Incomplete(f"the pipeline did not deploy {tag} within {service.settle} (last: {seen.said}){hint}")
            late = seen.stage is Stage.NOT_STARTED and waited > START_SECONDS * read_settings().patience
            news = f"no pipeline has begun with {tag}: {_hint(tag)}" if late else f"deployment of {tag}: {seen.said}"
            if news != said:
                said = news
                get_run_logger().log(30 if late else 20, news)
            wait_a_little()


@task(name="read deployed", task_run_name="read what was deployed as {tag}", **LOOKING_PATIENTLY)
def read_deployed(service: Service, tag: str) -> str | None:
    """The commit that the pipeline says it deployed under a tag, which the tag itself may have left since."""
    with open_repository(service.repository) as repository:
        return deployed_commit(_deployments(repository, tag) or ())


def _hint(tag: str) -> str:
    ours = read_settings().github_token.get_secret_value().startswith("ghs_")
    aside = " (ripcord's own begins with ghs_ and may be one)" if ours else ""
    return (
        f"a tag pushed with the token of GitHub Actions, ghs_ of github-actions[bot]{aside}, starts no workflow: "
        f"start it for {tag} by hand, and give ripcord a token of its own"
    )


def _progress(repository: Repository, tag: str) -> Progress:
    deployments, found = _deployments(repository, tag), readable(repository, "/actions/runs", event="push", branch=tag)
    if deployments is None and found is None:
        raise Refused(
            f"the token sees neither deployments nor workflow runs of {repository.full_name}: "
            "give it Deployments: read or Actions: read"
        )
    runs = (found or {}).get("workflow_runs", ())
    ours = [_run(each) for each in runs if (each["event"], each["head_branch"]) == ("push", tag)]
    return judge_pipeline(deployments or (), ours)


def _deployments(repository: Repository, tag: str) -> list[Deployment] | None:
    """The newest of each environment; None when the token may not look."""
    found = readable(repository, "/deployments", ref=tag)
    if found is None:
        return None
    newest: dict[str, dict[str, Any]] = {}
    for each in found:
        # Once more by hand: where a repository was renamed meanwhile, the vendor's client follows without the query.
        if each["ref"] == tag:
            newest.setdefault(each["environment"], each)
    return [_deployment(repository, each) for each in newest.values()]


def _deployment(repository: Repository, each: dict[str, Any]) -> Deployment:
    statuses = read(repository, f"/deployments/{each['id']}/statuses", per_page=1)
    newest = statuses[0] if statuses else {}
    return Deployment(
        environment=each["environment"],
        production=bool(each.get("production_environment")),
        state=newest.get("state", "created"),
        url=newest.get("log_url") or newest.get("target_url") or "",
        commit=each["sha"],
    )


def _run(each: dict[str, Any]) -> WorkflowRun:
    name = each.get("path") or each["name"] or str(each["workflow_id"])
    return WorkflowRun(name, each["conclusion"] or each["status"], each["html_url"])
