"""Mend a faulty release where a full rollback is not feasible, with a person's word.

1. Read the Releases history, the tags, and what lies between: files, migrations, pull requests.  2. Rank the fixes
that can be made mechanically, or refuse.  3. Put the best one on a branch from `main` with a draft pull request; ask
a person, however long that takes; then merge it, tag it, publish the release and watch the pipeline deploy it.
4. Prove it from a fresh clone; wait until the cluster serves it and customers succeed.  5. Write the post-mortem,
synchronise develop, tell the stakeholders.
"""

from prefect import flow

from flows.asking import ask
from flows.telling import report, tell_of_failure
from recovery.catalog import Service
from recovery.hotfix_wording import hotfix_notes, merge_words, propose_hotfix
from recovery.hotfixes import (
    A_PERSON_WANTS_IT,
    Answer,
    BranchState,
    HotfixBranch,
    HotfixPlan,
    as_read,
    plan_hotfix,
    stable_before,
)
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.reverts import Proof, Pushed
from recovery.rollouts import watch_of
from recovery.shown import show_hotfix, show_proof
from recovery.timelines import harm_of, mended, tell_story
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.decisions import decided
from tasks.fence import one_at_a_time
from tasks.git import prove_hotfix, push_hotfix, read_branch, read_history, read_range, sync_hotfix, tag_hotfix
from tasks.github import (
    close_pull,
    mark_ready,
    open_pull,
    publish_release,
    read_merge,
    read_releases,
    wait_and_merge,
    watch_pipeline,
)
from tasks.kubernetes import mark_patch, read_rollout, wait_until_settled
from tasks.notify import notify
from tasks.prometheus import read_harm, wait_until_recovered
from tasks.runs import dated, this_run
from tasks.settings import read_service


@flow(name="hotfix", flow_run_name="hotfix {service} {version}", persist_result=True, on_failure=[tell_of_failure])
def hotfix(
    service: str,
    version: str,
    because: Cause = A_PERSON_ASKED,
    why: str = A_PERSON_WANTS_IT,
    to: str | None = None,
    rehearse: bool = True,
) -> str:
    """Prepare a hotfix, wait for a person's word, and ship it; or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The faulty release's tag, such as v1.2.0.
        because: What happened; commit and post-mortem say it.
        why: Why it is no full rollback.
        to: The stable release, where a person chose it, such as v1.1.0.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    with one_at_a_time(f"{service}, source"):
        because = dated(because)
        plan = decided("hotfix", lambda: decide(entry, version, because, why, to))
        show(f"plan-hotfix-{service}-{version}", show_hotfix(plan), plan.branch)
        if rehearse:
            return plan.reason

        branch = push_hotfix(plan, plan.proposals[0])
        if branch.merged_as:
            merged_as = read_merge(entry, plan.branch) or branch.merged_as
            return ship(entry, plan, branch, read_branch(plan), merged_as, because)
        pull = open_pull(propose_hotfix(plan, branch))
        asked = f"Look at {pull.url}, then answer at {this_run()}"
        notify(
            f"asked/{service}/{version}/{pull.number}", f"{service}: hotfix {plan.patch_tag} waits for a person", asked
        )

    # A person may take hours, and nobody else is kept from the service meanwhile.
    answer = ask(entry, plan, branch, pull)
    with one_at_a_time(f"{service}, source"):
        if answer is Answer.ABANDON:
            close_pull(pull, "abandoned in the Prefect UI")
            return notify(
                f"abandoned/{service}/{version}/{pull.number}",
                f"{service}: hotfix {plan.patch_tag} is abandoned",
                pull.url,
            )
        state = read_branch(plan)
        mark_ready(pull)
        merged = wait_and_merge(entry, as_read(pull, state), *merge_words(plan, branch))
        return ship(entry, plan, branch, state, str(merged.merged_as), because)


def decide(service: Service, version: str, because: Cause, why: str, to: str | None) -> HotfixPlan:
    """Read the releases, the tags and what lies between, and rank the fixes."""
    releases = read_releases(service)
    history = read_history(service, version, releases, to)
    faulty = parse_version(version, service.tag_prefix)
    stable = stable_before(service, faulty, history, releases, to)
    between = read_range(service, version, stable.version.tag if stable else None)
    return plan_hotfix(service, faulty, history, releases, between, because, why, to)


def ship(
    entry: Service, plan: HotfixPlan, branch: HotfixBranch, state: BranchState, merged: str, because: Cause
) -> str:
    """What follows the merge: tag, prove, publish, deploy, tell."""
    pushed = tag_hotfix(plan, merged)
    proof = prove_hotfix(plan, state, pushed)
    publish_release(hotfix_notes(plan, branch, pushed, proof))
    watch_pipeline(entry, pushed.tag)
    mark_patch(entry, pushed.tag, plan.faulty_tag)
    show(f"proof-{plan.service}-{plan.faulty_tag}", show_proof(plan, proof), pushed.said)

    wait_until_settled(entry, version=pushed.tag)
    wait_until_recovered(entry)

    return report_hotfix(entry, plan, branch, pushed, proof, because)


def report_hotfix(
    entry: Service, plan: HotfixPlan, branch: HotfixBranch, pushed: Pushed, proof: Proof, because: Cause
) -> str:
    """The post-mortem, develop and the news."""
    rollout, releases = read_rollout(entry), read_releases(entry)
    points = read_harm(watch_of(entry, rollout, plan.faulty_tag), read_clock())
    story = tell_story(because, rollout, mended(plan, branch.proposal), pushed, proof, releases, harm_of(points))
    synced = sync_hotfix(entry, plan, pushed)
    return report(story, points, synced)
