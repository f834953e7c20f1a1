"""Bring develop along after a revert; the next release is tried in memory before anything is pushed."""

from collections.abc import Mapping

from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from recovery.hotfixes import HotfixPlan
from recovery.reverts import Pushed, RevertPlan
from recovery.sync_wording import propose_by_hand, propose_merged, propose_reland
from recovery.syncs import Objection, Reland, Synced, SyncPlan, objection_to, plan_sync, said_of_push
from tasks.credentials import named
from tasks.git.attributes import heeding
from tasks.git.commits import answers_to
from tasks.git.copies import ephemeral
from tasks.git.fates import Lost, lacks_workflows, lost_by, need_room, refusal
from tasks.git.plumbing import Repository
from tasks.git.reading import branch_of, head_of, is_ancestor
from tasks.git.rehearsal import Made, rehearse, reland_on
from tasks.retry import LOOKING_AGAIN, PATIENTLY

TRIES = 5  # that develop may move between our fetch and our push


@task(name="preview sync", task_run_name="preview the sync of {service.develop}", **LOOKING_AGAIN)
def preview_sync(service: Service, plan: RevertPlan, pushed: Pushed) -> str:
    """Try the synchronisation and the next release in memory, changing nothing, and say how it would go."""
    if service.develop is None:
        return _no_develop(service)
    with ephemeral(service.repository) as copy:
        bare = heeding(copy, branch_of(copy, service.develop))
        sync = _planned(bare, service.develop, plan, pushed)
        looked = _look(bare, sync)
        if isinstance(looked, Synced):
            return looked.said
        rehearsal, made = rehearse(bare, sync, looked, head_of(bare, plan.main))
        objection = objection_to(rehearsal, sync)
        if objection:
            return f"{sync.develop} would be left to people: {objection}"
        relands = f", and {sync.relands_on} would be made" if made and made.reland else ""
        return f"{sync.patch} merges into {sync.develop}{relands}; the next release was tried and lacks nothing"


@task(name="sync develop", task_run_name="sync {service.develop} of {service.repository}", **PATIENTLY)
def sync_develop(service: Service, plan: RevertPlan, pushed: Pushed) -> Synced:
    """Merge the patch release into develop by a real merge, and put the faulty one on a branch to be mended.

    Never forces. What conflicts, what would lose work at the next release and what a protection declines is left
    to people: a branch waits, and a pull request is proposed. Starts afresh when develop moved, at most five times.
    """
    return _sync(service, plan, pushed)


@task(name="sync hotfix", task_run_name="sync {service.develop} of {service.repository}", **PATIENTLY)
def sync_hotfix(service: Service, plan: HotfixPlan, pushed: Pushed) -> Synced:
    """Merge a hotfix into develop in the same manner; nothing is to be brought back."""
    return _sync(service, plan, pushed)


def _sync(service: Service, plan: RevertPlan | HotfixPlan, pushed: Pushed) -> Synced:
    if service.develop is None:
        return Synced(_no_develop(service))
    for _ in range(TRIES):
        with ephemeral(service.repository) as copy:
            bare = heeding(copy, branch_of(copy, service.develop))
            synced = _sync_once(bare, _planned(bare, service.develop, plan, pushed))
        if synced is not None:
            get_run_logger().info(synced.said)
            return synced
        get_run_logger().info(f"{service.develop} moved meanwhile: starting afresh")
    raise Refused(
        f"{service.develop} of {service.repository} moved {TRIES} times while we pushed: freeze merges and retry"
    )


def _no_develop(service: Service) -> str:
    return f"skipped: {service.name} has no develop branch"


def _planned(bare: Repository, develop: str, plan: RevertPlan | HotfixPlan, pushed: Pushed) -> SyncPlan:
    """What is followed; whether it reverts or mends, the commits that came with the patch release say."""
    if not is_ancestor(bare, pushed.commit, head_of(bare, plan.main)):
        raise Refused(
            f"{pushed.tag} ({pushed.commit[:12]}) is not on {plan.main} of {bare.url}: run revert_release first"
        )
    reverts = answers_to(bare, plan.faulty_tag, plan.faulty_commit, pushed.commit, ("Reverts-Release",))
    new = any(not is_ancestor(bare, each, pushed.parent) for each in reverts)
    return plan_sync(develop, plan, pushed, reverts=new)


def _look(bare: Repository, sync: SyncPlan) -> str | Synced:
    """The commit of develop, or what there is to say where nothing is to be done."""
    develop = branch_of(bare, sync.develop)
    if develop is None:
        return Synced(f"skipped: {sync.repository} has no branch {sync.develop}")
    if not is_ancestor(bare, sync.pushed.commit, develop):
        if not bare.answer("merge-base", develop, sync.pushed.commit)[1]:
            raise Refused(f"{sync.develop} and {sync.main} of {bare.url} share no commit: merge them by hand")
        return develop
    said = f"skipped: {sync.develop} already contains {sync.patch}"
    if reland_on(bare, sync, develop):
        return Synced(f"{said}, and {sync.faulty_tag} again on top of it", develop)
    tip = branch_of(bare, sync.relands_on)
    return _with_reland(sync, said, develop, reland_on(bare, sync, tip) if tip else None)


