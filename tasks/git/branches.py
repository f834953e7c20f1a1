"""What a hotfix branch is to hold, and what stands on it."""

import tempfile
from pathlib import Path

from recovery.bounded import shortened
from recovery.errors import Refused
from recovery.hotfix_wording import commit_message
from recovery.hotfixes import BranchCommit, BranchState, HotfixBranch, HotfixPlan
from recovery.proposals import FixProposal
from tasks.git.commits import answers_to, brought_in_by
from tasks.git.fates import need_room
from tasks.git.plumbing import Repository, rows
from tasks.git.ranges import changed
from tasks.git.reading import MENDS, branch_of, head_of
from tasks.git.revert import Conflict, commit_tree, merge_trees
from tasks.settings import read_settings


def make(bare: Repository, plan: HotfixPlan, proposal: FixProposal) -> HotfixBranch:
    """The first proposal, from the chosen one on, that gives anything on top of main; else a commit of nothing."""
    head, conflicts = head_of(bare, plan.main), dict[str, None]()
    there = plan.proposals.index(proposal) if proposal in plan.proposals else len(plan.proposals)
    for each in (proposal, *plan.proposals[there + 1 :]):
        if each.after is None or each.before is None:
            break
        try:
            tree = _fixed(bare, plan, each, head)
        except Conflict as conflict:
            conflicts |= dict.fromkeys(conflict.paths)
            continue
        if tree != bare.tree_of(head):
            commit = commit_tree(bare, tree, (head,), commit_message(plan, each), plan.date)
            said = f"pushed {commit[:12]} to {plan.branch}: {each.title}" + _conflicting(tuple(conflicts))
            return HotfixBranch(plan.branch, commit, head, tree, said, tuple(conflicts), each)
    # GitHub opens no pull request of a branch that has no commit of its own, and people need one to be asked by.
    nothing, tree = plan.proposals[-1], bare.tree_of(head)
    commit = commit_tree(bare, tree, (head,), commit_message(plan, nothing), plan.date)
    said = f"pushed {commit[:12]} to {plan.branch} with no fix in it" + _conflicting(tuple(conflicts))
    return HotfixBranch(plan.branch, commit, head, tree, said, tuple(conflicts), nothing)


def _fixed(bare: Repository, plan: HotfixPlan, proposal: FixProposal, head: str) -> str:
    """The tree of main with the proposal's paths taken back; all else is none of the merge's. Raises Conflict."""
    after = bare.tree_of(str(proposal.after))
    with tempfile.TemporaryDirectory(dir=bare.path) as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        bare.git("read-tree", after, env=index)
        listed = bare.git("diff-tree", "-r", "-z", "--no-abbrev", "--no-renames", after, f"{proposal.before}^{{tree}}")
        parts, wanted = listed.split("\0"), set(proposal.paths)
        moves = [(row.split(), path) for row, path in zip(parts[::2], parts[1::2], strict=False) if path in wanted]
        given = "".join(f"{new} {blob}\t{path}\0" for (_, new, _, blob, _), path in moves)
        bare.git("update-index", "-z", "--index-info", env=index, given=given)
        wished = bare.git("write-tree", "--missing-ok", env=index)
    tree = merge_trees(bare, after, bare.tree_of(head), wished)
    moved = set(changed(bare, head, tree)) & set(plan.migrations)
    if moved:  # a rename could carry a change there
        raise Conflict(sorted(moved), tree)
    return tree


def standing(bare: Repository, plan: HotfixPlan) -> HotfixBranch | None:
    """What is there already, on main or on the branch; nothing is on one that stands at main's head."""
    state = state_of(bare, plan)
    answers = answers_to(bare, plan.faulty_tag, plan.faulty_commit, state.main)
    if answers:
        merged = brought_in_by(bare, answers[-1], state.main)
        titles = bare.git("log", "--no-walk", "--format=%s", *answers)
        made = next((each for each in plan.proposals if each.title in titles), None)
        said = f"skipped: {plan.faulty_tag} was already answered on {plan.main} ({merged[:12]})"
        parent, tree = bare.commit_of(f"{merged}^1"), bare.tree_of(merged)
        return HotfixBranch(plan.branch, merged, parent, tree, said, (), made, merged)
    if state.head in (None, state.main):
        return None
    ours = [commit for commit in state.ahead if commit.ours]
    named = {each.title: each for each in plan.proposals}
    made = named.get(ours[-1].title) if ours else None if state.ahead else plan.proposals[-1]
    said = f"skipped: {plan.branch} is there already ({state.head[:12]})"
    if state.own:
        said += f", with {shortened([str(commit) for commit in state.own], 3)}"
    return HotfixBranch(plan.branch, state.head, state.fork, bare.tree_of(state.head), said, (), made)


def state_of(bare: Repository, plan: HotfixPlan) -> BranchState:
    """What stands on the branch: commits of ours carry our trailer and our address."""
    main, head = head_of(bare, plan.main), branch_of(bare, plan.branch)
    if head is None:
        need_room(bare, plan.branch)
        return BranchState(plan.branch, None, main, main)
    form = f"--format=%H%x00%an%x00%ae%x00%(trailers:key={MENDS},valueonly,separator=%x2C)%x00%s"
    listed = [line.split("\0", 4) for line in rows(bare.git("log", form, f"{main}..{head}"))]
    us, mends = read_settings().author_email, f"{plan.faulty_tag} {plan.faulty_commit}"
    ahead = tuple(
        BranchCommit(each, title, who, email == us and mends == said) for each, who, email, said, title in listed
    )
    fork = _fork(bare, plan, main, head)
    brought, there = changed(bare, fork, head), entries(bare, head)
    return BranchState(plan.branch, head, main, fork, ahead, tuple((path, there.get(path, "")) for path in brought))


def entries(bare: Repository, commit: str) -> dict[str, str]:
    """Every path of a commit and what `git ls-tree` says of it: mode, type, object."""
    listed = (row.partition("\t") for row in bare.git("ls-tree", "-r", "-z", "--end-of-options", commit).split("\0"))
    return {path: entry for entry, _, path in listed if path}


def _conflicting(paths: tuple[str, ...]) -> str:
    return f"; later commits touch the same lines of {shortened(paths)}" if paths else ""


def _fork(bare: Repository, plan: HotfixPlan, main: str, head: str) -> str:
    """Where a branch left main."""
    status, out, _ = bare.answer("merge-base", main, head)
    if status != 0:
        raise Refused(f"{plan.branch} has nothing in common with {plan.main}: rename or delete it, and try again")
    return out
