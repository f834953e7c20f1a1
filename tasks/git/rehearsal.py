"""Try in memory what a synchronisation leads to: the merge, the revert of the revert, the next release."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recovery.sync_wording import reland_message, sync_message
from recovery.syncs import Rehearsal, Reland, SyncPlan, still_there
from tasks.git.attributes import heeding
from tasks.git.plumbing import Repository
from tasks.git.reading import differing, is_ancestor, renamed
from tasks.git.revert import attempt, commit_tree, merge_commits, merge_trees


@dataclass(frozen=True, slots=True)
class Made:
    """Objects that were made in memory and pushed nowhere yet."""

    develop: str
    how: str
    reland: Reland | None  # None where develop has the work still, or nothing was reverted


def rehearse(bare: Repository, sync: SyncPlan, develop: str, main: str) -> tuple[Rehearsal, Made | None]:
    """Try everything that will follow, from develop and main as they are, each where it will be done.

    What must come out is computed on another way: develop merged with main as it was before the revert.
    """
    patch, parent = sync.pushed.commit, sync.pushed.parent
    reverted = bare.tree_of(patch)
    synced, conflicts = attempt(lambda: merge_commits(bare, develop, patch))
    whole, before = attempt(lambda: merge_commits(bare, develop, parent))
    if not synced or not whole:
        return Rehearsal(sync=conflicts, whole=before), None
    # The attributes that count are those of the checkout in which a person would do it: develop's own have changed by
    # the synchronisation, and the next release is merged on main.
    there, after, released = heeding(bare, whole), heeding(bare, synced), heeding(bare, main)
    due, later = attempt(lambda: merge_trees(there, reverted, whole, bare.tree_of(main)))
    again, reland = attempt(lambda: merge_trees(after, reverted, synced, bare.tree_of(parent)))
    if not due or (sync.reverts and not again):
        return Rehearsal(later=later, reland=reland), None
    made = _make(bare, sync, develop, synced, again if sync.reverts else None)
    taken_out = tuple(differing(bare, parent, patch))
    release, release_conflicts = attempt(lambda: merge_commits(released, main, made.develop))
    tried = Rehearsal(
        release=release_conflicts,
        release_differs=tuple(differing(bare, due, release)) if release else (),
        taken_out=_with_names(taken_out, renamed(bare, parent, whole)),
        remains=still_there(taken_out, tuple(differing(bare, parent, synced))),
    )
    return (_with_reland(released, tried, made, main, (whole, again, due)) if sync.reverts and again else tried), made


def reland_on(bare: Repository, sync: SyncPlan, tip: str) -> Reland | None:
    """Our re-land of this release on a branch that has the patch release, if it is there and as we make it."""
    form = "--format=%H%x1f%(trailers:key=Relands-Release,valueonly,separator=%x1f)"
    listed = bare.git("log", "--grep=^Relands-Release: ", form, f"{sync.pushed.commit}..{tip}")
    wanted = f"{sync.faulty_tag} {sync.faulty_commit}"
    for commit, *values in (line.split("\x1f") for line in listed.splitlines()):
        status, before, _ = bare.answer("rev-parse", "--verify", "--quiet", f"{commit}^1^1^{{commit}}")
        if wanted in values and status == 0:
            then = heeding(bare, before)
            whole, _ = attempt(lambda on=then, it=before: merge_commits(on, it, sync.pushed.parent))  # type: ignore[misc]
            if whole == bare.tree_of(commit):
                return Reland(commit, whole, before)
    return None


def _make(bare: Repository, sync: SyncPlan, develop: str, synced: str, again: str | None) -> Made:
    """The merge and the re-land as objects; the same develop gives the same ones."""
    new, how = sync.pushed.commit, "fast-forwarded"
    if not is_ancestor(bare, develop, new):
        new, how = commit_tree(bare, synced, (develop, new), sync_message(sync), sync.date), "merged"
    if again in (None, synced):  # the same where develop had the work by other commits than main: it has it still
        return Made(new, how, None)
    commit = commit_tree(bare, str(again), (new,), reland_message(sync), sync.date)
    return Made(new, how, Reland(commit, str(again), develop))


def _with_names(paths: Sequence[str], renames: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Paths and the names under which develop has them: what is taken out is taken out there."""
    return (*paths, *(name for pair in renames if {*paths}.intersection(pair) for name in pair))


def _with_reland(bare: Repository, tried: Rehearsal, made: Made, main: str, trees: tuple[str, str, str]) -> Rehearsal:
    whole, again, due = trees
    tip = made.reland.commit if made.reland else made.develop
    release, conflicts = attempt(lambda: merge_commits(bare, main, tip))
    return replace(
        tried,
        reland_differs=tuple(differing(bare, whole, again)),
        reland_release=conflicts,
        reland_release_differs=tuple(differing(bare, due, release)) if release else (),
    )
