"""Read a repository's history; put the revert and its tag on it in one atomic push; prove it from a fresh clone."""

from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.reverts import History, Proof, Pushed, RevertPlan, proof_of
from recovery.versions import next_patch, parse_version
from tasks.git.plumbing import THERE, Repository, ephemeral, failure
from tasks.git.reading import brought_by, commits_of, head_of, is_ancestor, patches_of, tags_by, tags_of
from tasks.git.revert import Conflict, commit_revert, merge_out, tag_commit
from tasks.retry import ON_UNAVAILABLE, spoken

ALL = (f"+refs/heads/*:{THERE}/heads/*", f"+refs/tags/*:{THERE}/tags/*")
TRIES = 5  # that main may move between our fetch and our push
_FORBIDDEN = ("protected branch", "GH006", "GH013", "pre-receive hook declined", "permission")
_MOVED = ("stale info", "non-fast-forward", "fetch first", "atomic", "failed to update ref", "cannot lock ref")


@task(name="read history", task_run_name="read history of {service.repository}", **ON_UNAVAILABLE)
def read_history(service: Service, faulty: str) -> History:
    """Read tags, ancestry and what lies between the tags. Raises Refused when the faulty tag is not there."""
    version = parse_version(faulty, service.tag_prefix)
    with ephemeral(service.repository, ALL) as bare:
        tags = tags_of(bare)
        if faulty not in tags:
            raise Refused(f"{service.repository} has no tag {faulty}: see 'git ls-remote --tags {bare.url}'")
        head = head_of(bare, service.main)
        commit = tags[faulty]
        contained = {tag: tags[tag] for tag in tags_by(bare, f"--merged={commit}") if tag in tags}
        older = {tag: each for tag, each in contained.items() if tag != faulty}
        return History(
            head=head,
            faulty=commit,
            faulty_on_main=is_ancestor(bare, commit, head),
            tags=tuple(tags),
            contained=contained,
            taken_out={tag: brought_by(bare, each, commit) for tag, each in older.items()},
            kept=commits_of(bare, commit, head),
            later=tuple(tag for tag in tags_by(bare, f"--contains={commit}") if tags.get(tag) != commit),
            patches=patches_of(bare, tags, version, commit),
        )


@task(name="preview revert", task_run_name="preview the revert of {plan.faulty_tag}", **ON_UNAVAILABLE)
def preview_revert(plan: RevertPlan) -> str:
    """Compute the tree that the revert would give, changing nothing. Raises Refused on a conflict."""
    if plan.done_as:
        return f"{plan.faulty_tag} was already taken out as {plan.done_as}"
    with ephemeral(plan.repository, ALL) as bare:
        tree = _merge_or_refuse(bare, plan, head_of(bare, plan.main))
        return f"{plan.main} would become tree {tree}, tagged {plan.patch_tag}"


@task(name="push revert", task_run_name="push {plan.patch_tag}", **ON_UNAVAILABLE)
def push_revert(plan: RevertPlan) -> Pushed:
    """Put the revert commit on main and the patch tag on it, both or neither.

    Looks first whether a tagged commit already says so; takes the next number when the tag was taken
    meanwhile; starts afresh when main moved, at most five times. Raises Refused on a conflict.
    """
    for _ in range(TRIES):
        with ephemeral(plan.repository, ALL) as bare:
            tags = tags_of(bare)
            done = patches_of(bare, tags, parse_version(plan.faulty_tag, plan.tag_prefix), plan.faulty_commit)
            if done:
                newest = max(done, key=lambda tag: parse_version(tag, plan.tag_prefix))
                return _read_back(bare, plan, newest)
            pushed = _push_once(bare, plan, tags)
            if pushed is not None:
                return pushed
            get_run_logger().info("main moved or the tag was taken meanwhile: starting afresh")
    raise Refused(f"{plan.main} of {plan.repository} moved {TRIES} times while we pushed: freeze merges and retry")


@task(name="read patch", task_run_name="read how {plan.faulty_tag} was taken out", **ON_UNAVAILABLE)
def read_pushed(plan: RevertPlan) -> Pushed:
    """Read what a revert left on the remote. Raises Refused when the release was not taken out yet."""
    if plan.done_as is None:
        raise Refused(f"{plan.faulty_tag} is not taken out of {plan.main} yet: run revert_release first")
    with ephemeral(plan.repository, ALL) as bare:
        return _read_back(bare, plan, plan.done_as)


@task(name="prove revert", task_run_name="prove {pushed.tag}", **ON_UNAVAILABLE)
def prove_revert(plan: RevertPlan, pushed: Pushed) -> Proof:
    """Read everything again from a fresh clone and hold it against the plan's postconditions.

    Raises Incomplete naming the first one that does not hold.
    """
    with ephemeral(plan.repository, ALL) as bare:
        tags = tags_of(bare)
        names = (plan.stable_tag, pushed.tag)
        trees = {f"{tag}^{{tree}}": bare.tree_of(f"{THERE}/tags/{tag}") for tag in names}
        head = head_of(bare, plan.main)
        parents = bare.git("log", "-1", "--format=%P", "--end-of-options", pushed.commit)
        claims = [
            (tags.get(plan.faulty_tag) == plan.faulty_commit, f"{plan.faulty_tag} still is {plan.faulty_commit}"),
            (tags.get(pushed.tag) == pushed.commit, f"{pushed.tag} is {pushed.commit}"),
            (is_ancestor(bare, pushed.commit, head), f"{pushed.tag} lies on {plan.main}"),
            (parents == pushed.parent, f"{pushed.tag} has the one parent {pushed.parent}"),
            (_nothing_lost(bare, plan, pushed, trees), f"{pushed.tag} is {plan.stable_tag} and what was kept"),
        ]
    for holds, claim in claims:
        if not holds:
            raise Incomplete(f"after the push it does not hold that {claim}: look at {bare.url}", (pushed.said,))
    return proof_of(plan, pushed, trees)


