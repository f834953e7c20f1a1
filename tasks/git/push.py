"""Put the revert on `main` and the patch tag on it, in one atomic push; tag what a pull request merged."""

from dataclasses import replace

from prefect import get_run_logger, task

from recovery.bounded import shortened
from recovery.errors import Incomplete, Refused
from recovery.reverts import Preview, Pushed, RevertPlan
from recovery.tags import occupied, oldest
from recovery.versions import Version, next_patch, parse_version
from recovery.ways import Decision, Way
from recovery.wording import revert_message
from tasks.git.commits import commits_of, landed_as, patches_of
from tasks.git.copies import between
from tasks.git.fates import MOST_BURNED, Lost, all_burned, push_refs
from tasks.git.laws import beside, preview
from tasks.git.newer import refuse_newer
from tasks.git.opening import When
from tasks.git.plumbing import THERE, Repository
from tasks.git.reading import head_of, is_ancestor, names_of_tags, tags_of
from tasks.git.revert import commit_revert, tag_commit
from tasks.retry import LOOKING_PATIENTLY, PATIENTLY

TRIES = 5  # that main may move between our fetch and our push


@task(name="push revert", task_run_name="push {plan.patch_tag}", **PATIENTLY)
def push_revert(plan: RevertPlan, decision: Decision) -> Pushed | None:
    """Put the revert commit on main and the patch tag on it, both or neither; None where main takes no push.

    Looks first whether a commit on main already says so, and tags it where only the tag is missing; takes the next
    number when the tag was taken meanwhile or is burned; starts afresh when main moved, at most five times.
    The first look may be the preview's, a moment ago: whatever changed since, the Git host declines the push.
    Raises Refused on a conflict or a missing right.
    """
    burned: set[str] = set()
    moved = 0
    when = When.A_MOMENT_AGO if decision.way is Way.PUSH else When.ASKED
    while moved < TRIES:
        with between(plan, when=when) as bare:
            there = look(bare, plan, burned)
            if isinstance(there, Pushed) or (there is None and decision.way is Way.PULL_REQUEST):
                return there
            if there is None and decision.way is Way.TAG:
                raise Refused(
                    f"{plan.landed[:12]} is not on {plan.main} of {plan.repository} any more, nothing was pushed: retry"
                )
            lost = _push_once(bare, plan, burned) if there is None else there
        if isinstance(lost, Pushed):
            return lost
        if lost is Lost.PROTECTED:
            get_run_logger().info(f"{lost.value}: going by a pull request")
            return None
        get_run_logger().info(f"{lost.value}: starting afresh")
        moved, when = moved + (lost is Lost.MOVED), When.ASKED
    raise Refused(f"{plan.main} of {plan.repository} moved {TRIES} times while we pushed: freeze merges and retry")


@task(name="tag merged", task_run_name="tag {merged} with {plan.patch_tag}", **PATIENTLY)
def tag_merged(plan: RevertPlan, merged: str) -> Pushed:
    """Put the patch tag on the commit by which the pull request came to main.

    Raises Incomplete when that commit's tree is not what the revert must give, Refused when main has it no more:
    nothing is tagged then.
    """
    burned: set[str] = set()
    moved = 0
    while moved < TRIES:
        with between(plan) as bare:
            pushed = look(bare, plan, burned, merged)
        if isinstance(pushed, Pushed):
            return pushed
        moved += pushed is not Lost.BURNED
    raise Incomplete(
        f"no patch tag could be put on {merged[:12]} of {plan.repository}: tag it {plan.patch_tag} by hand",
        (f"merged {plan.branch} as {merged[:12]}",),
    )


@task(name="read patch", task_run_name="read how {plan.faulty_tag} was taken out", **LOOKING_PATIENTLY)
def read_pushed(plan: RevertPlan) -> Pushed:
    """Read what a revert left on the remote. Raises Refused when the release was not taken out yet."""
    if plan.done_as is None:
        raise Refused(f"{plan.faulty_tag} is not taken out of {plan.main} yet: run revert_release first")
    with between(plan) as bare:
        return _read_back(bare, plan, plan.done_as)


def look(bare: Repository, plan: RevertPlan, burned: set[str], merged: str | None = None) -> Pushed | Lost | None:
    """What stands on the remote already: the tagged revert, or one on main whose tag is missing, which is put there.

    None where nothing was done yet. Raises Refused when the faulty tag is not what it was.
    """
    tags, head = tags_of(bare), head_of(bare, plan.main)
    if tags.get(plan.faulty_tag) != plan.faulty_commit:
        raise Refused(f"{plan.faulty_tag} of {plan.repository} was moved meanwhile: put it back where it was and retry")
    done = oldest(patches_of(bare, tags, _faulty(plan), plan.faulty_commit, head), plan.tag_prefix)
    if done:
        return _read_back(bare, plan, done)
    landed = landed_as(bare, plan.faulty_tag, plan.faulty_commit, head)
    refuse_newer(bare, plan, tags)
    if merged and not is_ancestor(bare, merged, head):
        raise Refused(f"{merged[:12]} is not on {plan.main} of {plan.repository}: look who moved it back, then retry")
    commit = merged or landed
    return _tag_only(bare, plan, commit, burned) if commit else None


