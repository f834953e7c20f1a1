"""Take a faulty release out of `main` and ship the patch release.

1. Read the Releases history, the tags, what lies between, and what `main` asks for.  2. Choose the stable release,
or refuse; compute the revert without touching anything; choose the way: push, pull request, or hotfix.  3. Bring the
revert commit and the patch tag to `main`, both or neither; publish the release; watch the pipeline deploy it.
4. Prove it from a fresh clone.  5. Say what was done.
"""

from prefect import flow

from recovery.catalog import Service
from recovery.hotfixes import judge_feasibility
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.reverts import Pushed, RevertPlan, Shipped, plan_revert
from recovery.shown import show_proof, show_revert
from recovery.versions import parse_version
from recovery.ways import Way, choose_way
from recovery.wording import publication_of, renewed_words, revert_words
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.git import (
    preview_revert,
    prove_revert,
    push_branch,
    push_revert,
    read_history,
    read_range,
    tag_merged,
)
from tasks.github import (
    comment_on,
    open_pull,
    publish_release,
    read_deployed,
    read_protection,
    read_releases,
    wait_and_merge,
    watch_pipeline,
)
from tasks.kubernetes import mark_patch
from tasks.postgres.foretold import read_foretold
from tasks.runs import dated, launch_hotfix
from tasks.settings import can_sign, read_service

MADE_ANEW = 5  # times that main may leave our branch behind before a person is asked to freeze it


@flow(name="revert_release", flow_run_name="revert {service} {version}", persist_result=True)
def revert_release(
    service: str,
    version: str,
    because: Cause = A_PERSON_ASKED,
    to: str | None = None,
    hotfix: bool = False,
    rehearse: bool = True,
) -> Shipped:
    """Revert one release, or hand over to a hotfix, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The faulty release's tag, such as v1.2.0.
        because: Why; it goes into the commit message.
        to: The stable release to go back to, where a person chose it, such as v1.1.0.
        hotfix: Prepare a hotfix and take nothing out as a whole.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    with one_at_a_time(f"{service}, source"):
        because = dated(because)
        releases = read_releases(entry)
        history = read_history(entry, version, releases, to)
        protection = read_protection(entry)
        deployed = read_deployed(entry, version)

        faulty = parse_version(version, entry.tag_prefix)
        plan = plan_revert(entry, faulty, history, releases, because, to, deployed)
        preview = preview_revert(plan)
        between, foretold = read_range(entry, version, plan.stable_tag), read_foretold(entry, version)
        feasible = judge_feasibility(entry, between, hotfix, foretold)
        decision = choose_way(entry, plan, preview, feasible.obstacle, protection, can_sign())
        show(f"plan-revert-{service}-{version}", show_revert(plan, preview, decision, feasible.reason), plan.title)
        if rehearse or decision.way is Way.MENDED:
            return Shipped(None, decision.reason)
        if decision.way is Way.HOTFIX:
            launched = launch_hotfix(service, version, because, decision.reason, to)
            return Shipped(None, f"a hotfix is prepared and a person asked: {launched}")
        if decision.way is Way.CONFIRM:
            return Shipped(None, decision.reason, confirm=plan.stable_tag)

        pushed = push_revert(plan, decision) or merge_by_pull_request(entry, plan)
        proof = prove_revert(plan, pushed)
        publish_release(publication_of(plan, pushed, proof))
        watch_pipeline(entry, pushed.tag)
        mark_patch(entry, pushed.tag, version)

        show(f"proof-{service}-{version}", show_proof(plan, proof), pushed.said)
        return Shipped(pushed.tag, pushed.said)


def merge_by_pull_request(service: Service, plan: RevertPlan) -> Pushed:
    """Bring the same commit to a main that takes no push, and tag the commit by which it came.

    Where main moved on meanwhile, the commit is made anew on top of it, and the request says so.
    """
    for time in range(MADE_ANEW + 1):
        proposal = push_branch(plan)
        pull = open_pull(proposal)
        if pull.renewed:
            comment_on(pull, renewed_words(plan, proposal), proposal.commit)
        merged = wait_and_merge(service, pull, *revert_words(plan), renewable=time < MADE_ANEW)
        if merged.merged_as:
            break
    return tag_merged(plan, str(merged.merged_as))