def _sync_once(bare: Repository, sync: SyncPlan) -> Synced | None:
    looked = _look(bare, sync)
    if isinstance(looked, Synced):
        return looked
    rehearsal, made = rehearse(bare, sync, looked, head_of(bare, sync.main))
    objection = objection_to(rehearsal, sync)
    if objection:
        return _leave(bare, sync, looked, objection)
    if made is None:
        raise AssertionError("a rehearsal that nothing speaks against has made its objects")
    tip = branch_of(bare, sync.relands_on)
    reland = reland_on(bare, sync, tip) if tip else made.reland
    fresh = {sync.relands_on: (reland.commit, "")} if reland and not tip else {}
    lost, told = _offer(bare, {sync.develop: (made.develop, looked), **fresh})
    if lost is None:
        said = said_of_push(sync, made.how, made.develop, bool(reland), bool(tip), rehearsal.remains)
        _read_back(bare, sync, made, said)
        return _with_reland(sync, said, made.develop, reland)
    return _ask(bare, sync, made, reland, fresh, told) if lost is Lost.PROTECTED else None


def _with_reland(sync: SyncPlan, said: str, develop: str, reland: Reland | None) -> Synced:
    if reland is None:
        return Synced(said, develop)
    return Synced(said, develop, reland.commit, (propose_reland(sync, reland),))


def _leave(bare: Repository, sync: SyncPlan, develop: str, objection: Objection) -> Synced | None:
    """Leave develop as it is: the patch release waits on a branch for people to merge it."""
    lost, told = _offer(bare, _waiting(bare, sync, sync.pushed.commit))
    if lost is Lost.PROTECTED:
        raise Refused(f"{sync.develop} is left to people, {objection}; and {bare.url} does not take a branch: {told}")
    said = f"left {sync.develop} to people: {objection}; {sync.waits_on} waits to be merged by hand"
    return Synced(said, proposals=(propose_by_hand(sync, objection, develop),)) if lost is None else None


def _ask(
    bare: Repository,
    sync: SyncPlan,
    made: Made,
    reland: Reland | None,
    fresh: Mapping[str, tuple[str, str]],
    told: str,
) -> Synced | None:
    """Put the finished merge on a branch, since develop takes pull requests only."""
    lost, _ = _offer(bare, {**_waiting(bare, sync, made.develop), **fresh})
    if lost is Lost.PROTECTED:
        raise Refused(
            f"{bare.url} lets us push neither {sync.develop} nor {sync.waits_on}: {told}; check {named()} and its "
            "permissions"
        )
    said = f"{sync.develop} is protected: {sync.waits_on} waits to be merged, with a merge commit"
    relands = (propose_reland(sync, reland),) if reland else ()
    done = Synced(said, None, reland.commit if reland else None, (propose_merged(sync), *relands))
    return done if lost is None else None


def _waiting(bare: Repository, sync: SyncPlan, commit: str) -> dict[str, tuple[str, str]]:
    """The branch that waits for people, at a commit; nothing to push where they work on it already."""
    tip = branch_of(bare, sync.waits_on)
    if tip is None or is_ancestor(bare, tip, commit):
        return {sync.waits_on: (commit, tip or "")}
    if is_ancestor(bare, sync.pushed.commit, tip):
        return {}
    raise Refused(f"{bare.url} has a branch {sync.waits_on} without {sync.patch} in it: rename it and retry")


def _offer(bare: Repository, branches: Mapping[str, tuple[str, str]]) -> tuple[Lost | None, str]:
    """Push branches to new commits, all or none, if each still is what it was (empty: not there).

    Answers None where they were taken, else what stood against it and what the Git host said.
    """
    if not branches:
        return None, ""
    need_room(bare, *(name for name, (_, old) in branches.items() if not old))
    leases = [f"--force-with-lease=refs/heads/{name}:{old}" for name, (_, old) in branches.items()]
    specs = [f"{new}:refs/heads/{name}" for name, (new, _) in branches.items()]
    status, out, err = bare.answer("push", "--atomic", "--porcelain", *leases, bare.url, *specs)
    told = f"{out}\n{err}"  # --porcelain tells each ref's fate on standard output
    if status == 0:
        return None, ""
    lost = None if lacks_workflows(told) else lost_by(told)
    if lost is None:
        raise refusal(bare, next(iter(branches)), status, told)
    return lost, " ".join(told.split())[-300:]


def _read_back(bare: Repository, sync: SyncPlan, made: Made, said: str) -> None:
    with ephemeral(bare.name) as again:
        contained = is_ancestor(again, made.develop, head_of(again, sync.develop))
    if not contained:
        raise Incomplete(f"after the push {sync.develop} of {bare.url} does not contain {made.develop[:12]}", (said,))
