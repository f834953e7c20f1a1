"""Put a hotfix on a branch of its own, read what people made of it, tag its merge."""

from prefect import get_run_logger, task

from recovery.errors import Refused
from recovery.hotfix_wording import trailers
from recovery.hotfixes import BranchState, HotfixBranch, HotfixPlan
from recovery.proposals import FixProposal
from recovery.reverts import Pushed
from recovery.tags import newest, occupied
from recovery.versions import next_patch, parse_version
from tasks.credentials import named
from tasks.git.attributes import heeding
from tasks.git.branches import make, standing, state_of
from tasks.git.commits import commits_of
from tasks.git.copies import ephemeral
from tasks.git.fates import MOST_BURNED, Lost, all_burned, is_burned, lacks_workflows, lost_by, refusal
from tasks.git.newer import refuse_newer
from tasks.git.plumbing import Repository, failure
from tasks.git.reading import branch_of, head_of, is_ancestor, mends_of, tags_of
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
            _tag_stays(plan, tags_of(bare))
            found = standing(bare, plan)
            if found is not None:
                return _told(found)
            made = make(heeding(bare, branch_of(bare, plan.main)), plan, proposal)
            if _push(bare, plan, f"refs/heads/{plan.branch}", made.commit, branch_of(bare, plan.branch)) is None:
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
            tags = tags_of(bare)
            _tag_stays(plan, tags)
            if not is_ancestor(bare, merged_commit, head_of(bare, plan.main)):
                raise Refused(f"{merged_commit[:12]} is not on {plan.main} of {plan.repository}: merge it there first")
            if is_ancestor(bare, merged_commit, plan.faulty_commit):
                raise Refused(
                    f"{merged_commit[:12]} is no newer than {plan.faulty_tag}: name the merge of {plan.branch}"
                )
            found = _tagged(bare, plan, tags, merged_commit)
            if found is not None:
                said = f"skipped: {plan.faulty_tag} was already mended as {found} ({tags[found][:12]})"
                return _pushed(bare, plan, tags[found], found, said)
            refuse_newer(bare, plan, tags)
            patch = _free(plan, {*tags, *burned})
            message = f"{plan.service} {patch}: {plan.faulty_tag} mended\n\n{trailers(plan)}".rstrip()
            tag = tag_commit(bare, patch, merged_commit, message, plan.date)
            fate = _push(bare, plan, f"refs/tags/{patch}", tag)
            if fate is None:
                return _pushed(bare, plan, merged_commit, patch, f"tagged {merged_commit[:12]} of {plan.main} {patch}")
        if fate is Lost.BURNED:
            burned.add(patch)
        if len(burned) == MOST_BURNED:
            raise all_burned(bare.url, burned)
        moved += fate is Lost.MOVED
    raise Refused(f"the next patch number of {plan.repository} was taken {TRIES} times while we pushed: try again")


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


def _tag_stays(plan: HotfixPlan, tags: dict[str, str]) -> None:
    if tags.get(plan.faulty_tag) != plan.faulty_commit:
        raise Refused(f"{plan.faulty_tag} of {plan.repository} was moved meanwhile: put it back where it was and retry")


def _push(bare: Repository, plan: HotfixPlan, ref: str, made: str, there: str | None = None) -> Lost | None:
    """Put a ref where nothing but what we saw may be; says what stood against it. Raises Refused where we may not.

    Nothing is pushed either where the faulty tag is not what it was when we looked: see `push_refs`.
    """
    faulty = f"refs/tags/{plan.faulty_tag}"
    leases = (f"--force-with-lease={ref}:{there or ''}", f"--force-with-lease={faulty}:{bare.listed[faulty]}")
    specs = (f"{made}:{ref}", f"{bare.listed[faulty]}:{faulty}")
    status, out, err = bare.answer("push", "--atomic", "--porcelain", *leases, bare.url, *specs)
    told = " ".join(f"{out}\n{err}".split())
    if status == 0:
        return None
    if is_burned(told, ref.removeprefix("refs/tags/")):
        return Lost.BURNED
    if lacks_workflows(told):
        raise refusal(bare, ref.removeprefix("refs/heads/"), status, told)
    lost = lost_by(told)
    if lost is Lost.PROTECTED:
        raise Refused(f"{bare.url} does not let us create {ref}: {told[-300:]}; check {named()} and the rules")
    if lost:
        return lost
    raise failure(bare.url, "push", status, told)


def _told(branch: HotfixBranch) -> HotfixBranch:
    get_run_logger().info(branch.said)
    return branch
