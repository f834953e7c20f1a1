"""Whether a database may be taken back to its restore point, what that loses, and what is done in which order.

Pure: everything seen arrives as an argument. Nothing is asked of the damaged server that could not be left unanswered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from recovery.backups import MARGIN
from recovery.catalog import Service
from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint, Then, show_age
from recovery.routes import Route
from recovery.set_checks import other_way
from recovery.sets import by_history
from recovery.sides import TO_BE_LAID, Side, Stage, judge_place, restore_of


@dataclass(frozen=True, slots=True)
class PointSet:
    """A set as it lies on disk."""

    then: Then
    proved: bool
    seconds: float | None = None  # from the set to a copy that takes writes, when it was proved
    otherwise: str = ""  # what a person does if it turns out to be damaged

    @property
    def point(self) -> RestorePoint:
        """The point that it leads to; which attempt it was its name says, and nobody asks."""
        return RestorePoint(self.then.name, 1, self.then.lsn, self.then.made_at)


@dataclass(frozen=True, slots=True)
class Damaged:
    """What the server says of itself that is to be left behind; all but the sentence may be unknown."""

    said: str
    answers: bool = False
    system_id: str | None = None
    timeline: int | None = None
    in_recovery: bool = False
    open: bool = True  # whether it takes connections of clients
    kept: bool = False  # closed to all but superusers, and read-only: this was done before
    lacking: tuple[str, ...] = ()  # rights without which it cannot be fenced
    counts: Mapping[str, int | None] = field(default_factory=dict)  # rows per table; None: it could not be read
    silent: bool = False  # nothing refuses a connection either: it may hang, and go on committing


@dataclass(frozen=True, slots=True)
class Begun:
    """That a person's word was given and a restore begun: kept on disk, so that a killed one goes on."""

    point: str
    at: datetime
    end: str | None = None  # LSN at which the damaged server was frozen; None: unknown, it did not answer
    frozen: bool = False
    numbers: Mapping[str, int] = field(default_factory=dict)  # last value of each of its sequences, right before


@dataclass(frozen=True, slots=True)
class Counter:
    """A sequence: the value it has handed out last, and how it goes on."""

    last: int
    step: int  # negative where it counts downwards
    least: int
    greatest: int


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that is looked at before deciding, once it is known which set it is about."""

    damaged: Damaged
    side: Side
    free: int  # bytes where the sides lie
    needed: int  # bytes of the set's backup that are still to be laid down
    begun: Begun | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Loss:
    """The rows of one table, at the point and now."""

    table: str
    then: int | None  # None: there was no such table
    now: int | None  # None: unknown

    def __str__(self) -> str:
        """What the point has of it and what is there now."""
        was = "not there" if self.then is None else str(self.then)
        now = "unknown" if self.now is None else f"{self.now}"
        moved = f" ({self.now - self.then:+d})" if self.now is not None and self.then is not None else ""
        return f"{self.table}: {was} at the point, {now} now{moved}"


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What is done to take one database back, before anything is touched."""

    service: str
    version: str
    cause: str
    then: Then
    point: RestorePoint
    age: str
    forecast: str
    route: Route
    host: str
    port: int
    damaged: str
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]
    steps: tuple[str, ...]
    ask: bool
    served: bool  # the clients are led to the restored server already
    off: bool = False  # a person vouches that a damaged server that is silent is switched off
    otherwise: str = ""  # what a person does if the set turns out to be damaged

    @property
    def name(self) -> str:
        """The point's name."""
        return self.then.name

    @property
    def reason(self) -> str:
        """The plan in a sentence."""
        if self.served:
            return f"skipped: the clients of {self.service} are led to the server restored to {self.name} already"
        return f"{self.service} goes back to {self.name}, made {self.age} ago: {self.cause}"


SPARE = 1000  # steps that may be handed out between the look at a sequence and the fence


def move_past(counter: Counter, handed_out: int | None) -> int | None:
    """The value from which a restored sequence goes on, past what was handed out; None where it is past it already."""
    if handed_out is None:
        return None
    wanted = max(counter.least, min(counter.greatest, handed_out + SPARE * counter.step))
    ahead = counter.last >= wanted if counter.step > 0 else counter.last <= wanted
    return None if ahead else wanted


def choose_set(service: str, version: str, sets: Sequence[PointSet], directory: str) -> PointSet:
    """The newest proved set of a release.

    Raises Refused when there is none, or when a later release has a point of its own: what that one wrote would be
    lost, too, and nobody has asked for it.
    """
    ours = [each for each in sets if each.then.service == service]
    proved = by_history((each for each in ours if each.proved), lambda each: each.then)
    found = next((each for each in reversed(proved) if each.then.version == version), None)
    if found is None:
        known = ", ".join(dict.fromkeys(each.then.version for each in reversed(proved))) or "none"
        unproved = "; one is there and was never proved" if any(each.then.version == version for each in ours) else ""
        raise Refused(
            f"{directory} has no proved set of {service} {version}{unproved}, proved are {known}: name one of those, "
            "or restore from a backup of another kind by hand"
        )
    newer = proved[-1].then
    if newer is not found.then:
        raise Refused(
            f"{newer.version} of {service} has a point of its own, made {newer.made_at:%Y-%m-%d %H:%M:%S}, after that "
            f"of {version}: restore {newer.version}, or move {directory}/{newer.name} away if its writes shall go, too"
        )
    return replace(found, otherwise=other_way(found.then, [each.then for each in proved], directory))


def database_to_restore(service: Service) -> Database:
    """The service's database. Raises Refused when the catalogue names none, or not how it is taken back."""
    if service.database is None:
        raise Refused(f"the catalogue names no database of {service.name}: add `database`")
    restore_of(service.database)
    judge_place(service.database)
    return service.database


