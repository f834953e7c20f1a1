"""What happened when: each line of a post-mortem has a source that can be looked at again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recovery.hotfixes import HotfixPlan
from recovery.incidents import Cause
from recovery.proposals import FixProposal
from recovery.readings import Point
from recovery.releases import Release
from recovery.reverts import Commit, Proof, Pushed, RevertPlan
from recovery.rollouts import Revision, Rollout, Standing


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, and where it is written."""

    at: datetime
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class Harm:
    """What customers felt, summed over the watch; `first` is the end of the first interval with a failure."""

    requests: float
    failed: float
    first: datetime | None
    last: datetime | None

    def __str__(self) -> str:
        if not self.requests:
            return "no requests were measured"
        return f"{self.failed:.0f} of {self.requests:.0f} requests failed ({self.failed / self.requests:.1%})"


@dataclass(frozen=True, slots=True)
class Remedy:
    """How the source was brought back: what of a revert's or a hotfix's plan the story tells."""

    service: str
    repository: str
    main: str
    faulty_tag: str
    stable_tag: str | None
    title: str
    taken_out: tuple[Commit, ...]
    whole: bool  # the release was taken out as a whole


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the post-mortem tells."""

    service: str
    version: str
    restored: str
    cause: Cause
    events: tuple[Event, ...]
    harm: Harm
    remedy: Remedy
    pushed: Pushed
    proof: Proof

    @property
    def headline(self) -> str:
        """The sentence that stakeholders get."""
        if not self.remedy.whole:
            return f"{self.service} is restored by {self.restored}, a hotfix of {self.version}"
        same = "" if self.pushed.kept else f" (= {self.remedy.stable_tag})"
        return f"{self.service} is restored to {self.restored}{same}"


def harm_of(points: Iterable[Point]) -> Harm:
    """Sum up what the faulty version's points say."""
    ordered = sorted(points, key=lambda point: point.at)
    bad = [point.at for point in ordered if point.failed > 0]
    return Harm(
        sum(point.requests for point in ordered),
        sum(point.failed for point in ordered),
        bad[0] if bad else None,
        bad[-1] if bad else None,
    )


def taken_back(plan: RevertPlan) -> Remedy:
    """A revert, as the story tells it."""
    return Remedy(
        plan.service, plan.repository, plan.main, plan.faulty_tag, plan.stable_tag, plan.title, plan.taken_out, True
    )


def mended(plan: HotfixPlan, proposal: FixProposal | None) -> Remedy:
    """A hotfix, as the story tells it; without a proposal people wrote it."""
    title = proposal.title if proposal else f"Mend {plan.faulty_tag}"
    out = proposal.takes_out if proposal else ()
    return Remedy(plan.service, plan.repository, plan.main, plan.faulty_tag, plan.stable_tag, title, out, False)


def tell_story(
    cause: Cause,
    rollout: Rollout,
    remedy: Remedy,
    pushed: Pushed,
    proof: Proof,
    releases: Sequence[Release],
    harm: Harm,
) -> Story:
    """Put the events in order, each from the system that knows it."""
    cluster = f"ReplicaSets of {rollout}"
    faulty = _revision(rollout.revisions, remedy.faulty_tag)
    patch = _revision(rollout.revisions, pushed.tag)
    published = next((each.published_at for each in releases if each.tag == pushed.tag), None)
    events = []
    if faulty:
        events.append(Event(faulty.active_since, f"{remedy.faulty_tag} deployed", cluster))
        if faulty.mark and faulty.standing is Standing.FAULTY:
            events.append(Event(faulty.mark.at, f"undone: the cluster asks for {remedy.stable_tag} again", cluster))
    if harm.first:
        events.append(Event(harm.first, "first failed request", "Prometheus"))
    if cause.seen_at:
        events.append(Event(cause.seen_at, f"detected by {cause.source}", str(cause.source)))
    if published:
        events.append(Event(published, f"{pushed.tag} published", "GitHub Releases"))
    if patch:
        events.append(Event(patch.active_since, f"{pushed.tag} deployed by the pipeline", cluster))
    return Story(
        remedy.service, remedy.faulty_tag, pushed.tag, cause,
        tuple(sorted(events, key=lambda event: event.at)), harm, remedy, pushed, proof,
    )  # fmt: skip


def since_first(events: Sequence[Event]) -> list[tuple[Event, timedelta]]:
    """Each event with the time since the first one."""
    return [(event, event.at - events[0].at) for event in events]


def _revision(revisions: Sequence[Revision], version: str) -> Revision | None:
    return next((each for each in reversed(revisions) if each.version == version), None)
