"""The cutover by a Secret on a real control plane: the conninfo changes once, the Deployment restarts once.

kubectl is the witness.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest
from prefect.logging import disable_run_logger

import tasks.kubernetes.secrets
from infra.lab.kubernetes import Cluster
from infra.lab.process import LabError, wait_until
from recovery.catalog import Service
from recovery.databases import Database, Restore, Secret
from recovery.errors import Incomplete, Refused
from tasks.kubernetes import wait_until_settled
from tasks.kubernetes.secrets import check_secret, lead_by_secret, read_secret
from tests.integration.kubectl import read, roll_out

CASES = count(1)
POINT, AT = "shop-v1.2.0-1-0a1b2c3d", "2026-01-01T12:00:00+00:00"
OLD = "postgresql://shop:p%40ss@db.acme:5432/shop?sslmode=require"
NEW = "postgresql://shop:p%40ss@10.0.0.5:5433/shop?sslmode=require"
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: restore-{name}, namespace: acme}}
rules:
- {{apiGroups: [""], resources: [secrets], resourceNames: [{name}-database], verbs: [get, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: restore-{name}, namespace: acme}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: restore-{name}}}
subjects: [{{kind: ServiceAccount, name: ripcord, namespace: ripcord}}]
"""


@pytest.fixture(name="shop")
def _shop(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with a Secret, on which ripcord has exactly the rights of the runbook."""
    monkeypatch.setenv("RIPCORD_KUBECONFIG", str(cluster.kubeconfig_for("ripcord")))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    name = f"led-{next(CASES)}"
    restore = Restore(sides="/srv/sides", host="10.0.0.5", port=5433, secret=Secret(name=f"{name}-database"))
    database = Database(url_variable="SHOP_DATABASE_URL", backups="/srv/sets", archive="/srv/archive", restore=restore)
    roll_out(cluster, name, "v1.2.0", replicas=1)
    cluster.kubectl(
        "-n", "acme", "create", "secret", "generic", f"{name}-database",
        f"--from-literal=DATABASE_URL={OLD}", "--from-literal=OTHER=kept",
    )  # fmt: skip
    cluster.kubectl("apply", "-f", "-", input=ROLE.format(name=name))
    # The API server's authorizer hears of a role some milliseconds after it was stored.
    wait_until(lambda: is_allowed(cluster, f"{name}-database"), what="the right", seconds=20)
    with disable_run_logger():
        yield Service(name=name, namespace="acme", repository="acme/shop", database=database)


def is_allowed(cluster: Cluster, name: str) -> bool:
    """Whether ripcord's own account reads a Secret by now."""
    with suppress(LabError):
        return bool(cluster.kubectl("-n", "acme", "get", "secret", name, kubeconfig=cluster.kubeconfig_for("ripcord")))
    return False


def secret(cluster: Cluster, shop: Service) -> dict[str, str]:
    """What the Secret holds, as kubectl tells it."""
    printed = cluster.kubectl("-n", "acme", "get", "secret", f"{shop.name}-database", "-o", "json")
    return {key: base64.b64decode(value).decode() for key, value in json.loads(printed)["data"].items()}


def generation(cluster: Cluster, shop: Service) -> str:
    """How often the Deployment was changed."""
    return read(cluster, "deployment", shop.name, ".metadata.generation")


def test_the_address_changes_and_the_pods_are_new(cluster: Cluster, shop: Service) -> None:
    """User, password, name and options stay; no other key is touched; the new pods settle."""
    pods = read(cluster, "pods", f"--selector=app={shop.name}", ".items[*].metadata.name")
    route = read_secret.fn(shop)
    assert (route.host, route.port) == ("db.acme", 5432)

    said = lead_by_secret.fn(shop, POINT, AT)
    wait_until_settled.fn(shop)

    assert said == f"put 10.0.0.5:5433 into the Secret {shop.name}-database and had {shop.name} restarted"
    assert secret(cluster, shop) == {"DATABASE_URL": NEW, "OTHER": "kept"}
    assert str(read_secret.fn(shop)) == "10.0.0.5:5433"
    after = read(cluster, "pods", f"--selector=app={shop.name}", ".items[*].metadata.name")
    assert not {*pods.split()} >= {*after.split()}


def test_the_check_tries_the_right_and_changes_nothing(cluster: Cluster, shop: Service) -> None:
    """Without `patch` it is refused long before the night; a service without a Secret has none to be checked."""
    before = read(cluster, "secret", f"{shop.name}-database", ".metadata.resourceVersion")

    assert check_secret(shop) == f"{shop.name}-database leads to db.acme:5432, and may be changed"

    assert read(cluster, "secret", f"{shop.name}-database", ".metadata.resourceVersion") == before
    only_read = ROLE.format(name=shop.name).replace("verbs: [get, patch]", "verbs: [get]")
    cluster.kubectl("apply", "-f", "-", input=only_read)
    wait_until(lambda: "patch" in refused(shop), what="the end of the right", seconds=20)
    assert check_secret(shop.model_copy(update={"database": None})) == "none in the catalogue"


def refused(shop: Service) -> str:
    """Why the check fails; empty where it does not."""
    try:
        check_secret(shop)
    except Refused as refused:
        return str(refused)
    return ""


def test_a_repeat_restarts_nothing(cluster: Cluster, shop: Service) -> None:
    """Killed after the Secret and run again it restarts; run once more it leaves all as it is."""
    cluster.kubectl("-n", "acme", "patch", "secret", f"{shop.name}-database", "-p", json.dumps({"stringData": {
        "DATABASE_URL": NEW}}))  # fmt: skip
    assert lead_by_secret.fn(shop, POINT, AT) == f"had {shop.name} restarted"
    before = generation(cluster, shop)

    said = lead_by_secret.fn(shop, POINT, AT)

    assert said == f"skipped: the Secret {shop.name}-database and {shop.name} were led there before"
    assert generation(cluster, shop) == before


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    cluster: Cluster, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patch holds only for the Secret that was looked at."""
    look = tasks.kubernetes.secrets._read

    def meddle(*given: object) -> object:
        found = look(*given)  # type: ignore[arg-type]
        cluster.kubectl("-n", "acme", "annotate", "secret", f"{shop.name}-database", "touched=yes", "--overwrite")
        return found

    monkeypatch.setattr(tasks.kubernetes.secrets, "_read", meddle)
    with pytest.raises(Refused, match="changed by somebody else meanwhile"):
        lead_by_secret.fn(shop, POINT, AT)
    assert secret(cluster, shop)["DATABASE_URL"] == OLD
    assert "restored-to" not in read(cluster, "deployment", shop.name, ".spec.template.metadata.annotations")


@pytest.mark.parametrize(
    ("conninfo", "said"),
    [
        ("host=db user=shop password=hunter2", "holds no postgresql:// URL with one host"),
        ("postgresql://shop:hunter2@one,two/shop", "holds no postgresql:// URL with one host"),
        ("postgresql://shop:hunter2@db:port/shop", "holds no postgresql:// URL with one host"),
    ],
)
def test_what_is_no_url_is_refused_without_a_word_of_it(
    conninfo: str, said: str, cluster: Cluster, shop: Service
) -> None:
    """It holds a password."""
    cluster.kubectl("-n", "acme", "patch", "secret", f"{shop.name}-database", "-p", json.dumps({"stringData": {
        "DATABASE_URL": conninfo}}))  # fmt: skip
    with pytest.raises(Refused, match=said) as refused:
        read_secret.fn(shop)
    assert "hunter2" not in str(refused.value)


def test_a_missing_right_or_key_is_a_sentence(cluster: Cluster, shop: Service) -> None:
    """Each before anything is changed."""
    for named, said in (
        (Secret(name=f"{shop.name}-database", key="OTHER_URL"), "has no key OTHER_URL"),
        (Secret(name="of-somebody-else"), "does not allow GET"),
    ):
        with pytest.raises(Refused, match=said):
            read_secret.fn(with_secret(shop, named))


def with_secret(shop: Service, named: Secret) -> Service:
    """The same service with another Secret in the catalogue."""
    assert shop.database is not None
    assert shop.database.restore is not None
    restore = shop.database.restore.model_copy(update={"secret": named})
    return shop.model_copy(update={"database": shop.database.model_copy(update={"restore": restore})})


def test_a_deployment_that_cannot_be_restarted_is_incomplete(
    cluster: Cluster, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Secret leads to the restored server and the pods do not: what was done is said, and a repeat goes on."""

    def refuse(*given: object) -> list[str]:
        raise Refused("not today")

    restart = tasks.kubernetes.secrets._restart
    monkeypatch.setattr(tasks.kubernetes.secrets, "_restart", refuse)
    with pytest.raises(Incomplete, match=r"its pods still know the damaged server: not today") as incomplete:
        lead_by_secret.fn(shop, POINT, AT)
    assert incomplete.value.done == (f"put 10.0.0.5:5433 into the Secret {shop.name}-database",)

    monkeypatch.setattr(tasks.kubernetes.secrets, "_restart", restart)
    assert lead_by_secret.fn(shop, POINT, AT) == f"had {shop.name} restarted"
