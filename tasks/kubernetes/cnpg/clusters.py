"""Make Clusters that recover to a point: one that takes the damaged one's place, or a copy that is thrown away."""

from contextlib import suppress
from datetime import timedelta

from prefect import task

from recovery.catalog import Service
from recovery.cnpg import COPIES, RESTORED_TO, ROLE, SERVICE, Clustered, CnpgPoint, Role, cluster_of
from recovery.cnpg_gates import cnpg_of, judge_ready, namespace_of
from recovery.cnpg_plans import CnpgPlan
from recovery.cnpg_settings import missing, proving, restoring
from recovery.errors import Refused
from tasks.kubernetes.api import Conflicting, Json, Missing, request
from tasks.kubernetes.cnpg.reading import (
    API,
    FIELD_MANAGER,
    cluster_path,
    look,
    look_for,
    wait_for,
)
from tasks.retry import LOOKING_AGAIN, spoken

REMOVED = timedelta(minutes=10)
ANEW = (Role.DRILL, Role.CLONE)


@task(name="raise copy", task_run_name="recover a {role} to {point.name}", **LOOKING_AGAIN)
def raise_copy(service: Service, seen: Clustered, point: CnpgPoint, role: Role) -> Clustered:
    """Have the operator recover a copy to the point, once, and wait until it is up; older copies are removed first.

    A drill finds nothing to go on with: what one that was killed has left is removed, for it is to be timed whole. Nor
    does a fix, whose clone is to be of now.
    Raises Refused when its name is taken by another or it cannot come up; Unavailable after `deadline`.
    """
    place, name = namespace_of(service), copy_of(point, role)
    for each in look_for(place, service.name, role):
        if role in ANEW or each.name != name or each.restored_to != point.name:
            _delete(place, each)
    if role in ANEW:
        wait_for(lambda: look(place, name) is None or None, REMOVED, lambda: f"{name} of an earlier try does not go")
    return _made(place, name, service.name, role, point, proving(seen.spec, point), cnpg_of(service).deadline)


@task(name="drop copy", task_run_name="remove the {role} of {point.name}", **LOOKING_AGAIN)
@spoken
def drop_copy(service: Service, point: CnpgPoint, role: Role) -> str:
    """Remove the copy, with its data. Raises Refused for a Cluster that is no copy of ours."""
    place, name = namespace_of(service), copy_of(point, role)
    seen = look(place, name)
    if seen is None:
        return f"skipped: the copy {name} is gone"
    _delete(place, seen)
    return f"removed the copy {name}"


@task(name="restore Cluster", **LOOKING_AGAIN)
@spoken
def restore_cluster(service: Service, plan: CnpgPlan, damaged: Clustered | None) -> str:
    """Have the operator recover the point beside the damaged Cluster, once, and wait until every instance is up.

    One that stands there with our annotation is gone on with. Raises Refused when the name is another's or when it
    cannot come up; Unavailable when it takes longer than the catalogue's `deadline`.
    """
    place, name, found = plan.namespace, plan.restored, look(plan.namespace, plan.restored)
    if found is None and damaged is None:
        raise Refused(f"neither {plan.damaged} nor {name} is there: nothing says how it was set")
    spec = restoring(damaged.spec, plan.point, plan.server_name) if damaged and found is None else {}
    seen = _made(place, name, service.name, Role.RESTORED, plan.point, spec, cnpg_of(service).deadline)
    return f"{'found' if found else 'restored'} {name}, up with {seen.ready} of {seen.instances} instances"


@task(name="settle Cluster", **LOOKING_AGAIN)
@spoken
def settle_cluster(service: Service, plan: CnpgPlan, damaged: Clustered | None, restored: Clustered) -> str:
    """See that the restored Cluster is set as the damaged one is. Raises Refused naming each setting that is not."""
    if damaged is None or plan.served:
        return f"skipped: {plan.restored} serves the clients" if plan.served else f"skipped: {plan.damaged} is gone"
    wanted = restoring(damaged.spec, plan.point, _server_name(restored) or plan.server_name)
    if wrong := missing(wanted, restored.spec):
        raise Refused(
            f"{plan.restored} is not set as {plan.damaged} is: {', '.join(wrong)}; set it by hand, and run this again"
        )
    return f"{plan.restored} has every setting of {plan.damaged}"


def cluster_object(name: str, service: str, role: Role, point: CnpgPoint, spec: Json) -> Json:
    """The Cluster as it is sent."""
    labels = {SERVICE: service, ROLE: str(role)}
    return {
        "apiVersion": API.removeprefix("/apis/"),
        "kind": "Cluster",
        "metadata": {"name": name, "labels": labels, "annotations": {RESTORED_TO: point.name}},
        "spec": spec,
    }


def _made(
    namespace: str, name: str, service: str, role: Role, point: CnpgPoint, spec: Json, within: timedelta
) -> Clustered:
    why = [f"{name} is not to be seen"]
    seen = look(namespace, name)
    if seen is None:
        body = cluster_object(name, service, role, point, spec)
        with suppress(Conflicting):  # an earlier try's answer was lost; whose it is is looked at below
            request("POST", f"{cluster_path(namespace)}?fieldManager={FIELD_MANAGER}", body, "application/json")

    def up() -> Clustered | None:
        found = look(namespace, name)
        late = judge_ready(found, name, point.name)
        why.append(late or "")
        return found if late is None else None

    return wait_for(up, within, lambda: why[-1])


def _delete(namespace: str, seen: Clustered) -> None:
    """Remove a copy of ours, and only the very one that was looked at."""
    if seen.labels.get(ROLE) not in COPIES or seen.restored_to is None:
        raise Refused(f"{seen.name} is there and no copy of ours: rename or remove it by hand")
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": seen.uid}}
    with suppress(Missing):
        request("DELETE", cluster_path(namespace, seen.name), body, "application/json")


def copy_of(point: CnpgPoint, role: Role) -> str:
    """The name of a point's copy in a role."""
    return cluster_of(point.service, point.version, point.attempt, role)


def _server_name(seen: Clustered) -> str | None:
    """Under which name it archives."""
    for plugin in seen.spec.get("plugins") or ():
        if plugin.get("isWALArchiver"):
            return (plugin.get("parameters") or {}).get("serverName")
    return ((seen.spec.get("backup") or {}).get("barmanObjectStore") or {}).get("serverName")
