"""CloudNativePG's kinds in a real API server, the rules of its webhook, and what ripcord may do there."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.lab.cnpg import Operator, crds, install
from infra.lab.cnpg_servers import Instance, instance
from infra.lab.kubernetes import Cluster
from infra.lab.process import LabError
from recovery.cnpg_settings import CARRIED, CHANGED
from tests.integration.cnpg_shop import STORE, cluster_spec
from tests.integration.kubectl import may

ORIGIN = {"name": "origin", "barmanObjectStore": STORE}
KIND = "clusters.postgresql.cnpg.io"
TARGET = {"backupID": "20260101T110000", "targetName": "point"}


@pytest.fixture(name="knowing", scope="module")
def _knowing(cluster: Cluster) -> Iterator[Cluster]:
    """A control plane that knows the kinds, with nobody who reconciles them."""
    install(cluster)
    yield cluster
    cluster.kubectl("-n", "acme", "delete", KIND, "--all")


def manifest(name: str, spec: dict[str, Any], **metadata: Any) -> str:
    """A Cluster as kubectl takes it."""
    kind = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster"}
    return json.dumps({**kind, "metadata": {"name": name, **metadata}, "spec": spec})


def recovering(**more: Any) -> dict[str, Any]:
    """A spec that recovers."""
    return {"instances": 1, "bootstrap": {"recovery": {"source": "origin", "recoveryTarget": TARGET, **more}},
            "externalClusters": [ORIGIN], "storage": {"size": "1Gi"}}  # fmt: skip


def test_every_field_of_a_cluster_is_decided_about() -> None:
    """Carried over, or changed for a reason: a CRD with a field that nobody has looked at fails here."""
    known = [each for file in crds() for each in yaml.safe_load_all(file.read_text())]
    [crd] = [each for each in known if each["metadata"]["name"] == KIND]
    [version] = [each for each in crd["spec"]["versions"] if each["name"] == "v1"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]

    assert {*fields} == CARRIED | CHANGED.keys()


def test_a_directory_without_crds_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who wants the operator's own and names the wrong place is told so, and not tested on what stands in."""
    monkeypatch.setenv("RIPCORD_LAB_CNPG_CRDS", str(tmp_path))
    with pytest.raises(LabError, match="there is no file"):
        crds()


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"instances": 0}, "spec.instances in body should be greater than or equal to 1"),
        ({"instances": 1, "primaryUpdateMethod": "never"}, "Unsupported value"),
        (recovering(recoveryTarget={"targetName": "point"}), "BackupID is missing"),
        (recovering(source="nowhere"), "the external cluster was not found"),
        (recovering(database="shop"), "database and owner must be given both"),
        (cluster_spec(instances=1), "synchronous replicas must be less than"),
        (cluster_spec(plugins=[{"name": "p", "isWALArchiver": True}]), "Cannot enable a WAL archiver plugin"),
    ],
)
def test_what_the_operator_would_not_take_is_not_taken(knowing: Cluster, spec: dict[str, Any], why: str) -> None:
    """By the schema, and by what stands in for the webhook: what our own objects get past is therefore right."""
    with pytest.raises(LabError, match=why):
        knowing.kubectl("-n", "acme", "create", "--dry-run=server", "-f", "-", input=manifest("tried", spec))


@pytest.mark.parametrize("name", ["a" * 51, "1-shop", "shop.db"])
def test_names_are_as_the_operator_wants_them(knowing: Cluster, name: str) -> None:
    """Fifty characters, a letter first, no dot."""
    with pytest.raises(LabError):
        knowing.kubectl(
            "-n", "acme", "create", "--dry-run=server", "-f", "-", input=manifest(name, {"instances": 1})
        )  # fmt: skip


