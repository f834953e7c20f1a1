"""What a Deployment runs, what it ran before, and which revision to take it back to.

Pure restatement of kubectl's rules (polymorphichelpers/rollback.go and rollout_status.go) with their known
defects left out: the target is chosen by what was seen healthy, never by "second highest number".
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.readings import Watch
from recovery.versions import parse_version, prefix_of


class Standing(StrEnum):
    """What was found of a revision, written on the revision itself."""

    HEALTHY = "healthy"  # watched to the end without a breach
    FAULTY = "faulty"  # taken back; must not come again


@dataclass(frozen=True, slots=True)
class Mark:
    """A standing, bound to the template it was given to: kubectl copies annotations from revision to revision."""

    standing: Standing
    template_hash: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """One ReplicaSet of a Deployment: a template that ran at some time."""

    number: int
    replica_set: str
    template_hash: str
    version: str | None
    active_since: datetime
    mark: Mark | None = None
    patch_of: str | None = None  # the faulty version that this one, a patch release of ours, replaces

    @property
    def standing(self) -> Standing | None:
        """The mark's standing, if the mark speaks of this very template."""
        return self.mark.standing if self.mark and self.mark.template_hash == self.template_hash else None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Deployment as the API server showed it at one instant. `revisions` are in ascending order of number."""

    service: str
    namespace: str
    name: str
    uid: str
    version: str | None  # of the template that is wanted now, whether or not its revision exists yet
    generation: int
    observed_generation: int
    wanted: int
    replicas: int
    updated: int
    available: int
    paused: bool = False
    deadline_exceeded: bool = False
    revisions: tuple[Revision, ...] = ()
    current: Revision | None = None  # the revision whose template is the wanted one; None: not made yet

    def __str__(self) -> str:
        return f"deployment {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """Take a Deployment from the template of one version back to that of a revision that was good."""

    service: str
    namespace: str
    deployment: str
    from_version: str
    to_version: str
    to_replica_set: str
    to_hash: str
    done: bool  # the cluster already asks for the target
    reason: str


class Stage(StrEnum):
    """Where a rollout stands."""

    MOVING = "moving"
    SETTLED = "settled"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Progress:
    """A stage and the sentence for it."""

    stage: Stage
    reason: str


def plan_undo(rollout: Rollout, faulty: str, quarantined: Collection[str] = ()) -> UndoPlan:
    """Choose the revision to go back to from the faulty version.

    The newest revision certified healthy wins; without one, the newest that is neither the faulty version,
    nor quarantined, nor marked faulty. A Deployment already taken away from the faulty version by an undo
    gives a plan that is done.

    Raises Refused when the Deployment is paused, runs something else, or has nothing to go back to.
    """
    if rollout.version != faulty:
        return _already_undone(rollout, faulty)
    if rollout.paused:
        raise Refused(
            f"{rollout} is paused, expected it to roll: 'kubectl -n {rollout.namespace} rollout resume "
            f"deployment/{rollout.name}' and try again"
        )
    target = choose_target(rollout.revisions, faulty, quarantined)
    if target is None:
        tried = ", ".join(f"{each.version} (revision {each.number})" for each in rollout.revisions) or "none"
        raise Refused(
            f"{rollout} has no good revision before {faulty}, its history holds {tried}: "
            "prepare a hotfix, or deploy a version that is known to be good"
        )
    why = "certified healthy" if target.standing is Standing.HEALTHY else "the newest before it, never certified"
    return _plan(rollout, faulty, target, done=False, reason=f"{target.version} is revision {target.number}, {why}")


def choose_target(revisions: Iterable[Revision], faulty: str, quarantined: Collection[str]) -> Revision | None:
    """The newest certified revision, else the newest that nothing speaks against; None when there is none."""
    candidates = [
        each
        for each in revisions
        if each.version not in {faulty, None, *quarantined} and each.standing is not Standing.FAULTY
    ]
    certified = [each for each in candidates if each.standing is Standing.HEALTHY]
    return max(certified or candidates, key=lambda each: each.number, default=None)


def progress(rollout: Rollout, template_hash: str | None = None) -> Progress:
    """Answer where a rollout stands, as kubectl's `rollout status` does, but never trusting a stale deadline.

    After an undo there are some 10 ms in which the generation is observed and the condition still says
    ProgressDeadlineExceeded of the version before: the deadline counts only once the wanted template's own
    revision exists and its pods are counted as updated.
    """
    current = rollout.current
    if rollout.observed_generation < rollout.generation or current is None:
        return Progress(Stage.MOVING, f"{rollout}: the controller has not seen the change yet")
    if template_hash is not None and current.template_hash != template_hash:
        return Progress(Stage.STUCK, f"{rollout} was changed by somebody else: it now runs {rollout.version}")
    if rollout.updated < rollout.wanted:
        stage = Stage.STUCK if rollout.deadline_exceeded and rollout.updated > 0 else Stage.MOVING
        return Progress(stage, f"{rollout}: {rollout.updated} of {rollout.wanted} replicas updated")
    if rollout.replicas > rollout.updated:
        return Progress(Stage.MOVING, f"{rollout}: {rollout.replicas - rollout.updated} old replicas still there")
    if rollout.available < rollout.updated:
        stage = Stage.STUCK if rollout.deadline_exceeded else Stage.MOVING
        return Progress(stage, f"{rollout}: {rollout.available} of {rollout.updated} replicas available")
    return Progress(Stage.SETTLED, f"{rollout} serves {rollout.version} with {rollout.available} replicas")


def watch_of(service: Service, rollout: Rollout, version: str) -> Watch | None:
    """The watch over a version: from its newest revision's activation on; None when it never ran here."""
    revision = next((each for each in reversed(rollout.revisions) if each.version == version), None)
    if revision is None:
        return None
    since = revision.active_since
    return Watch(service.name, version, since, since + service.watch, service.step)


