"""Lead clients to another database by the Secret that holds their conninfo; the conninfo never leaves this file."""

import base64

from prefect import task

from recovery.catalog import Service
from recovery.databases import Restore, Secret
from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable
from recovery.restores import database_to_restore
from recovery.routes import Route, address_in, readdress
from recovery.sides import restore_of
from tasks.kubernetes.api import Json, deployment_path, request
from tasks.retry import LOOKING_AGAIN, spoken

FIELD_MANAGER = "ripcord"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
RESTORED, CHECKED = "ripcord.dev/restored-to", "ripcord.dev/checked"


@task(name="read secret", task_run_name="read where the Secret of {service.name} leads", **LOOKING_AGAIN)
def read_secret(service: Service) -> Route:
    """Where the Secret leads the clients; nothing else of it is told. Raises Refused when it is no such URL."""
    secret = _secret_of(service)
    host, port = address_of(service, secret)
    return Route(f"the Secret {secret.name}", host, port)


@task(name="lead by secret", task_run_name="lead {service.name} by its Secret", **LOOKING_AGAIN)
@spoken
def lead_by_secret(service: Service, point: str, at: str) -> str:
    """Put the restored server's address into the Secret and have the Deployment restarted, each once.

    `point` and `at` are written on the Deployment's template as `kubectl rollout restart` does: a repeat writes the
    same and restarts nothing. Raises Refused when somebody else changed the Secret meanwhile, Incomplete when it
    was changed and the Deployment could not be restarted.
    """
    secret, restore = _secret_of(service), _restore(service)
    said = put_address(service, secret, restore.host, restore.port)
    said += restart_for(service, point, at, said)
    return " and ".join(said) or f"skipped: the Secret {secret.name} and {service.workload} were led there before"


def check_secret(service: Service) -> str:
    """Read where the Secret of a restore leads and try to change it without effect (server-side dry run).

    Raises Refused when a right is missing or the Secret is not what the catalogue says.
    """
    database = service.database
    if database is None or database.restore is None or database.restore.secret is None:
        return "none in the catalogue"
    secret = database.restore.secret
    host, port = address_of(service, secret)
    body = {"metadata": {"annotations": {CHECKED: ""}}}
    path = f"{_path(service, secret)}?dryRun=All&fieldManager={FIELD_MANAGER}"
    request("PATCH", path, body, "application/merge-patch+json")
    return f"{secret.name} leads to {host}:{port}, and may be changed"


def address_of(service: Service, secret: Secret) -> tuple[str, int]:
    """Where a Secret leads. Raises Refused when it is no such URL."""
    return address_in(_conninfo(_read(service, secret), secret))


def put_address(service: Service, secret: Secret, host: str, port: int) -> list[str]:
    """Put an address into a Secret, once; says what was done, nothing where it was there."""
    found = _read(service, secret)
    conninfo = _conninfo(found, secret)
    if address_in(conninfo) == (host, port):
        return []
    _write(service, secret, found, readdress(conninfo, host, port))
    return [f"put {host}:{port} into the Secret {secret.name}"]


def restart_for(service: Service, point: str, at: str, done: list[str]) -> list[str]:
    """Have the Deployment restarted for a restore, once. Raises Incomplete with what was `done` when it cannot be."""
    try:
        return _restart(service, point, at)
    except RecoveryError as error:
        raise Incomplete(
            f"{service.workload} could not be restarted, its pods still know the damaged server: {error}", tuple(done)
        ) from None


def _write(service: Service, secret: Secret, found: Json, conninfo: str) -> None:
    """Replace the key while the Secret is still the one looked at; a lost answer is settled by reading back."""
    coded = base64.b64encode(conninfo.encode()).decode()
    body: list[Json] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]},
        {"op": "replace", "path": f"/data/{_pointer(secret.key)}", "value": coded},
    ]
    try:
        request("PATCH", f"{_path(service, secret)}?fieldManager={FIELD_MANAGER}", body)
    except Unavailable:
        if _conninfo(_read(service, secret), secret) != conninfo:
            raise


def _restart(service: Service, point: str, at: str) -> list[str]:
    path = deployment_path(service.namespace, service.workload)
    annotations = request("GET", path)["spec"]["template"]["metadata"].get("annotations") or {}
    if annotations.get(RESTORED) == point:
        return []
    body = {"spec": {"template": {"metadata": {"annotations": {RESTORED: point, RESTARTED: at}}}}}
    request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}", body, "application/strategic-merge-patch+json")
    return [f"had {service.workload} restarted"]


def _read(service: Service, secret: Secret) -> Json:
    return request("GET", _path(service, secret))


def _conninfo(found: Json, secret: Secret) -> str:
    coded = (found.get("data") or {}).get(secret.key)
    if coded is None:
        raise Refused(f"the Secret {secret.name} has no key {secret.key}: name the one that holds the conninfo")
    try:
        return base64.b64decode(coded).decode()
    except ValueError:
        raise Refused(f"the key {secret.key} of the Secret {secret.name} is no text: it must hold a URL") from None


def _path(service: Service, secret: Secret) -> str:
    return f"/api/v1/namespaces/{service.namespace}/secrets/{secret.name}"


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _restore(service: Service) -> Restore:
    return restore_of(database_to_restore(service))


def _secret_of(service: Service) -> Secret:
    secret = _restore(service).secret
    if secret is None:
        raise Refused(f"the catalogue names no `secret` of the database of {service.name}")
    return secret
