"""Wait for a person's word: the run is suspended, nothing of ours keeps running, and it goes on when they answer."""

from recovery.catalog import Service
from recovery.cnpg_plans import CnpgPlan
from recovery.cnpg_wording import ask_for_cnpg
from recovery.hotfix_wording import ask_for_hotfix
from recovery.hotfixes import Answer, HotfixBranch, HotfixPlan, object_to
from recovery.pulls import PullRequest
from recovery.rds_plans import RdsPlan
from recovery.rds_wording import ask_for_rds
from recovery.responses import ResponsePlan
from recovery.restore_wording import ask_for_restore
from recovery.restores import RestorePlan
from recovery.reverts import Shipped
from tasks.approvals import Confirmation, HotfixAnswer, RestoreAnswer, ask_person
from tasks.git import read_answered
from tasks.github import read_pull
from tasks.notify import notify
from tasks.runs import this_run


def confirmed(plan: ResponsePlan) -> bool:
    """Answer whether the recovery may begin; asks a person only where the plan wants it."""
    if plan.ask is None:
        return True
    who, where = f"{plan.service} {plan.version}", this_run()
    notify(f"confirm/{plan.service}/{plan.version}", f"{who}: take it back?", f"{plan.asking}\n\nAnswer at {where}")
    return ask_person(Confirmation, plan.asking, "confirm").confirm


def chosen(service: str, version: str, shipped: Shipped) -> bool:
    """Answer whether main may go back to a stable release that is in doubt; the cluster is back already."""
    title, where = f"{service}: take {version} out of main, back to {shipped.confirm}?", this_run()
    asked = f"{shipped.said}. The cluster is back already, nothing was changed in Git"
    notify(f"confirm/{service}/{version}/{shipped.confirm}", title, f"{asked}. Answer at {where}")
    return ask_person(Confirmation, f"{title} {asked}.", f"stable-{shipped.confirm}").confirm


def agreed(plan: RestorePlan) -> bool:
    """Answer whether a database may lose what was written since its point; asks a person where the plan wants it."""
    if not plan.ask:
        return True
    title, where = f"{plan.service}: take the database back to {plan.name}?", this_run()
    notify(f"asked/restore/{plan.service}/{plan.name}", title, f"{plan.cause}. Nothing is done yet. Answer at {where}")
    return ask_person(RestoreAnswer, ask_for_restore(plan), f"restore-{plan.name}").restore


def agreed_on_rds(plan: RdsPlan) -> bool:
    """The same of a database that AWS runs."""
    if not plan.ask:
        return True
    title, where = f"{plan.service}: take {plan.names.final} back to {plan.name}?", this_run()
    notify(f"asked/restore/{plan.service}/{plan.name}", title, f"{plan.cause}. Nothing is done yet. Answer at {where}")
    return ask_person(RestoreAnswer, ask_for_rds(plan), f"restore-{plan.name}").restore


def agreed_on_cnpg(plan: CnpgPlan) -> bool:
    """The same of a database that CloudNativePG runs."""
    if not plan.ask:
        return True
    title, where = f"{plan.service}: take {plan.damaged} back to {plan.name}?", this_run()
    notify(f"asked/restore/{plan.service}/{plan.name}", title, f"{plan.cause}. Nothing is done yet. Answer at {where}")
    return ask_person(RestoreAnswer, ask_for_cnpg(plan), f"restore-{plan.name}").restore


def ask(service: Service, plan: HotfixPlan, branch: HotfixBranch, pull: PullRequest) -> Answer:
    """Ask what becomes of a hotfix, until the answer fits what stands on the branch, or was merged meanwhile."""
    objection, asked = None, 0
    while True:
        question = ask_for_hotfix(plan, branch, pull, objection)
        answer = ask_person(HotfixAnswer, question, f"hotfix-{asked}").answer
        merged = read_pull(service, pull.number).merged_as
        objection, asked = object_to(plan, answer, read_answered(plan, asked), merged), asked + 1
        if objection is None:
            return answer
