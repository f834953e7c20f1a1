"""What the tests of the cluster say to kubectl, and hear from it."""

import json
from typing import Any

from infra.lab.kubernetes import Cluster
from infra.lab.process import LabError


def deployment(name: str, tag: str, *, replicas: int = 3, delay: str | None = None) -> str:
    """A Deployment of one container, with the tag that decides what becomes of its pods."""
    annotations = {"ripcord.lab/ready-delay": delay} if delay else {}
    container = {"name": name, "image": f"registry.lab/{name}:{tag}"}
    template = {
        "metadata": {"labels": {"app": name}, "annotations": annotations},
        "spec": {"containers": [container]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": "acme"}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def roll_out(cluster: Cluster, name: str, tag: str = "v1", **how: Any) -> None:
    """Apply a Deployment and wait until kubectl calls it rolled out."""
    cluster.kubectl("apply", "-f", "-", input=deployment(name, tag, **how))
    wait_for_rollout(cluster, name)


def wait_for_rollout(cluster: Cluster, name: str) -> None:
    """Wait as a person would."""
    cluster.kubectl("-n", "acme", "rollout", "status", f"deployment/{name}", "--timeout=60s")


def read(cluster: Cluster, kind: str, name: str, path: str) -> str:
    """One field of one object in acme, as kubectl prints it."""
    return cluster.kubectl("-n", "acme", "get", kind, name, "-o", f"jsonpath={{{path}}}")


def pods(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """The pods of one Deployment, as the API server tells them."""
    told: list[dict[str, Any]] = json.loads(
        cluster.kubectl("-n", "acme", "get", "pods", "-l", f"app={name}", "-o", "json")
    )["items"]
    return told


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """What a pod's status tells of its containers."""
    told: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    return told


def waiting(cluster: Cluster, name: str) -> set[str]:
    """Why the containers of these pods wait."""
    states = [status["state"] for pod in pods(cluster, name) for status in containers(pod)]
    return {state["waiting"]["reason"] for state in states if "waiting" in state}


def may(cluster: Cluster, user: str, verb: str, resource: str, namespace: str = "acme") -> bool:
    """Ask kubectl whether a user may do something; `pods/exec` names a subresource."""
    kind, _, part = resource.partition("/")
    question = ["auth", "can-i", verb, kind, f"--subresource={part}", "-n", namespace]
    try:
        cluster.kubectl(*question, kubeconfig=cluster.kubeconfig_for(user))
    except LabError:
        return False
    return True
