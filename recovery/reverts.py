"""Taking a release out of `main`: what is taken out, what is kept, and under which name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from recovery.bounded import shortened
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause
from recovery.releases import Release, candidates, choose_stable
from recovery.tags import built_on, given_away, newest, oldest
from recovery.versions import Version, next_patch


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit on `main`, first parents only: a merge stands for what it brought."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class History:
    """What the remote repository says, read in one go. Commits are full object ids."""

    head: str  # of main
    faulty: str  # commit of the faulty tag
    faulty_on_main: bool
    tags: tuple[str, ...]  # the names of all tags there are; what follows may leave out what cannot matter
    contained: Mapping[str, str]  # tags that are ancestors of the faulty commit, and their commits
    taken_out: Mapping[str, tuple[Commit, ...]]  # per contained tag: what lies between it and the faulty one
    kept: tuple[Commit, ...]  # first-parent commits on main after the faulty one
    later: tuple[str, ...]  # tags that contain the faulty commit, its own aside
    patches: Mapping[str, str]  # tags of a commit that says that it reverts the faulty one, or of its merge
    reverted: tuple[str, ...] = ()  # tags of other releases that commits on main say they take out
    on_main: tuple[str, ...] = ()  # tags that main contains
    faulty_object: str = ""  # the faulty tag itself: its tag object, or the commit of a light tag
    mends: Mapping[str, str] = field(default_factory=dict)  # tags that say they mend the faulty one by a hotfix
    holding: tuple[str, ...] = ()  # tags that contain the revert of the faulty one, whatever else came in with it
    landed: str = ""  # the commit by which such a revert came to main; empty where none did


@dataclass(frozen=True, slots=True)
class RevertPlan:
    """One commit on `main` that takes out everything between two tags, and the patch tag on it."""

    service: str
    repository: str
    main: str
    tag_prefix: str
    faulty_tag: str
    faulty_commit: str
    stable_tag: str
    stable_commit: str
    patch_tag: str
    date: datetime
    title: str
    because: str
    reason: str
    taken_out: tuple[Commit, ...]
    kept: tuple[Commit, ...]
    done_as: str | None  # the patch tag that already did it
    paths: tuple[str, ...] = ()  # what of a shared repository is meant; empty: all of it
    mended_as: str | None = None  # the hotfix that leaves nothing to take out
    branch: str = ""  # where the commit waits when main is reached by a pull request
    doubt: str | None = None  # why a person must confirm the stable version first
    faulty_object: str = ""  # the faulty tag itself, which never changes
    landed: str = ""  # the commit on main that takes it out already, whether it was tagged or not
    previews: tuple[str, ...] = ()  # what was built on it and is no release, by its name or by its Release's flag


class Literal(StrEnum):
    """What the plan's own words, `git revert -m 1 <merge>`, would have given."""

    SAME = "same"
    OTHER = "other"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Preview:
    """What the revert gives on a head of `main`, computed without touching anything.

    `tree` is None where the merge conflicts. `differs` are the paths in which the literal command's tree differs.
    """

    head: str
    tree: str | None
    conflicts: tuple[str, ...]
    touched: tuple[str, ...]  # paths that the release touches, the service's alone
    broken: tuple[str, ...]  # what would not hold of the revert, in sentences
    nothing_left: bool  # main has nothing of it any more
    literal: Literal
    differs: tuple[str, ...]
    submodules: tuple[str, ...]  # whose pointers go back; their own repositories stay as they are
    large_files: tuple[str, ...]  # Git LFS pointers among the touched paths


@dataclass(frozen=True, slots=True)
class Pushed:
    """What stands on the remote after the push."""

    commit: str
    parent: str  # main before the revert
    tree: str
    tag: str
    kept: tuple[Commit, ...]
    said: str
    others: tuple[str, ...] = ()  # further parents: the branch that a pull request merged
    by_hand: tuple[str, ...] = ()  # paths of a conflict, in which the revert is what people made of it


@dataclass(frozen=True, slots=True)
class Proof:
    """Plain commands and what each must print; anyone can run them again in a fresh clone."""

    lines: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join(f"$ {command}\n{printed}".rstrip() for command, printed in self.lines)


