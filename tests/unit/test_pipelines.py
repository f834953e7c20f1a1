"""How far a pipeline is with a tag."""

import pytest

from recovery.pipelines import Deployment, Stage, WorkflowRun, deployed_commit, judge_pipeline


def deployment(state: str, environment: str = "production") -> Deployment:
    """One deployment of the tag."""
    return Deployment(environment, environment == "production", state, f"https://ci/{environment}/{state}")


def run(state: str, name: str = "deploy") -> WorkflowRun:
    """One run of a workflow that the tag's push started."""
    return WorkflowRun(name, state, f"https://run/{name}/{state}")


STAGING = deployment("success", "staging")


@pytest.mark.parametrize(
    ("deployments", "runs", "stage", "said"),
    [
        ([], [], Stage.NOT_STARTED, "not started"),
        ([deployment("created")], [], Stage.MOVING, "created"),
        ([deployment("in_progress")], [run("success")], Stage.MOVING, "in_progress"),
        ([deployment("success")], [], Stage.DONE, "success"),
        ([deployment("success")], [run("in_progress", "docs")], Stage.DONE, "success"),
        ([deployment("failure")], [], Stage.FAILED, "failure"),
        ([deployment("error")], [run("in_progress")], Stage.FAILED, "error"),
        ([deployment("queued")], [run("cancelled")], Stage.FAILED, "cancelled"),
        ([deployment("inactive")], [], Stage.FAILED, "replaced by another deployment"),
        ([deployment("success"), deployment("failure")], [], Stage.DONE, "success"),
        ([deployment("failure"), deployment("success")], [], Stage.FAILED, "failure"),
        ([STAGING], [], Stage.DONE, "success"),
        ([STAGING], [run("in_progress")], Stage.MOVING, "in_progress"),
        ([deployment("in_progress"), STAGING], [], Stage.MOVING, "in_progress"),
        ([deployment("success"), deployment("in_progress", "staging")], [], Stage.DONE, "success"),
        ([deployment("in_progress", "eu"), STAGING], [], Stage.MOVING, "in_progress"),
        ([], [run("queued")], Stage.MOVING, "queued"),
        ([], [run("success"), run("in_progress", "docs")], Stage.MOVING, "in_progress"),
        ([], [run("success"), run("skipped", "docs")], Stage.DONE, "success"),
        ([], [run("success"), run("timed_out", "docs")], Stage.FAILED, "timed_out"),
        ([], [run("success"), run("failure")], Stage.DONE, "success"),
    ],
)
def test_deployments_come_first_and_a_failure_anywhere_counts(
    deployments: list[Deployment], runs: list[WorkflowRun], stage: Stage, said: str
) -> None:
    """Of each environment and each workflow the newest is asked; production stands for all where there is one."""
    seen = judge_pipeline(deployments, runs)

    assert (seen.stage, seen.said) == (stage, said)


@pytest.mark.parametrize(
    ("states", "commit"),
    [([], None), (["queued"], None), (["failure"], None), (["success"], "production"), (["inactive"], "production")],
)
def test_the_deployed_commit_is_that_of_production(states: list[str], commit: str | None) -> None:
    """A deployment that another one has replaced was deployed all the same."""
    found = [Deployment("production", True, state, "", "production") for state in states]

    assert deployed_commit(found) == commit
    assert deployed_commit([Deployment("staging", False, "success", "", "staging"), *found]) == (commit or "staging")


def test_where_to_look_is_what_failed() -> None:
    """The link of the run that failed, not of the deployment that waits for it."""
    assert judge_pipeline([deployment("queued")], [run("failure")]).url == "https://run/deploy/failure"