def open_watch(service: Service, rollout: Rollout, now: datetime) -> Watch | None:
    """The watch that is due: over the current revision, while it carries no standing yet.

    It stays open past its end, so that a monitor that was away still judges what it missed; a revision older
    than twice its window was deployed before anybody watched and is left alone.
    """
    current = rollout.current
    if current is None or current.version is None or current.standing is not None:
        return None
    return None if now > current.active_since + 2 * service.watch else watch_of(service, rollout, current.version)


def _already_undone(rollout: Rollout, faulty: str) -> UndoPlan:
    """Undone means: marked so, or running an older version after the faulty one ran."""
    ran = [each for each in rollout.revisions if each.version == faulty]
    current = rollout.current
    marked = any(each.standing is Standing.FAULTY for each in ran)
    if current is None or not ran or not (marked or _older(rollout.version, faulty)):
        history = ", ".join(str(each.version) for each in rollout.revisions) or "nothing"
        raise Refused(
            f"{rollout} runs {rollout.version}, expected {faulty}; its history holds {history}: "
            f"name the version that runs, or pass the service that runs {faulty}"
        )
    reason = f"{rollout} already runs {rollout.version} instead of {faulty}"
    return _plan(rollout, faulty, current, done=True, reason=reason)


def _older(version: str | None, faulty: str) -> bool:
    """Compare two tags of one service as versions; what is no version is not older."""
    prefix = prefix_of(faulty)
    try:
        return version is not None and parse_version(version, prefix) < parse_version(faulty, prefix)
    except Refused:
        return False


def _plan(rollout: Rollout, faulty: str, target: Revision, *, done: bool, reason: str) -> UndoPlan:
    return UndoPlan(
        service=rollout.service,
        namespace=rollout.namespace,
        deployment=rollout.name,
        from_version=faulty,
        to_version=str(target.version),
        to_replica_set=target.replica_set,
        to_hash=target.template_hash,
        done=done,
        reason=reason,
    )
