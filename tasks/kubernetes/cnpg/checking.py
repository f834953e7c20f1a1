"""Whether a database on CloudNativePG could be taken back tonight: rights are tried without effect."""

from recovery.catalog import Service
from recovery.cnpg import FENCED, SERVICE, Role
from recovery.cnpg_gates import judge_cluster, namespace_of
from recovery.errors import Refused
from tasks.kubernetes.api import request
from tasks.kubernetes.cnpg.backups import backup_object
from tasks.kubernetes.cnpg.reading import API, FIELD_MANAGER, backup_path, cluster_path, look, look_for
from tasks.kubernetes.secrets import address_of

DRY = f"dryRun=All&fieldManager={FIELD_MANAGER}"


def check_cnpg(service: Service) -> str:
    """What stands of the way back, in a sentence. Raises Refused naming what is missing, Unavailable on silence."""
    cnpg = service.cnpg
    if cnpg is None:
        return "none in the catalogue"
    place = namespace_of(service)
    seen = look(place, cnpg.cluster)
    said = judge_cluster(service, seen)
    if seen is None:
        raise Refused(said)
    look_for(place, service.name, Role.PROOF)
    request(
        "POST", f"{backup_path(place)}?{DRY}", backup_object("ripcord-check", service.name, seen), "application/json"
    )
    made = {"apiVersion": API.removeprefix("/apis/"), "kind": "Cluster", "spec": dict(seen.spec)}
    made["metadata"] = {"name": "ripcord-check", "labels": {SERVICE: service.name}}
    request("POST", f"{cluster_path(place)}?{DRY}", made, "application/json")
    fence = {"metadata": {"annotations": {FENCED: "[]"}}}
    request("PATCH", f"{cluster_path(place, seen.name)}?{DRY}", fence, "application/merge-patch+json")
    return f"{said}; {_led(service)}"


def _led(service: Service) -> str:
    cnpg = service.cnpg
    if cnpg and cnpg.secret:
        host, port = address_of(service, cnpg.secret)
        return f"clients are led by the Secret {cnpg.secret.name} to {host}:{port}"
    name = cnpg.service.name if cnpg and cnpg.service else ""
    path = f"/api/v1/namespaces/{service.namespace}/services/{name}"
    request("PATCH", f"{path}?{DRY}", {"metadata": {"annotations": {}}}, "application/merge-patch+json")
    return f"clients are led by the Service {name}"
