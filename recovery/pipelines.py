"""How far a team's pipeline is with a tag, from the deployments and the workflow runs that GitHub knows of."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_FAILED = frozenset({"failure", "error", "cancelled", "timed_out", "startup_failure", "action_required", "stale"})
_PASSED = frozenset({"success", "neutral", "skipped"})


class Stage(StrEnum):
    """How far it is."""

    NOT_STARTED = "not started"
    MOVING = "moving"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of the tag and its newest state; `created` without any."""

    environment: str
    production: bool
    state: str
    url: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One run of a workflow that the tag's push started; `state` is its conclusion, or its status before the end."""

    name: str
    state: str
    url: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the pipeline is, in a word of its own, and where to look."""

    stage: Stage
    said: str
    url: str


def deployed_commit(deployments: Sequence[Deployment]) -> str | None:
    """The commit that was last deployed under a tag, in production where there is one; None when nobody says."""
    done = [each for each in deployments if each.state in ("success", "inactive") and each.commit]
    return next((each.commit for each in sorted(done, key=lambda each: not each.production)), None)


def judge_pipeline(deployments: Sequence[Deployment], runs: Sequence[WorkflowRun]) -> Progress:
    """Answer how far a tag is; both are newest first.

    What GitHub calls a production environment counts alone where there is one. A failure of any kind is told at
    once; workflow runs alone say that a tag is out only where nobody writes deployments.
    """
    newest = {each.environment: each for each in reversed(deployments)}
    production = [each for each in newest.values() if each.production]
    asked = production or list(newest.values())
    last_runs = {each.name: each for each in reversed(runs)}
    ends = [(each.state, each.url) for each in asked] + [(each.state, each.url) for each in last_runs.values()]
    for state, url in ends:
        if state in _FAILED:
            return Progress(Stage.FAILED, state, url)
    replaced = next((each for each in asked if each.state == "inactive"), None)
    if replaced:
        return Progress(Stage.FAILED, "replaced by another deployment", replaced.url)
    moving_runs = [each for each in last_runs.values() if each.state not in _PASSED]
    if asked:
        open_ones = [each for each in asked if each.state != "success"]
        if open_ones:
            return Progress(Stage.MOVING, open_ones[0].state, open_ones[0].url)
        if moving_runs and not production:
            return Progress(Stage.MOVING, moving_runs[0].state, moving_runs[0].url)
        return Progress(Stage.DONE, "success", asked[0].url)
    if moving_runs:
        return Progress(Stage.MOVING, moving_runs[0].state, moving_runs[0].url)
    if last_runs:
        return Progress(Stage.DONE, "success", next(iter(last_runs.values())).url)
    return Progress(Stage.NOT_STARTED, "not started", "")
