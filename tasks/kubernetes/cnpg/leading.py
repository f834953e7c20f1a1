"""Lead clients from the damaged Cluster to the restored one: by their Secret or their Service, and a restart."""

from collections.abc import Callable

from prefect import task

from recovery.catalog import Service
from recovery.cnpg import CnpgPoint
from recovery.cnpg_gates import cnpg_of
from recovery.cnpg_leading import CLUSTER_LABEL, moved_host, moved_selector
from recovery.cnpg_plans import CnpgPlan, Led, restored_name
from recovery.databases import Secret
from recovery.errors import Incomplete, Refused, Unavailable
from tasks.kubernetes.api import Json, request
from tasks.kubernetes.cnpg.reading import FIELD_MANAGER
from tasks.kubernetes.secrets import address_of, put_address, restart_for
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="read where clients are led", **LOOKING_AGAIN)
def read_led(service: Service, point: CnpgPoint) -> Led:
    """By what clients are led, and whether to the restored Cluster already.

    Raises Refused when they are led to neither of the two, so that nothing we change would reach them.
    """
    damaged, restored, cnpg = point.cluster, restored_name(point), cnpg_of(service)
    if cnpg.secret is not None:
        host, _ = address_of(service, cnpg.secret)
        return Led(f"the Secret {cnpg.secret.name}", moved_host(host, damaged, restored) is None)
    found = _read(service)
    return Led(f"the Service {found['metadata']['name']}", not _patch(found, damaged, restored))


@task(name="lead clients", task_run_name="lead the clients of {service.name} to {plan.restored}", **LOOKING_AGAIN)
@spoken
def lead_clients(service: Service, plan: CnpgPlan, at: str) -> str:
    """Change where the Secret or the Service leads and have the Deployment restarted, each once.

    Raises Refused while nothing was changed, Incomplete once it was, or may have been.
    """
    secret = cnpg_of(service).secret
    said = _by_secret(service, secret, plan) if secret else _by_service(service, plan)
    said += restart_for(service, plan.name, at, said)
    return " and ".join(said) or f"skipped: the clients and {service.workload} were led to {plan.restored} before"


def _by_secret(service: Service, secret: Secret, plan: CnpgPlan) -> list[str]:
    host, port = address_of(service, secret)
    to = moved_host(host, plan.damaged, plan.restored)
    try:
        return put_address(service, secret, to, port) if to else []
    except Unavailable as error:
        _settle(lambda: address_of(service, secret)[0] != to, f"the Secret {secret.name}", error)
    return [f"put {to}:{port} into the Secret {secret.name}"]


def _by_service(service: Service, plan: CnpgPlan) -> list[str]:
    found = _read(service)
    body, name = _patch(found, plan.damaged, plan.restored), found["metadata"]["name"]
    if not body:
        return []
    version = {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]}
    try:
        request("PATCH", f"{_path(service)}?fieldManager={FIELD_MANAGER}", [version, *body])
    except Unavailable as error:
        _settle(lambda: bool(_patch(_read(service), plan.damaged, plan.restored)), f"the Service {name}", error)
    return [f"led the Service {name} to {plan.restored}"]


def _settle(unchanged: Callable[[], bool], what: str, error: Unavailable) -> None:
    """An answer got lost: whether the change took effect is the API server's to say."""
    try:
        as_before = unchanged()
    except Unavailable:
        raise Incomplete(
            f"{what} may have been changed, and the API server stopped answering: {error}; run this again"
        ) from None
    if as_before:
        raise error


def _patch(found: Json, damaged: str, restored: str) -> list[Json]:
    """What is to be changed of a Service; nothing where it leads to the restored Cluster."""
    metadata, spec = found["metadata"], found["spec"]
    if any(owner.get("kind") == "Cluster" for owner in metadata.get("ownerReferences") or ()):
        raise Refused(f"the Service {metadata['name']} is the operator's own: lead clients by one of yours")
    if spec.get("type") == "ExternalName":
        host = moved_host(spec["externalName"], damaged, restored)
        return [{"op": "replace", "path": "/spec/externalName", "value": host}] if host else []
    selected = moved_selector((spec.get("selector") or {}).get(CLUSTER_LABEL), damaged, restored)
    pointer = "/spec/selector/" + CLUSTER_LABEL.replace("/", "~1")
    return [{"op": "replace", "path": pointer, "value": selected}] if selected else []


def _read(service: Service) -> Json:
    return request("GET", _path(service))


def _path(service: Service) -> str:
    named = cnpg_of(service).service
    if named is None:
        raise Refused(f"the catalogue names no `service` of the database of {service.name}")
    return f"/api/v1/namespaces/{service.namespace}/services/{named.name}"