def _push_once(bare: Repository, plan: RevertPlan, burned: set[str]) -> Pushed | Lost:
    head = head_of(bare, plan.main)
    seen = preview(bare, plan, head)
    commit = make_commit(bare, plan, seen)
    patch = _free(plan, {*names_of_tags(bare), *burned})
    tag = _tag(bare, plan, patch, commit)
    lost = push_refs(bare, plan, patch, f"{commit}:refs/heads/{plan.main}", f"{tag}:refs/tags/{patch}")
    if lost:
        return _remember(bare, lost, patch, burned)
    said = f"pushed {commit[:12]} to {plan.main} and tagged it {patch}"
    return Pushed(commit, head, str(seen.tree), patch, commits_of(bare, plan.faulty_commit, head), said)


def _tag_only(bare: Repository, plan: RevertPlan, commit: str, burned: set[str]) -> Pushed | Lost:
    strange, _ = beside(bare, plan, bare.commit_of(f"{commit}^1"), bare.tree_of(commit))
    if strange:
        raise Incomplete(
            f"{commit[:12]} on {plan.main} of {plan.repository} is not what taking {plan.faulty_tag} out must give: "
            f"something else came in with it, look at {shortened(strange)} before a tag deploys it",
            (f"{commit[:12]} is on {plan.main}",),
        )
    patch = _free(plan, {*names_of_tags(bare), *burned})
    lost = push_refs(bare, plan, patch, f"{_tag(bare, plan, patch, commit)}:refs/tags/{patch}")
    if lost:
        return _remember(bare, lost, patch, burned)
    return _pushed(bare, plan, commit, patch, f"tagged {commit[:12]} on {plan.main} {patch}")


def make_commit(bare: Repository, plan: RevertPlan, seen: Preview) -> str:
    """The revert commit on the head of main that was seen. Raises Refused where it cannot be made, or not cleanly."""
    if seen.tree is None:
        raise Refused(
            f"{plan.faulty_tag} cannot be taken out of {plan.main} mechanically, later commits touch the same lines "
            f"of {shortened(seen.conflicts)}: revert by hand or prepare a hotfix"
        )
    if seen.broken:
        raise Refused(
            f"{plan.faulty_tag} cannot be taken out of {plan.main} cleanly, {'; '.join(seen.broken)}: "
            "revert by hand or prepare a hotfix"
        )
    kept = commits_of(bare, plan.faulty_commit, seen.head)  # more than it was planned with, where main moved on
    return commit_revert(bare, plan, seen.head, seen.tree, revert_message(replace(plan, kept=kept), seen))


def _read_back(bare: Repository, plan: RevertPlan, tag: str) -> Pushed:
    commit = bare.commit_of(f"{THERE}/tags/{tag}")
    said = f"skipped: {plan.faulty_tag} was already taken out as {tag} ({commit[:12]})"
    return _pushed(bare, plan, commit, tag, said)


def _pushed(bare: Repository, plan: RevertPlan, commit: str, tag: str, said: str) -> Pushed:
    parent, *others = bare.git("log", "-1", "--format=%P", "--end-of-options", commit).split()
    kept, tree = commits_of(bare, plan.faulty_commit, parent), bare.tree_of(commit)
    _, by_hand = beside(bare, plan, parent, tree)
    if by_hand:
        said += f"; people decided what {shortened(by_hand)} became"
    return Pushed(commit, parent, tree, tag, kept, said, tuple(others), by_hand)


def _tag(bare: Repository, plan: RevertPlan, tag: str, commit: str) -> str:
    message = f"{plan.service} {tag}: {plan.faulty_tag} taken back, restores {plan.stable_tag}"
    return tag_commit(bare, tag, commit, message, plan.date)


def _remember(bare: Repository, lost: Lost, patch: str, burned: set[str]) -> Lost:
    if lost is Lost.BURNED:
        burned.add(patch)
    if len(burned) == MOST_BURNED:
        raise all_burned(bare.url, burned)
    return lost


def _free(plan: RevertPlan, taken: set[str]) -> str:
    """The plan's number, or the next free one above it: those below were taken when it was made, by releases too."""
    names = occupied(taken)
    planned = parse_version(plan.patch_tag, plan.tag_prefix)
    return next_patch(planned, names).tag if plan.patch_tag in names else plan.patch_tag


def _faulty(plan: RevertPlan) -> Version:
    return parse_version(plan.faulty_tag, plan.tag_prefix)
