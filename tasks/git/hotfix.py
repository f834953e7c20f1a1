"""Put a hotfix on a branch of its own, read what people made of it, tag its merge, prove it from a fresh clone."""

import shlex

from prefect import get_run_logger, task

from recovery.errors import Incomplete, Refused
from recovery.hotfix_wording import trailers
from recovery.hotfixes import BranchState, HotfixBranch, HotfixPlan
from recovery.proposals import FixProposal
from recovery.reverts import Proof, Pushed, newest, occupied, shortened
from recovery.versions import next_patch, parse_version
from tasks.git.attributes import heeding
from tasks.git.branches import entries, make, standing, state_of
from tasks.git.copies import ephemeral
from tasks.git.fates import MOST_BURNED, Lost, all_burned, is_burned, lost_by
from tasks.git.plumbing import Repository, failure
from tasks.git.ranges import changed
from tasks.git.reading import branch_of, commits_of, head_of, is_ancestor, mends_of, tags_of
from tasks.git.revert import tag_commit
from tasks.retry import LOOKING_PATIENTLY, PATIENTLY

TRIES = 5  # that a branch or a tag may come into being between our look and our push


@task(name="push hotfix", task_run_name="push {plan.branch}", **PATIENTLY)
def push_hotfix(plan: HotfixPlan, proposal: FixProposal) -> HotfixBranch:
    """Put a proposal on the hotfix branch, on top of main; where it conflicts the next one, in the end nothing.

    Looks first: a branch that is there stays as it is, with whatever people have pushed; so does a main that has
    the fix already. Main itself is not touched.
    """
    for _ in range(TRIES):
        with ephemeral(plan.repository) as bare:
            found = standing(bare, plan)
            if found is not None:
                return _told(found)
            made = make(heeding(bare, plan.main), plan, proposal)
            if _push(bare, f"refs/heads/{plan.branch}", made.commit, branch_of(bare, plan.branch)) is None:
                return _told(made)
    raise Refused(f"{plan.branch} of {plan.repository} came and went {TRIES} times while we pushed: try again")


@task(name="read hotfix branch", task_run_name="read {plan.branch}", **LOOKING_PATIENTLY)
def read_branch(plan: HotfixPlan) -> BranchState:
    """Read what stands on the hotfix branch now; best before the merge: a squashed branch is gone afterwards."""
    with ephemeral(plan.repository) as bare:
        return state_of(bare, plan)


@task(name="read what was answered", task_run_name="read {plan.branch} as it is answered", **PATIENTLY)
def read_answered(plan: HotfixPlan, asked: int) -> BranchState:
    """The same at an answer, kept with its number: a run that goes on meets the same objections again."""
    return read_branch.fn(plan)


@task(name="tag hotfix", task_run_name="tag the merge of {plan.branch}", **PATIENTLY)
def tag_hotfix(plan: HotfixPlan, merged_commit: str) -> Pushed:
    """Put the patch tag on the commit that GitHub made on main.

    Looks first whether a tag says that it mends the release, or a person has tagged the merge; takes the next
    number when the tag was taken meanwhile. Raises Refused when the commit is not on main, or not after the release.
    """
    burned: set[str] = set()
    moved = 0
    while moved < TRIES:
        with ephemeral(plan.repository) as bare:
            if not is_ancestor(bare, merged_commit, head_of(bare, plan.main)):
                raise Refused(f"{merged_commit[:12]} is not on {plan.main} of {plan.repository}: merge it there first")
            if is_ancestor(bare, merged_commit, plan.faulty_commit):
                raise Refused(
                    f"{merged_commit[:12]} is no newer than {plan.faulty_tag}: name the merge of {plan.branch}"
                )
            tags = tags_of(bare)
            found = _tagged(bare, plan, tags, merged_commit)
            if found is not None:
                said = f"skipped: {plan.faulty_tag} was already mended as {found} ({tags[found][:12]})"
                return _pushed(bare, plan, tags[found], found, said)
            patch = _free(plan, {*tags, *burned})
            message = f"{plan.service} {patch}: {plan.faulty_tag} mended\n\n{trailers(plan)}".rstrip()
            tag = tag_commit(bare, patch, merged_commit, message, plan.date)
            fate = _push(bare, f"refs/tags/{patch}", tag)
            if fate is None:
                return _pushed(bare, plan, merged_commit, patch, f"tagged {merged_commit[:12]} of {plan.main} {patch}")
        if fate is Lost.BURNED:
            burned.add(patch)
        if len(burned) == MOST_BURNED:
            raise all_burned(bare.url, burned)
        moved += fate is Lost.MOVED
    raise Refused(f"the next patch number of {plan.repository} was taken {TRIES} times while we pushed: try again")


