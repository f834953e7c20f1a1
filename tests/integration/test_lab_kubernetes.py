"""The lab's control plane is a real one; kubectl is the witness."""

import json
from datetime import datetime

import pytest

from infra.lab.kubernetes import Cluster
from infra.lab.process import LabError, wait_until
from tests.integration.kubectl import containers, deployment, pods, read, roll_out, wait_for_rollout, waiting


def test_three_nodes_are_ready(cluster: Cluster) -> None:
    """kubectl sees three ready nodes on a server that tells its real version."""
    nodes = cluster.kubectl("get", "nodes", "--no-headers").splitlines()
    version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]

    assert [line.split()[:2] for line in nodes] == [[f"node-{n}", "Ready"] for n in range(3)]
    assert version["gitVersion"] == "v1.37.2"


def test_a_deployment_rolls_out(cluster: Cluster) -> None:
    """Three replicas of an ordinary image become ready and available, each bound to a node."""
    roll_out(cluster, "rollout")

    assert read(cluster, "deployment", "rollout", ".status.availableReplicas") == "3"
    assert {pod["spec"]["nodeName"] for pod in pods(cluster, "rollout")} == {"node-0"}
    assert all(status["ready"] for pod in pods(cluster, "rollout") for status in containers(pod))


def test_a_bad_image_waits_and_undo_brings_the_good_one_back(cluster: Cluster) -> None:
    """A tag with `bad` ends in ImagePullBackOff, and kubectl's undo rolls the old image out again."""
    roll_out(cluster, "undone")
    cluster.kubectl("apply", "-f", "-", input=deployment("undone", "v2-bad"))
    wait_until(lambda: "ImagePullBackOff" in waiting(cluster, "undone"), what="the bad image", seconds=30, every=0.3)

    cluster.kubectl("-n", "acme", "rollout", "undo", "deployment/undone")
    wait_for_rollout(cluster, "undone")

    images = {pod["spec"]["containers"][0]["image"] for pod in pods(cluster, "undone")}
    assert images == {"registry.lab/undone:v1"}
    assert waiting(cluster, "undone") == set()


def test_a_crashing_image_restarts_again_and_again(cluster: Cluster) -> None:
    """A tag with `crash` is in CrashLoopBackOff, never ready, and its restart count grows."""
    cluster.kubectl("apply", "-f", "-", input=deployment("crashing", "v1-crash", replicas=1))

    def restarted_twice() -> bool:
        counts = [status["restartCount"] for pod in pods(cluster, "crashing") for status in containers(pod)]
        return bool(counts) and min(counts) >= 2

    wait_until(restarted_twice, what="a second restart", seconds=30, every=0.5)

    assert waiting(cluster, "crashing") == {"CrashLoopBackOff"}
    assert read(cluster, "deployment", "crashing", ".status.readyReplicas") == ""


def test_only_the_tag_of_an_image_makes_it_bad(cluster: Cluster) -> None:
    """A service called `badge` is not taken for a bad image."""
    roll_out(cluster, "badge", replicas=1)

    assert read(cluster, "deployment", "badge", ".status.readyReplicas") == "1"


def test_readiness_can_be_delayed(cluster: Cluster) -> None:
    """A pod with the annotation becomes ready so much later, by the API server's own times."""
    roll_out(cluster, "slow", replicas=1, delay="3s")

    [pod] = pods(cluster, "slow")
    [ready] = [each for each in pod["status"]["conditions"] if each["type"] == "Ready"]
    made, became = (
        datetime.fromisoformat(text) for text in (pod["metadata"]["creationTimestamp"], ready["lastTransitionTime"])
    )
    assert (became - made).total_seconds() >= 2  # both are cut to whole seconds


def test_daemons_run_on_every_node_and_owners_take_their_pods_along(cluster: Cluster) -> None:
    """A DaemonSet puts one pod on each node, and deleting it lets the collector delete them."""
    manifest = json.loads(deployment("agent", "v1"))
    manifest["kind"] = "DaemonSet"
    del manifest["spec"]["replicas"]
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    cluster.kubectl("-n", "acme", "rollout", "status", "daemonset/agent", "--timeout=60s")

    assert sorted(pod["spec"]["nodeName"] for pod in pods(cluster, "agent")) == ["node-0", "node-1", "node-2"]

    cluster.kubectl("-n", "acme", "delete", "daemonset", "agent", "--cascade=background")
    wait_until(lambda: not pods(cluster, "agent"), what="the collection of pods", seconds=60, every=0.5)


def test_kubectl_failures_carry_its_own_words(cluster: Cluster) -> None:
    """A failed kubectl raises with what kubectl wrote."""
    with pytest.raises(LabError, match=r'deployments\.apps "absent" not found'):
        cluster.kubectl("-n", "acme", "get", "deployment", "absent")
