"""Where a full rollback is not feasible: why, and what is prepared instead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause
from recovery.outlooks import Outlook
from recovery.proposals import FixProposal, propose
from recovery.pulls import PullRequest
from recovery.ranges import Range, is_migration, is_own
from recovery.releases import Release, Stable, choose_stable
from recovery.reverts import History
from recovery.tags import built_on, given_away, newest, oldest
from recovery.versions import Version, next_patch

A_PERSON_WANTS_IT = "a person asked for a hotfix"
SAID = 5  # migrations that a sentence names


class Answer(StrEnum):
    """What a person says to a hotfix that is prepared."""

    TAKE = "take the proposal"
    OWN = "own commits are pushed"
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True)
class Feasibility:
    """Whether everything between two releases can be taken out; the obstacles are sentences."""

    full_rollback: bool
    reason: str
    obstacles: tuple[str, ...] = ()

    @property
    def obstacle(self) -> str | None:
        """Why it is not feasible, or None."""
        return None if self.full_rollback else self.reason


@dataclass(frozen=True, slots=True)
class HotfixPlan:
    """A branch from `main` with the least that mends a release, a pull request, and the patch tag on its merge."""

    service: str
    repository: str
    main: str
    tag_prefix: str
    faulty_tag: str
    faulty_commit: str
    stable_tag: str | None
    stable_commit: str | None
    patch_tag: str
    branch: str
    date: datetime
    because: str
    reason: str
    proposals: tuple[FixProposal, ...]
    migrations: tuple[str, ...]  # paths of the service's migrations that the release touches: they stay
    done_as: str | None  # the patch tag that already did it
    previews: tuple[str, ...] = ()  # what was built on it and is no release, by its name or by its Release's flag


@dataclass(frozen=True, slots=True)
class HotfixBranch:
    """What stands on the hotfix branch after the push; for a branch to start from, a commit that changes nothing."""

    branch: str
    commit: str
    parent: str  # where the branch left main
    tree: str
    said: str
    conflicts: tuple[str, ...]  # paths for which better proposals could not be made
    proposal: FixProposal | None  # what was made; None where people made the branch
    merged_as: str | None = None  # the commit on main by which it is there already


@dataclass(frozen=True, slots=True)
class BranchCommit:
    """A commit on the branch that `main` does not have."""

    id: str
    title: str
    author: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.title} ({self.id[:12]}, {self.author})"


@dataclass(frozen=True, slots=True)
class BranchState:
    """What stands on a hotfix branch now; without a head there is no such branch."""

    branch: str
    head: str | None
    main: str  # head of main
    fork: str  # where the branch left it
    ahead: tuple[BranchCommit, ...] = ()  # newest first
    brings: tuple[tuple[str, str], ...] = ()  # paths that it changes, and git ls-tree's words; empty: deleted

    @property
    def own(self) -> tuple[BranchCommit, ...]:
        """What people pushed."""
        return tuple(commit for commit in self.ahead if not commit.ours)


def judge_feasibility(
    service: Service, between: Range, asked: bool = False, foretold: Outlook | None = None
) -> Feasibility:
    """Answer whether a full rollback is feasible.

    It is not where the stable version cannot run on today's schema: a migration lies between of which neither its
    marker nor its statements say that it does, or the gate has seen it fail on a copy, whatever they say. Nor where
    there is nothing to go back to, or a person wants a hotfix, as one must who changed the schema by hand: no file
    says that. `foretold` is what the gate has shown; of another commit, or another stable release, it is not heard.
    """
    obstacles = [A_PERSON_WANTS_IT] if asked else []
    if foretold and foretold.broken and foretold.is_of(between.faulty_commit, between.stable_tag):
        # Without the server's words: they may quote a customer's data, and this stands in a pull request.
        obstacles.append(
            f"the gate ran the migrations of {between.faulty_tag} on a copy of the database, and what "
            f"{between.stable_tag} asks was not answered as before: proof.json of its set says what"
        )
    if between.stable_tag is None:
        obstacles.append(f"there is no stable release before {between.faulty_tag} to go back to")
    migrations = [each for each in between.changes if is_own(service, each.path) and is_migration(service, each.path)]
    risky = [each for each in migrations if not each.compatible]
    if risky:
        files = _listed([each.reason or each.path for each in risky])
        obstacles.append(
            f"{between.faulty_tag} brought database migrations that {between.stable_tag} may not run with: {files}; "
            f"if it does, write '{service.migrations.compatible}' into them on {service.main} and try again, "
            "else a hotfix keeps them"
        )
    if obstacles:
        return Feasibility(False, ". ".join(obstacles), tuple(obstacles))
    here = f"between {between.stable_tag} and {between.faulty_tag}"
    if not migrations:
        return Feasibility(True, f"no migration lies {here}")
    told = [each.reason for each in migrations if each.reason and not each.marked]
    if not told:
        return Feasibility(True, f"only migrations that say they are compatible lie {here}")
    return Feasibility(True, f"only migrations that {between.stable_tag} runs with lie {here}: {_listed(told)}")


def _listed(reasons: Sequence[str]) -> str:
    rest = f"; and {len(reasons) - SAID} more" if len(reasons) > SAID else ""
    return "; ".join(reasons[:SAID]) + rest


def stable_before(
    service: Service, faulty: Version, history: History, releases: Sequence[Release], to: str | None = None
) -> Stable | None:
    """The stable release as the revert would choose it; None where there is none: a hotfix needs none."""
    bad = {*service.quarantine, *history.reverted} - {to}
    try:
        return choose_stable(faulty, releases, history.contained, bad, history.on_main, to)
    except Refused:
        if to is not None:
            raise
        return None


def plan_hotfix(
    service: Service,
    faulty: Version,
    history: History,
    releases: Sequence[Release],
    between: Range,
    because: Cause,
    why: str,
    to: str | None = None,
) -> HotfixPlan:
    """Decide the names and rank the proposals; `why` says why it is a hotfix and no full rollback.

    Raises Refused when the faulty release was taken back in full, when a newer one was built on it, or when `between`
    speaks of another stable release than the one that would be chosen.
    """
    if because.seen_at is None:
        raise Refused("the cause carries no time, and commits must carry the same one on every try: set seen_at")
    stable = stable_before(service, faulty, history, releases, to)
    if between.stable_tag != (stable.version.tag if stable else None):
        raise Refused(
            f"the range was read from {between.stable_tag or 'no stable release'} and the stable release is "
            f"{stable.version if stable else 'none'} now: plan again"
        )
    mended_by = {**history.mends, **between.mended_by}
    taken_back = oldest(history.patches, faulty.prefix)
    if taken_back and not mended_by:
        raise Refused(f"{faulty} was taken back as {taken_back}: if that one is faulty too, prepare a hotfix of it")
    patches = {**history.patches, **mended_by}
    done_as = newest(patches, faulty.prefix)
    finals, previews = built_on(faulty, [tag for tag in history.later if tag not in patches], releases)
    newer = newest(finals, faulty.prefix)
    if newer and not done_as:
        raise Refused(f"{newer} was released on top of {faulty}: mend {newer}, a hotfix of {faulty} would be older")
    patch = done_as or next_patch(faulty, given_away(history.tags, releases)).tag
    # What did not come to main in the release cannot be taken out of it by its difference.
    known = between if history.faulty_on_main else Range(faulty.tag, history.faulty, None, None)
    migrations = [
        each.path for each in known.changes if is_own(service, each.path) and is_migration(service, each.path)
    ]
    return HotfixPlan(
        service=service.name,
        repository=service.repository,
        main=service.main,
        tag_prefix=faulty.prefix,
        faulty_tag=faulty.tag,
        faulty_commit=history.faulty,
        stable_tag=stable.version.tag if stable else None,
        stable_commit=stable.commit if stable else None,
        patch_tag=patch,
        branch=f"hotfix/{patch}",
        date=because.seen_at.replace(microsecond=0),
        because=because.sentence,
        reason=why,
        proposals=propose(service, known, because.sentence),
        migrations=tuple(migrations),
        done_as=done_as,
        previews=previews,
    )


def object_to(plan: HotfixPlan, answer: Answer, state: BranchState, merged_as: str | None = None) -> str | None:
    """Why an answer cannot be followed, given what stands on the branch; None where it can.

    What people have merged themselves needs its tag and its Release yet: any answer but no says so.
    """
    if merged_as:
        done = f"{plan.branch} was merged already, as {merged_as[:12]}"
        return f"{done}: {Answer.TAKE}, or take it back out of {plan.main} first" if answer is Answer.ABANDON else None
    if answer is Answer.ABANDON:
        return None
    if state.head is None:
        return f"{plan.branch} is gone: push it again, or abandon"
    if answer is Answer.OWN and not state.own:
        return f"there is no commit of yours on {plan.branch}: push it first, or take the proposal"
    if answer is Answer.TAKE and not state.brings:
        return f"{plan.branch} has no fix on it, none could be derived: push one and say so"
    if answer is Answer.TAKE and state.own:
        return (
            f"{plan.branch} has commits that were not proposed ({state.own[0]}): say that they are yours, or drop them"
        )
    return None


def as_read(pull: PullRequest, state: BranchState) -> PullRequest:
    """The pull request with what stands on its branch now: nothing that comes after this look is merged."""
    return replace(pull, sha=state.head or pull.sha)