@task(name="prove hotfix", task_run_name="prove {pushed.tag}", **PATIENTLY)
def prove_hotfix(plan: HotfixPlan, state: BranchState, pushed: Pushed) -> Proof:
    """Hold the remote, read afresh, against what a hotfix promises; `state` is the branch before its merge.

    A migration that later commits on main or people's own commits changed is theirs, and nothing is claimed of it.
    Raises Incomplete naming what does not hold.
    """
    with ephemeral(plan.repository) as bare:
        tags = tags_of(bare)
        theirs = {*changed(bare, plan.faulty_commit, pushed.parent), *(path for path, _ in state.brings)}
        for merged in pushed.others:  # the branch, as the merge has it
            theirs |= set(changed(bare, bare.git("merge-base", pushed.parent, merged), merged))
        kept = [path for path in plan.migrations if path not in theirs]
        lost = sorted(set(changed(bare, plan.faulty_commit, pushed.commit)) & set(kept))
        brought, missing = _contained(bare, state, pushed)
        claims = [
            (tags.get(plan.faulty_tag) == plan.faulty_commit, f"{plan.faulty_tag} still is {plan.faulty_commit}"),
            (tags.get(pushed.tag) == pushed.commit, f"{pushed.tag} is {pushed.commit}"),
            (is_ancestor(bare, pushed.commit, head_of(bare, plan.main)), f"{pushed.tag} lies on {plan.main}"),
            (not lost, f"{shortened(lost)} is as {plan.faulty_tag} left it"),
            (not missing, f"{pushed.tag} has what {plan.branch} brought: {shortened(missing)}"),
        ]
    for holds, claim in claims:
        if not holds:
            raise Incomplete(f"after the merge it does not hold that {claim}: look at {bare.url}", (pushed.said,))
    lines = [
        (f"git rev-parse {plan.faulty_tag}^{{commit}}", plan.faulty_commit),
        (f"git rev-parse {pushed.tag}^{{commit}}", pushed.commit),
        (f"git log --format=%H origin/{plan.main}..{pushed.tag}", ""),
    ]
    if kept:
        diff = ("git", "--literal-pathspecs", "diff", "--stat", plan.faulty_tag, pushed.tag, "--", *kept)
        lines.append((shlex.join(diff), ""))
    return Proof((*lines, *brought))


def _contained(bare: Repository, state: BranchState, pushed: Pushed) -> tuple[list[tuple[str, str]], list[str]]:
    """How it is seen that the tag has what the branch brought, and the paths in which it has not.

    A merge has the branch's commits in its history. A squash has its files, but where main changed them, too.
    """
    if state.head is None:
        return [], []
    # A branch that was squashed and deleted may be nowhere any more: that is an error of git's, and no "yes".
    status, _, _ = bare.answer("merge-base", "--is-ancestor", state.head, pushed.commit)
    if status == 0:
        return [(f"git log --format=%H {pushed.tag}..{state.head}", "")], []
    mixed, there = set(changed(bare, state.fork, pushed.parent)), entries(bare, pushed.commit)
    sure = [(path, entry) for path, entry in state.brings if path not in mixed]
    missing = [path for path, entry in sure if there.get(path, "") != entry]
    return [_file(pushed.tag, path, entry) for path, entry in sure], missing


def _file(tag: str, path: str, entry: str) -> tuple[str, str]:
    """The command that shows which file a tag has at a path, or that it has none."""
    if entry:
        return shlex.join(("git", "rev-parse", f"{tag}:{path}")), entry.split()[2]
    return shlex.join(("git", "--literal-pathspecs", "ls-tree", tag, "--", path)), ""


def _tagged(bare: Repository, plan: HotfixPlan, tags: dict[str, str], merged: str) -> str | None:
    """The tag that mends the release already: it says so, or a person put it on the merge."""
    said = mends_of(bare, tags, plan.faulty_tag, plan.faulty_commit)
    by_hand = [tag for tag, commit in tags.items() if commit == merged != plan.faulty_commit]
    return newest(said, plan.tag_prefix) or newest(by_hand, plan.tag_prefix)


def _pushed(bare: Repository, plan: HotfixPlan, commit: str, tag: str, said: str) -> Pushed:
    get_run_logger().info(said)
    parent, *others = bare.git("log", "-1", "--format=%P", "--end-of-options", commit).split()
    kept = commits_of(bare, plan.faulty_commit, parent)
    return Pushed(commit, parent, bare.tree_of(commit), tag, kept, said, tuple(others))


def _free(plan: HotfixPlan, taken: set[str]) -> str:
    """The plan's number, or the next free one above it."""
    names = occupied(taken)
    planned = parse_version(plan.patch_tag, plan.tag_prefix)
    return next_patch(planned, names).tag if plan.patch_tag in names else plan.patch_tag


def _push(bare: Repository, ref: str, made: str, there: str | None = None) -> Lost | None:
    """Put a ref where nothing but what we saw may be; says what stood against it. Raises Refused where we may not."""
    lease = f"--force-with-lease={ref}:{there or ''}"
    status, out, err = bare.answer("push", "--porcelain", lease, bare.url, f"{made}:{ref}")
    told = " ".join(f"{out}\n{err}".split())
    if status == 0:
        return None
    if is_burned(told, ref.removeprefix("refs/tags/")):
        return Lost.BURNED
    lost = lost_by(told)
    if lost is Lost.PROTECTED:
        raise Refused(
            f"{bare.url} does not let us create {ref}: {told[-300:]}; check RIPCORD_GITHUB_TOKEN and the rules"
        )
    if lost:
        return lost
    raise failure(bare.url, "push", status, told)


def _told(branch: HotfixBranch) -> HotfixBranch:
    get_run_logger().info(branch.said)
    return branch
