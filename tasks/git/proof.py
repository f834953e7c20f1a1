"""Prove a revert or a hotfix from a fresh clone, and before the night it is needed that we can write there."""

import shlex
from collections.abc import Sequence

from prefect import task

from recovery.bounded import shortened
from recovery.catalog import Service
from recovery.errors import Incomplete
from recovery.hotfixes import BranchState, HotfixPlan
from recovery.proofs import Line, Reading, difference, proof_of, prove_tags
from recovery.reverts import Proof, Pushed, RevertPlan
from tasks.git.branches import entries
from tasks.git.copies import between, ephemeral
from tasks.git.laws import beside, broken_laws
from tasks.git.opening import When
from tasks.git.plumbing import Repository
from tasks.git.ranges import changed
from tasks.git.reading import head_of, is_ancestor, tags_of
from tasks.git.revert import attempt, merge_trees, wanted_tree
from tasks.retry import PATIENTLY

Claims = Sequence[tuple[bool, str]]


@task(name="prove revert", task_run_name="prove {pushed.tag}", **PATIENTLY)
def prove_revert(plan: RevertPlan, pushed: Pushed) -> Proof:
    """Read everything again from a fresh clone and hold it against the plan's postconditions.

    Raises Incomplete naming the first one that does not hold.
    """
    with between(plan, when=When.FRESH) as bare:
        parents = bare.git("log", "-1", "--format=%P", "--end-of-options", pushed.commit).split()
        faulty = bare.listed.get(f"refs/tags/{plan.faulty_tag}")
        _hold(bare, pushed, "push", [
            (faulty == (plan.faulty_object or faulty), f"the tag {plan.faulty_tag} still is {plan.faulty_object}"),
            *_tags_hold(bare, plan, pushed),
            (parents == [pushed.parent, *pushed.others], f"{pushed.tag} has the first parent {pushed.parent}"),
            (_nothing_lost(bare, plan, pushed), f"{pushed.tag} is {plan.stable_tag} and what was kept"),
        ])  # fmt: skip
        return proof_of(plan, pushed, _read(bare, plan, pushed))


@task(name="prove hotfix", task_run_name="prove {pushed.tag}", **PATIENTLY)
def prove_hotfix(plan: HotfixPlan, state: BranchState, pushed: Pushed) -> Proof:
    """Hold a fresh clone against what a hotfix promises; `state` is the branch before its merge.

    A migration that later commits on main or people's own commits changed is theirs, and nothing is claimed of it.
    Raises Incomplete naming what does not hold.
    """
    with ephemeral(plan.repository, when=When.FRESH) as bare:
        _hold(bare, pushed, "merge", _tags_hold(bare, plan, pushed))
        theirs = {*changed(bare, plan.faulty_commit, pushed.parent), *(path for path, _ in state.brings)}
        for merged in pushed.others:  # the branch, as the merge has it
            theirs |= set(changed(bare, bare.git("merge-base", pushed.parent, merged), merged))
        kept = [path for path in plan.migrations if path not in theirs]
        lost = sorted(set(changed(bare, plan.faulty_commit, pushed.commit)) & set(kept))
        brought, missing = _contained(bare, state, pushed)
        _hold(bare, pushed, "merge", [
            (not lost, f"{shortened(lost)} is as {plan.faulty_tag} left it"),
            (not missing, f"{pushed.tag} has what {plan.branch} brought: {shortened(missing)}"),
        ])  # fmt: skip
        faulty = bare.listed[f"refs/tags/{plan.faulty_tag}"]
    lines = prove_tags(plan.main, (plan.faulty_tag, faulty, plan.faulty_commit), pushed)
    unchanged = (difference(plan.faulty_tag, pushed.tag, "", kept),) if kept else ()
    return Proof((*lines, *unchanged, *brought))


def check_repository(service: Service) -> str:
    """Read main and the tags, and try a push without effect; says what was seen."""
    with ephemeral(service.repository) as bare:
        head = head_of(bare, service.main)
        bare.git("push", "--quiet", "--dry-run", bare.url, f"{head}:refs/heads/{service.main}")
        return f"{service.main} is at {head[:12]}, {len(tags_of(bare))} tags; push is allowed"


def _tags_hold(bare: Repository, plan: RevertPlan | HotfixPlan, pushed: Pushed) -> Claims:
    tags = tags_of(bare)
    return (
        (tags.get(plan.faulty_tag) == plan.faulty_commit, f"{plan.faulty_tag} still is {plan.faulty_commit}"),
        (tags.get(pushed.tag) == pushed.commit, f"{pushed.tag} is {pushed.commit}"),
        (is_ancestor(bare, pushed.commit, head_of(bare, plan.main)), f"{pushed.tag} lies on {plan.main}"),
    )


def _hold(bare: Repository, pushed: Pushed, after: str, claims: Claims) -> None:
    for holds, claim in claims:
        if not holds:
            raise Incomplete(f"after the {after} it does not hold that {claim}: look at {bare.url}", (pushed.said,))


def _nothing_lost(bare: Repository, plan: RevertPlan, pushed: Pushed) -> bool:
    strange, by_hand = beside(bare, plan, pushed.parent, pushed.tree)
    if strange or pushed.tree != bare.tree_of(pushed.commit):
        return False
    return bool(by_hand) or not broken_laws(bare, plan, pushed.parent, pushed.tree)


def _read(bare: Repository, plan: RevertPlan, pushed: Pushed) -> Reading:
    """What the commands of the proof print, read by the same words; the laws have asked for most of it before."""
    stable, wanted, before = bare.tree_of(plan.stable_commit), wanted_tree(bare, plan), bare.tree_of(pushed.parent)
    again, _ = attempt(lambda: merge_trees(bare, wanted, pushed.tree, bare.tree_of(plan.faulty_commit)))
    changed, kept, by_hand = (
        bare.git("diff-tree", "-r", "--ignore-submodules=none", one, other)
        for one, other in ((before, pushed.tree), (wanted, pushed.tree), (again or before, before))
    )
    return Reading(stable, wanted, again, changed, kept, by_hand)


def _contained(bare: Repository, state: BranchState, pushed: Pushed) -> tuple[list[Line], list[str]]:
    """How it is seen that the tag has what the branch brought, and the paths in which it has not.

    A merge has the branch's commits in its history. A squash has its files, but where main changed them, too.
    """
    if state.head is None:
        return [], []
    # A branch that was squashed and deleted may be nowhere any more: that is an error of git's, and no "yes".
    status, _, _ = bare.answer("merge-base", "--is-ancestor", state.head, pushed.commit)
    if status == 0:
        return [(shlex.join(("git", "merge-base", pushed.tag, state.head)), state.head)], []
    mixed, there = set(changed(bare, state.fork, pushed.parent)), entries(bare, pushed.commit)
    sure = [(path, entry) for path, entry in state.brings if path not in mixed]
    missing = [path for path, entry in sure if there.get(path, "") != entry]
    return [_file(pushed.tag, path, entry) for path, entry in sure], missing


def _file(tag: str, path: str, entry: str) -> Line:
    """The command that shows which file a tag has at a path, or that it has none."""
    if entry:
        return shlex.join(("git", "rev-parse", f"{tag}:{path}")), entry.split()[2]
    return shlex.join(("git", "--literal-pathspecs", "ls-tree", tag, "--", path)), ""