def plan_restore(
    service: Service, cause: str, chosen: PointSet, sight: Sight, route: Route, off: bool = False
) -> RestorePlan:
    """Decide how the database goes back; `off` is a person's word that a silent damaged server is switched off.

    Raises Refused naming everything that stands against it.
    """
    database = database_to_restore(service)
    restore, then = restore_of(database), chosen.then
    served = route.leads_to(restore.host, restore.port) and sight.side.stage is Stage.PROMOTED
    wrong = [] if served else [*_history(then, sight.damaged), *_target(sight, route, restore.host, restore.port)]
    if not served:
        wrong += [*_room(sight, restore.sides), *sight.damaged.lacking, *_silence(sight.damaged, off)]
    if wrong:
        raise Refused("; ".join(wrong))
    return RestorePlan(
        service=service.name,
        version=then.version,
        cause=cause,
        then=then,
        point=chosen.point,
        age=show_age(sight.now - then.made_at),
        forecast=_forecast(chosen, sight.side),
        route=route,
        host=restore.host,
        port=restore.port,
        damaged=sight.damaged.said,
        losses=_losses(then, sight.damaged, database),
        notes=tuple(_notes(sight, route)),
        steps=_steps(then.name, sight, route, f"{restore.host}:{restore.port}"),
        ask=not served and restore.approval == "person" and sight.begun is None,
        served=served,
        off=off,
        otherwise=chosen.otherwise,
    )


def _history(then: Then, damaged: Damaged) -> list[str]:
    """A point of another history would bring back another database, or one that a restore has left already."""
    wrong = []
    if damaged.in_recovery:
        wrong.append("the conninfo leads to a standby, and it is the primary that is left behind: name that")
    if damaged.system_id not in (None, then.system_id):
        wrong.append(f"{then.name} is of the cluster {then.system_id} and the server is {damaged.system_id}")
    if damaged.timeline not in (None, then.timeline):
        wrong.append(
            f"{then.name} is on timeline {then.timeline} and the server on {damaged.timeline}: it was promoted since, "
            "a person must say which of its writes may go"
        )
    return wrong


def _silence(damaged: Damaged, off: bool) -> list[str]:
    """Two servers that take writes at once are the worst of all ends."""
    if not damaged.silent or off:
        return []
    return [
        f"{damaged.said}; nothing refuses a connection there either, so it may hang and go on committing: stop it "
        "(pg_ctl stop -m immediate), or switch its host off and say so with --off"
    ]


def _target(sight: Sight, route: Route, host: str, port: int) -> list[str]:
    side = sight.side
    if side.foreign:
        return [f"{host}:{port} is taken: {side.foreign}; name another `port`, or end that server"]
    if route.leads_to(host, port):
        return [
            f"the clients are led to {route} already, and no server restored to this point takes writes there: `host` "
            "and `port` of `restore` must be another server's than that in use"
        ]
    return []


def _room(sight: Sight, directory: str) -> list[str]:
    if sight.side.stage not in TO_BE_LAID:
        return []
    needed = int(sight.needed * MARGIN)
    if sight.free >= needed:
        return []
    return [
        f"{directory} has {sight.free // 1_000_000} MB free and {needed // 1_000_000} are needed ({MARGIN} x the set): "
        "make room"
    ]


def _losses(then: Then, damaged: Damaged, database: Database) -> tuple[Loss, ...]:
    """Every table that is not what it was, in the order of what was written; those unread first."""
    if not damaged.counts:
        return ()
    was = then.after.counts
    tables = {*was, *damaged.counts} - {*database.uncounted}
    all_ = [Loss(table, was.get(table), damaged.counts.get(table)) for table in sorted(tables)]
    moved = [loss for loss in all_ if loss.then != loss.now]
    return tuple(sorted(moved, key=lambda loss: (loss.now is not None, -abs((loss.now or 0) - (loss.then or 0)))))


def _forecast(chosen: PointSet, side: Side) -> str:
    if side.stage in (Stage.PAUSED, Stage.PROMOTED):
        return "seconds, the restored server stands there already"
    if chosen.seconds is None:
        return "unknown, its proof did not record it"
    return f"{chosen.seconds:.0f} s by its last proof, of which customers wait only for the end"


def _notes(sight: Sight, route: Route) -> list[str]:
    notes = []
    if sight.begun is not None:
        notes.append(f"a restore to it was begun at {sight.begun.at:%Y-%m-%d %H:%M:%S} and is gone on with")
    if not sight.damaged.answers:
        notes.append("what is lost is unknown, and a server that comes back is not fenced: see that it stays down")
    if route.sessions:
        notes.append("PgBouncer pools by session: clients in the middle of one are cut off, and connect again")
    notes.append("passwords, roles and other databases of the server come back as they were at the point, too")
    return notes


def _steps(name: str, sight: Sight, route: Route, to: str) -> tuple[str, ...]:
    raised = {
        Stage.PAUSED: f"find the server that stands at {name}",
        Stage.PROMOTED: f"find the server restored to {name}, which takes writes",
    }
    fresh = f"check every file and record of the set again, raise a server from it, stopped at {name}"
    return (
        f"{raised.get(sight.side.stage, fresh)}, compare it with what was, look into its tables for damage",
        f"hold the clients back, fence {route}, and see that nobody is connected to it",
        f"let the server on {to} take writes",
        f"lead the clients there by {route.way}",
        "keep the damaged server, read-only and closed to all but superusers, for the salvage",
        "let the restored server archive, ask the smoke queries on the clients' way, tell",
    )
