"""Wait for a person's word: the run is suspended, nothing of ours keeps running, and it goes on when they answer."""

from itertools import count

from prefect.flow_runs import suspend_flow_run

from recovery.hotfix_wording import ask_for_hotfix
from recovery.hotfixes import Answer, HotfixBranch, HotfixPlan, object_to
from recovery.pulls import PullRequest
from recovery.responses import ResponsePlan
from tasks.approvals import confirmation_form, hotfix_form
from tasks.git import read_branch
from tasks.notify import notify
from tasks.runs import this_run


def confirmed(plan: ResponsePlan) -> bool:
    """Answer whether the recovery may begin; asks a person only where the plan wants it."""
    if plan.ask is None:
        return True
    who, where = f"{plan.service} {plan.version}", this_run()
    notify(f"confirm/{plan.service}/{plan.version}", f"{who}: take it back?", f"{plan.asking}\n\nAnswer at {where}")
    given = suspend_flow_run(wait_for_input=confirmation_form(plan.asking), key="confirm")
    return bool(given and given.confirm)


def ask(plan: HotfixPlan, branch: HotfixBranch, pull: PullRequest) -> Answer:
    """Ask what becomes of a hotfix, until the answer fits what stands on the branch.

    Each question has a key of its own: a run that is started again finds the answers that were given.
    """
    objection = None
    for number in count(1):
        form = hotfix_form(ask_for_hotfix(plan, branch, pull, objection))
        given = suspend_flow_run(wait_for_input=form, key=f"hotfix-{number}")
        assert given is not None  # noqa: S101 only a suspension without a form answers nothing
        objection = object_to(plan, given.answer, read_branch(plan, asked=number))
        if objection is None:
            return given.answer
    raise AssertionError("count has no end")
