"""Ask the operator for a Backup under a name that is known beforehand, and see what came of it."""

from contextlib import suppress

from prefect import task

from recovery.catalog import Service
from recovery.cnpg import SERVICE, Backed, BackupPhase, Clustered, backup_of
from recovery.cnpg_gates import cnpg_of, judge_backup, namespace_of
from recovery.cnpg_plans import CnpgPlan
from recovery.cnpg_settings import backup_request
from recovery.errors import Unavailable
from recovery.restore_points import Choice
from tasks.kubernetes.api import Conflicting, Json, request
from tasks.kubernetes.cnpg.reading import (
    API,
    FIELD_MANAGER,
    backed,
    backup_path,
    look,
    look_at_backup,
    wait_for,
)
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="read Backups", task_run_name="read the Backups of {service.name}", **LOOKING_AGAIN)
def read_backups(service: Service) -> tuple[Backed, ...]:
    """Every Backup that we asked for, for this service."""
    found = request("GET", f"{backup_path(namespace_of(service))}?labelSelector={SERVICE}%3D{service.name}")
    return tuple(backed(each) for each in found["items"])


@task(name="take Backup", task_run_name="take the Backup of {choice.point.name}", **LOOKING_AGAIN)
def take_named_backup(service: Service, seen: Clustered, choice: Choice) -> Backed:
    """Ask for the Backup before a point, once, and wait until it is whole; a point that is there has its own.

    Raises Refused when it failed or is another Cluster's; Unavailable after the catalogue's `deadline`.
    """
    place, name, why = namespace_of(service), backup_of(choice.point.name), ["it is not to be seen"]
    if choice.there:  # one that was taken now would lie behind the point
        return Backed(name, seen.name, BackupPhase.COMPLETED)
    _ask(place, name, service.name, seen)

    def whole() -> Backed | None:
        found = look_at_backup(place, name)
        late = judge_backup(found, seen.name)
        why.append(late or "")
        return found if late is None else None

    return wait_for(whole, cnpg_of(service).deadline, lambda: why[-1])


@task(name="begin first Backup", **LOOKING_AGAIN)
@spoken
def begin_first_backup(service: Service, plan: CnpgPlan) -> str:
    """Ask for the first Backup of the restored Cluster, once. It is begun here, and the operator finishes it."""
    seen = look(plan.namespace, plan.restored)
    if seen is None:
        raise Unavailable(f"{plan.restored} is not to be seen: run this again")
    name = backup_of(f"{plan.restored}-first")
    verb = "is begun" if _ask(plan.namespace, name, service.name, seen) else "was begun before"
    found = look_at_backup(plan.namespace, name)
    judge_backup(found, seen.name)
    return f"the first Backup of {plan.restored} {verb}: {name} is {found.reason if found else 'not to be seen'}"


def backup_object(name: str, service: str, seen: Clustered) -> Json:
    """The Backup as it is sent."""
    return {
        "apiVersion": API.removeprefix("/apis/"),
        "kind": "Backup",
        "metadata": {"name": name, "labels": {SERVICE: service}},
        "spec": backup_request(seen.name, seen.spec),
    }


def _ask(namespace: str, name: str, service: str, seen: Clustered) -> bool:
    """Whether it was made now. A lost answer is settled by the look that follows."""
    if look_at_backup(namespace, name) is not None:
        return False
    with suppress(Conflicting):  # an earlier try's answer was lost
        body = backup_object(name, service, seen)
        request("POST", f"{backup_path(namespace)}?fieldManager={FIELD_MANAGER}", body, "application/json")
    return True
