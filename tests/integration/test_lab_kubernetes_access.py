"""Who may do what in the lab's cluster: asked of kubectl, and tried."""

import stat
from pathlib import Path

import pytest

from infra.lab.kubernetes import PARTS, Cluster
from infra.lab.process import LabError
from tests.integration.kubectl import deployment, may, read, roll_out

FORBIDDEN = [
    ("delete", "deployments"),
    ("create", "deployments"),
    ("update", "deployments"),
    ("patch", "deployments/scale"),
    ("patch", "statefulsets"),
    ("delete", "replicasets"),
    ("delete", "pods"),
    ("patch", "pods"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("get", "secrets"),
    ("list", "secrets"),
    ("get", "configmaps"),
    ("create", "rolebindings"),
    ("create", "serviceaccounts/token"),
    ("*", "*"),
]


def test_ripcord_may_look_undo_and_annotate(cluster: Cluster) -> None:
    """As in production ripcord is a service account; it reads, undoes a Deployment and marks a ReplicaSet."""
    ripcord = cluster.kubeconfig_for("ripcord")
    for tag in ("v1", "v2"):
        roll_out(cluster, "allowed", tag, replicas=1)

    who = cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", kubeconfig=ripcord)
    cluster.kubectl("-n", "acme", "rollout", "undo", "deployment/allowed", kubeconfig=ripcord)
    cluster.kubectl("-n", "acme", "rollout", "status", "deployment/allowed", kubeconfig=ripcord)
    cluster.kubectl("-n", "acme", "annotate", "replicasets", "-l", "app=allowed", "v=ok", kubeconfig=ripcord)
    for kind in ("pods", "events", "events.events.k8s.io", "statefulsets", "daemonsets", "controllerrevisions"):
        cluster.kubectl("-n", "acme", "get", kind, kubeconfig=ripcord)

    image = read(cluster, "deployment", "allowed", ".spec.template.spec.containers[0].image")
    marks = cluster.kubectl("-n", "acme", "get", "rs", "-l", "app=allowed", "-o", "jsonpath={..annotations.v}")
    assert who == "system:serviceaccount:ripcord:ripcord"
    assert image == "registry.lab/allowed:v1"
    assert marks == "ok ok"


@pytest.mark.parametrize(("verb", "resource"), FORBIDDEN)
def test_ripcord_may_do_nothing_else(cluster: Cluster, verb: str, resource: str) -> None:
    """What ripcord does not need it is not allowed, not even in the namespace that it watches."""
    assert not may(cluster, "ripcord", verb, resource)
    assert may(cluster, "admin", verb, resource)


def test_ripcord_is_nobody_elsewhere(cluster: Cluster) -> None:
    """A namespace without the RoleBinding is closed to ripcord; so is the cluster's own scope."""
    assert may(cluster, "ripcord", "patch", "deployments")
    assert not may(cluster, "ripcord", "patch", "deployments", namespace="default")
    assert not may(cluster, "ripcord", "get", "pods", namespace="kube-system")
    assert not may(cluster, "ripcord", "list", "namespaces")


@pytest.mark.parametrize(
    "attempt", [["get", "secrets"], ["delete", "deployment", "kept"], ["scale", "deployment/kept", "--replicas=0"]]
)
def test_the_api_server_refuses_what_ripcord_may_not(cluster: Cluster, attempt: list[str]) -> None:
    """A real attempt is refused as forbidden, and the Deployment stays as it was."""
    roll_out(cluster, "kept", replicas=1)

    with pytest.raises(LabError, match="Forbidden"):
        cluster.kubectl("-n", "acme", *attempt, kubeconfig=cluster.kubeconfig_for("ripcord"))

    assert read(cluster, "deployment", "kept", ".spec.replicas") == "1"


def test_the_pipeline_may_deploy_and_not_read_secrets(cluster: Cluster) -> None:
    """The pipeline's user applies a Deployment and waits for it; secrets and deletion are closed to it."""
    pipeline = cluster.kubeconfig_for("pipeline")
    for tag in ("v1", "v2"):
        cluster.kubectl("apply", "-f", "-", input=deployment("piped", tag), kubeconfig=pipeline)
        cluster.kubectl("-n", "acme", "rollout", "status", "deployment/piped", kubeconfig=pipeline)

    assert may(cluster, "pipeline", "create", "services")
    assert not may(cluster, "pipeline", "get", "secrets")
    assert not may(cluster, "pipeline", "delete", "deployments")


def test_what_is_secret_is_readable_by_its_owner_only(cluster: Cluster) -> None:
    """Kubeconfigs, tokens and keys have mode 0600, and no command line holds a token."""
    home = cluster.kubeconfig.parent
    private = [*home.glob("*.kubeconfig"), *home.glob("*.key"), home / "tokens.csv"]
    tokens = [line.split(",")[0] for line in (home / "tokens.csv").read_text().splitlines()]
    lines = [Path(f"/proc/{getattr(cluster, part).pid}/cmdline").read_text() for part in PARTS]

    assert len(private) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert not [token for token in tokens for line in lines if token in line]


def test_an_unknown_user_is_named_with_the_known_ones(cluster: Cluster) -> None:
    """Asking for the kubeconfig of a user who does not exist says who does."""
    with pytest.raises(LabError, match=r"no user 'nobody'.*admin, ripcord, pipeline"):
        cluster.kubeconfig_for("nobody")