def test_ripcord_deletes_only_what_it_made_for_a_proof(knowing: Cluster) -> None:
    """RBAC cannot say so, the guard does; and of a Cluster that is there it changes annotations alone."""
    ripcord = knowing.kubeconfig_for("ripcord")
    roles = [{}, {"ripcord.dev/role": "proof"}, {"ripcord.dev/role": "drill"}]
    for name, labels in zip(("guarded", "guarded-proof", "guarded-drill"), roles, strict=True):
        knowing.kubectl("-n", "acme", "create", "-f", "-", input=manifest(name, {"instances": 1}, labels=labels))

    for attempt, why in (
        (["delete", KIND, "guarded"], "ripcord deletes no Cluster but the copies"),
        (["patch", KIND, "guarded", "--type=merge", '-p={"spec":{"instances":2}}'], "changes no more of a Cluster"),
        (["label", KIND, "guarded", "ripcord.dev/role=proof"], "changes no more of a Cluster"),
    ):
        with pytest.raises(LabError, match=why):
            knowing.kubectl("-n", "acme", *attempt, kubeconfig=ripcord)
    knowing.kubectl("-n", "acme", "annotate", KIND, "guarded", "cnpg.io/fencedInstances=[]", kubeconfig=ripcord)
    knowing.kubectl("-n", "acme", "delete", KIND, "guarded-proof", "guarded-drill", kubeconfig=ripcord)
    knowing.kubectl("-n", "acme", "delete", KIND, "guarded")


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("create", "backups.postgresql.cnpg.io", True),
        ("delete", "backups.postgresql.cnpg.io", False),
        ("patch", "backups.postgresql.cnpg.io", False),
        ("update", "clusters.postgresql.cnpg.io", False),
        ("patch", "clusters.postgresql.cnpg.io/status", False),
        ("get", "secrets", False),
        ("patch", "services", False),
        ("create", "pods/exec", False),
    ],
)
def test_ripcord_may_no_more_than_it_needs(knowing: Cluster, verb: str, resource: str, allowed: bool) -> None:
    """A Secret or a Service is allowed by its name, in a Role of the team's own."""
    assert may(knowing, "ripcord", verb, resource) is allowed


@pytest.fixture(name="raising")
def _raising(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No server is raised before it is set."""
    told = threading.Event()

    @contextmanager
    def told_to(*given: Any) -> Iterator[Instance]:
        assert told.wait(120)
        with instance(*given) as server:
            yield server

    monkeypatch.setattr("infra.lab.cnpg.instance", told_to)
    yield told
    told.set()


def test_a_cluster_of_the_same_name_finds_the_earlier_ones_server_gone(
    cluster: Cluster, operator: Operator, raising: threading.Event
) -> None:
    """Also where the operator, busy with another, saw no moment in which the name was nobody's."""
    raising.set()
    body = created(cluster, "anew")
    earlier = operator.wait_for("anew")

    raising.clear()
    created(cluster, "busy")
    wait_for(cluster, "busy", "Setting up primary")
    cluster.kubectl("-n", "acme", "delete", KIND, "anew", "--wait=false")
    cluster.kubectl("-n", "acme", "create", "-f", "-", input=body)
    raising.set()

    assert operator.wait_for("anew") is not earlier
    assert not earlier.up
    cluster.kubectl("-n", "acme", "delete", KIND, "anew", "busy")


def test_a_cluster_of_the_same_name_is_not_healthy_because_the_earlier_ones_server_came_up(
    cluster: Cluster, operator: Operator, raising: threading.Event
) -> None:
    """Its status is written by who sees to it, and not by who is still busy with the one that was removed."""
    body = created(cluster, "early")
    wait_for(cluster, "early", "Setting up primary")
    cluster.kubectl("-n", "acme", "delete", KIND, "early", "--wait=false")
    cluster.kubectl("-n", "acme", "create", "-f", "-", input=body)
    uid = cluster.kubectl("-n", "acme", "get", KIND, "early", "-o", "jsonpath={.metadata.uid}")
    raising.set()

    wait_for(cluster, "early", "Cluster in healthy state")
    assert uid in str(operator.server("early").passfile)
    cluster.kubectl("-n", "acme", "delete", KIND, "early")


def created(cluster: Cluster, name: str) -> str:
    """Create a Cluster; its manifest."""
    body = manifest(name, cluster_spec(backup=None))
    cluster.kubectl("-n", "acme", "create", "-f", "-", input=body)
    return body


def wait_for(cluster: Cluster, name: str, phase: str) -> None:
    """By kubectl's own watch, which misses no phase."""
    phases = f"--for=jsonpath={{.status.phase}}={phase}"
    cluster.kubectl("-n", "acme", "wait", KIND, name, phases, "--timeout=110s")
