"""The words of a database that AWS runs: what is seen of it, the point in time that is kept for it, and its names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from recovery.identifiers import ending, fitting
from recovery.restore_points import State

RESTORED_TO = "ripcord:restored-to"  # tag of what we restored; a rename does not take it away
ROLE, DRILLED = "ripcord:role", "drill"  # tag of a copy that is thrown away; the policy lets nothing else be deleted
LONGEST = 63  # characters of an identifier
AVAILABLE = "available"
# From these it does not come back by waiting.
HOPELESS = frozenset(
    {
        "failed", "deleting", "deleted", "stopped", "restore-error", "incompatible-restore", "incompatible-network",
        "incompatible-parameters", "incompatible-option-group", "inaccessible-encryption-credentials",
    }
)  # fmt: skip

Value = str | int | bool | tuple[str, ...] | None
"""One setting, in an order of its own where it is a list."""


@dataclass(frozen=True, slots=True)
class Managed:
    """An RDS instance or an Aurora cluster, as its description says."""

    identifier: str
    status: str
    host: str
    port: int
    resource: str  # the id that no rename changes
    retention: int  # days of automated backups; 0: none are taken
    latest: datetime | None  # LatestRestorableTime
    source: str | None = None  # what it is a replica of
    replicas: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()  # settings that were changed and are not in effect yet
    tags: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Value] = field(default_factory=dict)
    members: tuple[str, ...] = ()  # instances of a cluster, its writer first
    cluster: str | None = None  # the cluster that an instance is of

    @property
    def restored_to(self) -> str | None:
        """The point that we restored it to; None of what we did not restore."""
        return self.tags.get(RESTORED_TO)


class Reachable(Protocol):
    """A moment of one database to which RDS is to restore."""

    @property
    def name(self) -> str:
        """What it is called in the tag of what is restored to it."""

    @property
    def at(self) -> datetime:
        """A whole second."""

    @property
    def identifier(self) -> str:
        """The database's name."""

    @property
    def resource(self) -> str:
        """The id that no rename changes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment to which a copy is restored, and no more."""

    name: str
    at: datetime
    identifier: str
    resource: str


@dataclass(frozen=True, slots=True)
class TimedPoint:
    """A moment to which RDS can restore, and what the database was like right before and right after it.

    Two commits prove it: one that a restored database must have, and one that it must not have.
    """

    service: str
    version: str
    name: str
    attempt: int
    at: datetime  # a whole second of the server's clock: RDS takes no fraction
    identifier: str
    resource: str
    before: State
    after: State

    @property
    def made_at(self) -> datetime:
        """When it was made: it is a moment."""
        return self.at


@dataclass(frozen=True, slots=True)
class Frozen:
    """When the damaged database was closed, and the last value of each of its sequences then."""

    at: datetime
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Names:
    """The three identifiers of a restore."""

    final: str  # by which the clients go, before and after
    damaged: str  # what the damaged one is called afterwards
    restored: str  # what the restored one is called until then


def names_of(final: str, version: str, attempt: int) -> Names:
    """The identifiers of the restore of a release's point, the same on every try."""
    end = ending(version, attempt)
    return Names(final, fitting(f"{final}-damaged-{end}", LONGEST), fitting(f"{final}-restored-{end}", LONGEST))


def member_of(cluster: str, number: int) -> str:
    """The identifier of an instance of a restored cluster."""
    return fitting(f"{cluster}-{number}", LONGEST)


def drill_of(final: str, version: str, attempt: int) -> str:
    """The identifier of the copy that a drill restores."""
    return fitting(f"{final}-drill-{ending(version, attempt)}", LONGEST)


def base_of(final: str, version: str, attempt: int) -> str:
    """The identifier of the copy that a salvage compares with."""
    return fitting(f"{final}-then-{ending(version, attempt)}", LONGEST)


def clone_of(final: str, digest: str) -> str:
    """The identifier of the copy that a fix is tried on."""
    return fitting(f"{final}-fix-{digest[:12]}", LONGEST)


def snapshot_of(final: str, version: str, attempt: int) -> str:
    """The identifier of the manual snapshot that the gate takes."""
    return fitting(f"{final}-before-{ending(version, attempt)}", LONGEST)
