"""Bringing `develop` along after a revert without losing anything: what must hold, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recovery.bounded import shortened
from recovery.hotfixes import HotfixPlan
from recovery.pulls import Proposal
from recovery.reverts import Commit, Pushed, RevertPlan


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """A patch release that develop must follow."""

    service: str
    repository: str
    main: str
    develop: str  # the branch
    faulty_tag: str
    faulty_commit: str
    pushed: Pushed
    date: datetime
    taken_out: tuple[Commit, ...]
    reverts: bool  # False: the patch release mends the faulty one, and nothing is to be brought back

    @property
    def patch(self) -> str:
        """Tag of the patch release."""
        return self.pushed.tag

    @property
    def waits_on(self) -> str:
        """The branch on which the patch release waits to be merged by people."""
        return f"sync/{self.pushed.tag}"

    @property
    def relands_on(self) -> str:
        """The branch on which the faulty release waits to be mended."""
        return f"reland/{self.faulty_tag}"


@dataclass(frozen=True, slots=True)
class Reland:
    """One commit on the synchronised develop that reverts the revert."""

    commit: str
    tree: str
    before: str  # develop before the synchronisation: merged with main before the revert it has the same tree


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of develop, and the pull requests that are to be opened."""

    said: str
    develop: str | None = None  # its commit, once the patch release is in it
    reland: str | None = None  # the commit that brings the faulty release back to be mended
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The merges to come, tried in memory. Each field but the last two names the paths that speak against it.

    What an earlier failure made impossible to try is empty.
    """

    sync: Sequence[str] = ()  # the patch release into develop: conflicts
    whole: Sequence[str] = ()  # main before the revert into develop: conflicts, so there is nothing to compare with
    later: Sequence[str] = ()  # that, and what main got since the patch release: conflicts
    reland: Sequence[str] = ()  # the revert of the revert: conflicts
    reland_differs: Sequence[str] = ()  # from the merge before which nothing was reverted
    release: Sequence[str] = ()  # the synchronised develop into main, as the next release: conflicts
    release_differs: Sequence[str] = ()  # from a next release before which nothing was reverted
    reland_release: Sequence[str] = ()  # the same two with the re-land in develop
    reland_release_differs: Sequence[str] = ()
    taken_out: Sequence[str] = ()  # what the patch release changed on main
    remains: Sequence[str] = ()  # of that, what develop still has as it was


@dataclass(frozen=True, slots=True)
class Objection:
    """Why develop is left to people."""

    reason: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reason} {shortened(self.paths)}"


def plan_sync(develop: str, plan: RevertPlan | HotfixPlan, pushed: Pushed, *, reverts: bool) -> SyncPlan:
    """Decide what develop follows; only what a revert took out is to be brought back."""
    return SyncPlan(
        service=plan.service,
        repository=plan.repository,
        main=plan.main,
        develop=develop,
        faulty_tag=plan.faulty_tag,
        faulty_commit=plan.faulty_commit,
        pushed=pushed,
        date=plan.date,
        taken_out=plan.taken_out if isinstance(plan, RevertPlan) else (),
        reverts=reverts,
    )


def objection_to(rehearsal: Rehearsal, sync: SyncPlan) -> Objection | None:
    """Answer what speaks against synchronising without a person, if anything does: the first broken law.

    The next release from develop must have all that the faulty release has nothing to do with, and with the
    re-land all that there would have been.
    """
    patch, develop, main, faulty = sync.patch, sync.develop, sync.main, sync.faulty_tag
    strays = sorted({*rehearsal.release_differs} - {*rehearsal.taken_out})
    laws = [
        (rehearsal.sync, f"{patch} does not merge into {develop}, both changed"),
        (rehearsal.whole, f"{develop} and {main} did not merge before {patch} either, both changed"),
        (rehearsal.later, f"what came to {main} after {patch} touches what is to come back, in"),
        (rehearsal.reland, f"on {develop} the revert cannot be reverted mechanically, both changed"),
        (rehearsal.reland_differs, f"reverting the revert on {develop} would not give {faulty} back whole, see"),
        (rehearsal.release, f"the next release from {develop} would not merge into {main}, both changed"),
        (strays, f"the next release would lose what {faulty} has nothing to do with, in"),
        (rehearsal.reland_release, f"the next release with {faulty} in it would not merge into {main}, both changed"),
        (rehearsal.reland_release_differs, f"the next release with {faulty} in it would not be whole, see"),
    ]
    return next((Objection(reason, tuple(paths)) for paths, reason in laws if paths), None)


def still_there(taken_out: Sequence[str], differs: Sequence[str]) -> tuple[str, ...]:
    """The paths in which develop still is as main was: none of those in which the two differ.

    So it is where releases are squashed onto main: git does not know that develop's commits are what was reverted.
    """
    return tuple(sorted({*taken_out} - {*differs}))


def said_of_push(sync: SyncPlan, how: str, commit: str, relands: bool, foreign: bool, remains: Sequence[str]) -> str:
    """The sentence about a push: what develop is now, where the faulty release waits, what develop still has of it.

    `foreign` says that the branch of the re-land was there and is somebody else's.
    """
    faulty, branch = sync.faulty_tag, sync.relands_on
    said = [f"{how} {sync.patch} into {sync.develop} ({commit[:12]})"]
    if relands:
        said.append(f"{branch} brings {faulty} back, to be mended")
    elif foreign:
        said.append(f"{branch} was there already and was left as it is")
    if remains and sync.reverts:
        said.append(
            f"{sync.develop} still has {faulty} in {shortened(remains)}, by other commits than {sync.main} had: "
            "mend it there before the next release"
        )
    return "; ".join(said)
