"""What the API server says of Clusters and Backups, as values of `recovery`."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from urllib.parse import quote

from prefect import task

from recovery.catalog import Service
from recovery.cnpg import ROLE, SERVICE, Backed, BackupPhase, Clustered, CnpgPoint, Condition, Role
from recovery.cnpg_gates import cnpg_of, namespace_of
from recovery.cnpg_plans import Pair, restored_name
from tasks import waiting
from tasks.kubernetes.api import Json, Missing, request
from tasks.retry import LOOKING_AGAIN

T = TypeVar("T")
POLL_SECONDS = 2.0
FIELD_MANAGER = "ripcord"
API = "/apis/postgresql.cnpg.io/v1"
_PHASES = {"completed": BackupPhase.COMPLETED, "failed": BackupPhase.FAILED}


@task(name="read Cluster", task_run_name="read the Cluster of {service.name}", **LOOKING_AGAIN)
def read_cluster(service: Service) -> Clustered | None:
    """The Cluster that the catalogue names; None where there is none."""
    return look(namespace_of(service), cnpg_of(service).cluster)


@task(name="read both Clusters", **LOOKING_AGAIN)
def read_pair(service: Service, point: CnpgPoint) -> Pair:
    """The Cluster that a point is of, and the one that it is restored into."""
    place = namespace_of(service)
    return Pair(look(place, point.cluster), look(place, restored_name(point)))


def look(namespace: str, name: str) -> Clustered | None:
    """A Cluster now; None where there is none."""
    try:
        return _cluster(request("GET", cluster_path(namespace, name)))
    except Missing:
        return None


def look_for(namespace: str, service: str, role: Role) -> tuple[Clustered, ...]:
    """Every Cluster that we made for a service in a role."""
    selector = quote(f"{SERVICE}={service},{ROLE}={role}")
    found = request("GET", f"{cluster_path(namespace)}?labelSelector={selector}")
    return tuple(_cluster(each) for each in found["items"])


def look_at_backup(namespace: str, name: str) -> Backed | None:
    """A Backup now; None where there is none."""
    try:
        return backed(request("GET", backup_path(namespace, name)))
    except Missing:
        return None


def backed(found: Json) -> Backed:
    """What the API server's JSON says of a Backup."""
    status = found.get("status") or {}
    phase = str(status.get("phase") or "not begun")
    failure = status.get("error") or status.get("commandError") or ""
    return Backed(
        name=found["metadata"]["name"],
        cluster=found["spec"]["cluster"]["name"],
        phase=_PHASES.get(phase, BackupPhase.RUNNING),
        backup_id=status.get("backupId"),
        reason=" ".join(str(failure).split())[:300] if phase == "failed" else phase,
    )


def wait_for(look: Callable[[], T | None], within: timedelta, why: Callable[[], str]) -> T:
    """Look until there is something, an API server that is silent meanwhile included. Raises Unavailable."""
    return waiting.wait_for(look, within, why, POLL_SECONDS, "look at it and at the operator's log")


def cluster_path(namespace: str, name: str = "") -> str:
    """Where a Cluster is in the API, or all of a namespace."""
    return f"{API}/namespaces/{namespace}/clusters/{name}".rstrip("/")


def backup_path(namespace: str, name: str = "") -> str:
    """Where a Backup is in the API, or all of a namespace."""
    return f"{API}/namespaces/{namespace}/backups/{name}".rstrip("/")


def _cluster(found: Json) -> Clustered:
    metadata, status = found["metadata"], found.get("status") or {}
    return Clustered(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=str(status.get("phase") or ""),
        instances=int(found["spec"]["instances"]),
        ready=int(status.get("readyInstances") or 0),
        spec=found["spec"],
        reason=" ".join(str(status.get("phaseReason") or "").split())[:300],
        conditions={
            each["type"]: Condition(each["status"] == "True", " ".join(str(each.get("message") or "").split())[:300])
            for each in status.get("conditions") or ()
        },
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
        deleting="deletionTimestamp" in metadata,
    )
