"""Taking a release out of `main`: what is taken out, what is kept, what the commit says, and how it is proved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause
from recovery.releases import Release, Stable, choose_stable
from recovery.versions import Version, next_patch, parse_version


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
    tags: tuple[str, ...]  # every tag there is
    contained: dict[str, str]  # tags that are ancestors of the faulty commit, and their commits
    taken_out: dict[str, tuple[Commit, ...]]  # per contained tag: what lies between it and the faulty one
    kept: tuple[Commit, ...]  # first-parent commits on main after the faulty one
    later: tuple[str, ...]  # tags that contain the faulty commit, its own aside
    patches: dict[str, str]  # tags of commits that say they revert the faulty commit, and those commits


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
    message: str
    reason: str
    taken_out: tuple[Commit, ...]
    kept: tuple[Commit, ...]
    done_as: str | None  # the patch tag that already did it


@dataclass(frozen=True, slots=True)
class Pushed:
    """What stands on the remote after the push."""

    commit: str
    parent: str
    tree: str
    tag: str
    kept: tuple[Commit, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Plain commands and what each must print; anyone can run them again in a fresh clone."""

    lines: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join(f"$ {command}\n{printed}" for command, printed in self.lines)


def plan_revert(
    service: Service,
    faulty: Version,
    history: History,
    releases: Sequence[Release],
    because: Cause,
    quarantined: Sequence[str] = (),
) -> RevertPlan:
    """Decide what goes back to what and under which name.

    Raises Refused when the faulty tag is not on `main`, when there is no stable release in its history, or
    when nothing lies between the two.
    """
    if because.seen_at is None:
        raise Refused("the cause carries no time, and commits must carry the same one on every try: set seen_at")
    if not history.faulty_on_main:
        raise Refused(
            f"{faulty} ({history.faulty[:12]}) is not on {service.main} of {service.repository}: it was released from "
            "elsewhere, take it out where it was made or prepare a hotfix"
        )
    stable = choose_stable(faulty, releases, history.contained, quarantined)
    done_as = _newest(history.patches, faulty.prefix)
    newer = _newest([tag for tag in history.later if tag not in history.patches], faulty.prefix)
    if newer and not done_as:
        raise Refused(
            f"{newer} was released on top of {faulty}: taking {faulty} out from under it could break it, "
            f"take {newer} back first or fix forward"
        )
    patch = done_as or next_patch(faulty, {*history.tags, *(release.tag for release in releases)}).tag
    taken_out = history.taken_out[stable.version.tag]
    title = f"Revert release {faulty}"
    return RevertPlan(
        service=service.name,
        repository=service.repository,
        main=service.main,
        tag_prefix=faulty.prefix,
        faulty_tag=faulty.tag,
        faulty_commit=history.faulty,
        stable_tag=stable.version.tag,
        stable_commit=stable.commit,
        patch_tag=patch,
        date=because.seen_at.replace(microsecond=0),
        title=title,
        message=_message(title, service.name, faulty, stable, history, taken_out, because.sentence),
        reason=stable.reason,
        taken_out=taken_out,
        kept=history.kept,
        done_as=done_as,
    )


def proof_of(plan: RevertPlan, pushed: Pushed, trees: dict[str, str]) -> Proof:
    """The postconditions as commands: `trees` maps revisions (`v1.1.0^{tree}`) to object ids as read afresh.

    The strongest holds when nothing was kept: the tree of the patch release is that of the stable one.
    """
    lines = [
        (f"git rev-parse {plan.faulty_tag}^{{commit}}", plan.faulty_commit),
        (f"git rev-parse {pushed.tag}^{{commit}}", pushed.commit),
        (f"git log -1 --format=%P {pushed.commit}", pushed.parent),
        (f"git rev-parse {pushed.tag}^{{tree}}", pushed.tree),
    ]
    if not pushed.kept:
        lines.append((f"git rev-parse {plan.stable_tag}^{{tree}}", trees[f"{plan.stable_tag}^{{tree}}"]))
        lines.append((f"git diff --stat {plan.stable_tag} {pushed.tag}", ""))
    return Proof(tuple(lines))


def release_notes(plan: RevertPlan, pushed: Pushed, proof: Proof) -> str:
    """The notes of the patch release, made from facts."""
    kept = "".join(f"- {commit.title} ({commit.id[:12]})\n" for commit in pushed.kept)
    parts = [
        f"Takes {plan.faulty_tag} back: this release is {plan.stable_tag}"
        + (" and what came after." if pushed.kept else ", byte for byte."),
        "**Taken out**\n" + "".join(f"- {commit.title} ({commit.id[:12]})\n" for commit in plan.taken_out),
        f"**Kept**\n{kept}" if kept else "",
        f"**Proof**, in a fresh clone\n```\n{proof}\n```",
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def _newest(tags: Iterable[str], prefix: str) -> str | None:
    versions = []
    for tag in tags:
        try:
            versions.append(parse_version(tag, prefix))
        except Refused:
            continue
    return max(versions).tag if versions else None


def _message(
    title: str,
    service: str,
    faulty: Version,
    stable: Stable,
    history: History,
    taken_out: Sequence[Commit],
    because: str,
) -> str:
    out = "".join(f"  {commit.id[:12]} {commit.title}\n" for commit in taken_out)
    return (
        f"{title}\n\n{because}\n\n"
        f"Takes out everything between {stable.version} and {faulty}:\n\n{out}"
        f"\nReverts-Release: {faulty} {history.faulty}\n"
        f"Restores-Release: {stable.version} {stable.commit}\n"
        f"Incident: {service}/{faulty}\n"
    )
