"""The words of a database that CloudNativePG runs: what is seen of a Cluster and a Backup, and the point in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from recovery.identifiers import ending, fitting
from recovery.restore_points import RestorePoint, Then

LONGEST = 50  # characters of a Cluster's name; the operator refuses a longer one
HEALTHY = "Cluster in healthy state"
SETTING_UP = "Setting up primary"
# From these it does not come back by waiting.
HOPELESS = frozenset(
    {
        "Cluster is unrecoverable and needs manual intervention",
        "Cluster has incomplete or invalid image catalog",
        "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
    }
)
FENCED = "cnpg.io/fencedInstances"
EVERY_INSTANCE = '["*"]'
HIBERNATION = "cnpg.io/hibernation"
SKIPS_ARCHIVING = "cnpg.io/skipWalArchiving"
RECONCILED = "cnpg.io/reconciliationLoop"
ARCHIVING = "ContinuousArchiving"
LAST_BACKUP = "LastBackupSucceeded"
# Annotation and labels of what we made; the operator passes them over.
RESTORED_TO = "ripcord.dev/restored-to"
SERVICE = "ripcord.dev/service"
ROLE = "ripcord.dev/role"
ORIGIN = "ripcord-origin"  # what the damaged Cluster's backups are called in the restored one's externalClusters

Spec = Mapping[str, Any]
"""The spec of a Cluster as the API server has it: carried over, hardly interpreted."""


class Role(StrEnum):
    """What a Cluster of ours is for."""

    RESTORED = "restored"
    PROOF = "proof"
    DRILL = "drill"
    BASE = "then"  # what a salvage compares with
    CLONE = "fix"  # what a fix is tried on


COPIES = (Role.PROOF, Role.DRILL, Role.BASE, Role.CLONE)  # which are thrown away


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a Cluster's status."""

    holds: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Clustered:
    """A Cluster, as the API server tells of it."""

    name: str
    uid: str
    phase: str
    instances: int  # that are wanted
    ready: int
    spec: Spec
    reason: str = ""  # of its phase
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    deleting: bool = False

    @property
    def restored_to(self) -> str | None:
        """The point that we restored it to; None of what we did not restore."""
        return self.annotations.get(RESTORED_TO)

    @property
    def fenced(self) -> bool:
        """Whether any of its instances is told to stand still."""
        return self.annotations.get(FENCED, "[]") not in ("", "[]")


class BackupPhase(StrEnum):
    """How far a Backup has come, as far as it matters to us."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Backed:
    """A Backup, as the API server tells of it."""

    name: str
    cluster: str
    phase: BackupPhase
    backup_id: str | None = None
    reason: str = ""  # what the operator says of its failure, or of its phase


@dataclass(frozen=True, slots=True)
class CnpgPoint:
    """A named point of a Cluster, the backup before it, and where both lie."""

    then: Then
    attempt: int
    cluster: str
    uid: str
    backup_id: str
    origin: Mapping[str, Any]  # an entry of externalClusters; credentials are names of Secrets in it

    @property
    def service(self) -> str:
        """Whose it is."""
        return self.then.service

    @property
    def version(self) -> str:
        """The release before which it was made."""
        return self.then.version

    @property
    def name(self) -> str:
        """The name by which recovery finds it."""
        return self.then.name

    @property
    def at(self) -> datetime:
        """When it was made."""
        return self.then.made_at

    @property
    def point(self) -> RestorePoint:
        """As the register has it."""
        return RestorePoint(self.name, self.attempt, self.then.lsn, self.at)


def backup_of(point: str) -> str:
    """The name of the Backup before a point. The point's name may hold what Kubernetes takes in no name."""
    return "-".join(
        part for part in "".join(each if each.isalnum() else "-" for each in point.lower()).split("-") if part
    )


def cluster_of(service: str, version: str, attempt: int, role: Role) -> str:
    """The name of a Cluster of ours: after the service, so that one restore upon another makes no longer names."""
    begin = service if service[0].isalpha() else f"db-{service}"
    return fitting(f"{begin}-{role}-{ending(version, attempt)}", LONGEST)


def address_of(namespace: str, cluster: str) -> dict[str, str]:
    """Where the primary of a Cluster answers: the operator's own Service for reading and writing."""
    return {"host": f"{cluster}-rw.{namespace}.svc", "port": "5432"}