@task(name="sync develop", task_run_name="sync {service.develop} of {service.repository}", **ON_UNAVAILABLE)
@spoken
def sync_develop(service: Service, plan: RevertPlan, pushed: Pushed) -> str:
    """Merge the reverted main into develop by a real merge; fast-forward where develop has nothing of its own.

    Never forces: a conflict is Refused with the files, for people to merge.
    """
    if service.develop is None:
        return f"skipped: {service.name} has no develop branch"
    with ephemeral(service.repository, ALL) as bare:
        status, _, _ = bare.answer("rev-parse", "--verify", "--quiet", f"{THERE}/heads/{service.develop}")
        if status != 0:
            return f"skipped: {service.repository} has no branch {service.develop}"
        develop = bare.commit_of(f"{THERE}/heads/{service.develop}")
        if is_ancestor(bare, pushed.commit, develop):
            return f"skipped: {service.develop} already contains {pushed.tag}"
        if is_ancestor(bare, develop, pushed.commit):
            new, how = pushed.commit, "fast-forwarded"
        else:
            new, how = _merge(bare, plan, service.develop, develop, pushed), "merged"
        lease = f"--force-with-lease=refs/heads/{service.develop}:{develop}"
        bare.git("push", "--quiet", lease, bare.url, f"{new}:refs/heads/{service.develop}")
        return f"{how} {pushed.tag} into {service.develop} ({new[:12]})"


def check_repository(service: Service) -> str:
    """Read main and the tags, and try a push without effect; says what was seen."""
    with ephemeral(service.repository, ALL) as bare:
        head = head_of(bare, service.main)
        bare.git("push", "--quiet", "--dry-run", bare.url, f"{head}:refs/heads/{service.main}")
        return f"{service.main} is at {head[:12]}, {len(tags_of(bare))} tags; push is allowed"


def _push_once(bare: Repository, plan: RevertPlan, tags: dict[str, str]) -> Pushed | None:
    head = head_of(bare, plan.main)
    tree = _merge_or_refuse(bare, plan, head)
    commit = commit_revert(bare, plan, head, tree)
    patch = plan.patch_tag
    if patch in tags:
        patch = next_patch(parse_version(plan.faulty_tag, plan.tag_prefix), tags).tag
    tag = tag_commit(bare, plan, patch, commit)
    status, out, err = bare.answer(
        "push", "--atomic", "--porcelain", f"--force-with-lease=refs/tags/{patch}:",
        bare.url, f"{commit}:refs/heads/{plan.main}", f"{tag}:refs/tags/{patch}",
    )  # fmt: skip
    if status == 0:
        said = f"pushed {commit[:12]} to {plan.main} and tagged it {patch}"
        return Pushed(commit, head, tree, patch, commits_of(bare, plan.faulty_commit, head), said)
    told = f"{out}\n{err}"  # --porcelain tells each ref's fate on standard output
    if any(sign in told for sign in _FORBIDDEN):
        raise Refused(f"{bare.url} does not let us push to {plan.main}: {' '.join(told.split())[-300:]}")
    if any(sign in told for sign in _MOVED):
        return None
    raise failure(bare.url, "push", status, told)


def _read_back(bare: Repository, plan: RevertPlan, tag: str) -> Pushed:
    commit = bare.commit_of(f"{THERE}/tags/{tag}")
    parent = bare.commit_of(f"{commit}^1")
    said = f"skipped: {plan.faulty_tag} was already taken out as {tag} ({commit[:12]})"
    return Pushed(commit, parent, bare.tree_of(commit), tag, commits_of(bare, plan.faulty_commit, parent), said)


def _merge_or_refuse(bare: Repository, plan: RevertPlan, head: str) -> str:
    try:
        return merge_out(bare, plan, head)
    except Conflict as conflict:
        raise Refused(
            f"{plan.faulty_tag} cannot be taken out of {plan.main} mechanically, later commits touch the same lines "
            f"of {', '.join(conflict.paths)}: revert by hand or prepare a hotfix"
        ) from None


def _merge(bare: Repository, plan: RevertPlan, branch: str, develop: str, pushed: Pushed) -> str:
    status, out, err = bare.answer("merge-tree", "--write-tree", "--name-only", "--no-messages", develop, pushed.commit)
    if status == 1:
        paths = ", ".join(out.splitlines()[1:])
        raise Refused(f"{pushed.tag} does not merge into {branch}, both changed {paths}: merge it by hand")
    if status != 0:
        raise Unavailable(f"git merge-tree failed: {' '.join(err.split())}")
    message = f"Merge {pushed.tag} into {branch}\n\n{plan.title}: {branch} follows {plan.main}.\n"
    return commit_revert(bare, plan, develop, out.splitlines()[0], message, (pushed.commit,))


def _nothing_lost(bare: Repository, plan: RevertPlan, pushed: Pushed, trees: dict[str, str]) -> bool:
    if not pushed.kept:
        return trees[f"{plan.stable_tag}^{{tree}}"] == trees[f"{pushed.tag}^{{tree}}"]
    return merge_out(bare, plan, pushed.parent) == trees[f"{pushed.tag}^{{tree}}"]
