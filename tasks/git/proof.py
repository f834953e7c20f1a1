"""Prove a revert from a fresh clone, and that the repository can be written before the night it is needed."""

from prefect import task

from recovery.catalog import Service
from recovery.errors import Incomplete
from recovery.reverts import Proof, Pushed, RevertPlan
from recovery.wording import proof_of
from tasks.git.copies import between, ephemeral
from tasks.git.laws import broken_laws
from tasks.git.opening import When
from tasks.git.plumbing import THERE, Repository
from tasks.git.reading import head_of, is_ancestor, tags_of
from tasks.git.revert import Conflict, merge_out
from tasks.retry import PATIENTLY


@task(name="prove revert", task_run_name="prove {pushed.tag}", **PATIENTLY)
def prove_revert(plan: RevertPlan, pushed: Pushed) -> Proof:
    """Read everything again from a fresh clone and hold it against the plan's postconditions.

    Raises Incomplete naming the first one that does not hold.
    """
    with between(plan, when=When.FRESH) as bare:
        tags = tags_of(bare)
        names = (plan.stable_tag, pushed.tag)
        trees = {f"{tag}^{{tree}}": bare.tree_of(f"{THERE}/tags/{tag}") for tag in names}
        head = head_of(bare, plan.main)
        parents = bare.git("log", "-1", "--format=%P", "--end-of-options", pushed.commit).split()
        faulty = bare.listed.get(f"refs/tags/{plan.faulty_tag}")
        claims = [
            (faulty == (plan.faulty_object or faulty), f"the tag {plan.faulty_tag} still is {plan.faulty_object}"),
            (tags.get(plan.faulty_tag) == plan.faulty_commit, f"{plan.faulty_tag} still is {plan.faulty_commit}"),
            (tags.get(pushed.tag) == pushed.commit, f"{pushed.tag} is {pushed.commit}"),
            (is_ancestor(bare, pushed.commit, head), f"{pushed.tag} lies on {plan.main}"),
            (parents == [pushed.parent, *pushed.others], f"{pushed.tag} has the first parent {pushed.parent}"),
            (_nothing_lost(bare, plan, pushed), f"{pushed.tag} is {plan.stable_tag} and what was kept"),
        ]
        touched = {
            "back": bare.git("diff", "--no-renames", "--name-only", pushed.parent, pushed.commit).splitlines(),
            "kept": bare.git(
                "diff", "--no-renames", "--name-only", plan.stable_commit, pushed.commit, "--", *plan.paths
            ).splitlines(),
        }
    for holds, claim in claims:
        if not holds:
            raise Incomplete(f"after the push it does not hold that {claim}: look at {bare.url}", (pushed.said,))
    return proof_of(plan, pushed, trees, touched)


def check_repository(service: Service) -> str:
    """Read main and the tags, and try a push without effect; says what was seen."""
    with ephemeral(service.repository) as bare:
        head = head_of(bare, service.main)
        bare.git("push", "--quiet", "--dry-run", bare.url, f"{head}:refs/heads/{service.main}")
        return f"{service.main} is at {head[:12]}, {len(tags_of(bare))} tags; push is allowed"


def _nothing_lost(bare: Repository, plan: RevertPlan, pushed: Pushed) -> bool:
    try:
        expected = merge_out(bare, plan, pushed.parent)
    except Conflict:
        return False
    return expected == pushed.tree == bare.tree_of(pushed.commit) and not broken_laws(
        bare, plan, pushed.parent, pushed.tree
    )