@dataclass(frozen=True, slots=True)
class Shipped:
    """How a release was taken out: the patch tag that serves now, or None and the sentence that says who goes on.

    `confirm` is the stable release that a person must confirm first; None where nobody need.
    """

    tag: str | None
    said: str
    confirm: str | None = None


def plan_revert(
    service: Service,
    faulty: Version,
    history: History,
    releases: Sequence[Release],
    because: Cause,
    to: str | None = None,
    deployed: str | None = None,
) -> RevertPlan:
    """Decide what goes back to what and under which name.

    `to` is the stable tag that a person confirmed, `deployed` the commit that the pipeline says it deployed.

    Raises Refused when the faulty tag is not on `main` or was moved since it was deployed, when there is no
    stable release in its history, or when a newer release was built on it.
    """
    if because.seen_at is None:
        raise Refused("the cause carries no time, and commits must carry the same one on every try: set seen_at")
    _right_place(service, faulty, history, deployed)
    bad = {*service.quarantine, *history.reverted} - {to}
    stable = choose_stable(faulty, releases, history.contained, bad, history.on_main, to)
    done_as = oldest(history.patches, faulty.prefix)
    mended = oldest(history.mends, faulty.prefix)
    finals, previews = built_on(faulty, [tag for tag in history.later if tag not in history.patches], releases)
    newer = newest(finals, faulty.prefix)
    answered = done_as or mended
    if newer in history.holding and not answered:
        raise Refused(
            f"{newer} was released with the revert of {faulty} in it and with what came to {service.main} since: a "
            "patch release would be deployed over it, see that it is deployed"
        )
    if newer and not answered:
        raise Refused(
            f"{newer} was released on top of {faulty}: taking {faulty} out from under it could break it, "
            f"take {newer} back first or fix forward"
        )
    return RevertPlan(
        service=service.name,
        repository=service.repository,
        main=service.main,
        tag_prefix=faulty.prefix,
        faulty_tag=faulty.tag,
        faulty_commit=history.faulty,
        stable_tag=stable.version.tag,
        stable_commit=stable.commit,
        patch_tag=answered or next_patch(faulty, given_away(history.tags, releases)).tag,
        date=because.seen_at.replace(microsecond=0),
        title=f"Revert release {faulty}",
        because=because.sentence,
        reason=stable.reason + (f"; {shortened(previews)} was built on {faulty} and has it still" if previews else ""),
        taken_out=history.taken_out.get(stable.version.tag, ()),
        kept=history.kept,
        done_as=done_as,
        mended_as=None if done_as else mended,
        paths=service.paths,
        branch=f"revert/{faulty}",
        doubt=None if answered else stable.doubt,
        faulty_object=history.faulty_object or history.faulty,
        landed=history.landed,
        previews=previews,
    )


def horizon(
    faulty: Version, releases: Sequence[Release], quarantine: Collection[str], to: str | None = None
) -> Version | None:
    """The release below which nothing need be read as long as the newest candidate is the stable one: the second.

    None where all must be read: there is no second one, or a person chose by `to`.
    """
    before = [] if to else candidates(faulty, releases, quarantine)
    return before[1] if len(before) > 1 else None


def sure_stable(
    faulty: Version, releases: Sequence[Release], history: History, quarantine: Collection[str], under: Version
) -> Version | None:
    """The stable release, where no history below `under` can change the choice; None where it could.

    The newest candidate of all lies in the faulty release's history, so that no other is asked. What says that it
    was taken out stands above it.
    """
    possible = candidates(faulty, releases, {*quarantine, *history.reverted})
    sure = possible and possible[0].tag in history.contained and under < possible[0]
    return possible[0] if sure else None


def _right_place(service: Service, faulty: Version, history: History, deployed: str | None) -> None:
    if not history.faulty_on_main:
        raise Refused(
            f"{faulty} ({history.faulty[:12]}) is not on {service.main} of {service.repository}: it was released from "
            "elsewhere, take it out where it was made or prepare a hotfix"
        )
    if deployed and deployed != history.faulty:
        raise Refused(
            f"{faulty} was moved: the pipeline deployed {deployed[:12]} and the tag is {history.faulty[:12]} now, "
            "put the tag back where it was or take the deployed commit out by hand"
        )
