"""The undo on a real control plane; kubectl is the witness."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from infra.lab.kubernetes import Cluster
from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from recovery.rollouts import Stage, Standing, UndoPlan, plan_undo
from tasks.kubernetes import mark_patch, mark_revision, patch_rollout, read_rollout, wait_until_settled
from tasks.kubernetes.api import request
from tests.integration.kubectl import deployment, read, roll_out, wait_for_rollout

CASES = count(1)
IMAGE = ".spec.template.spec.containers[0].image"


@pytest.fixture(name="shop")
def _shop(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service of the test's own: v1.0.0 certified, v1.1.0 never judged, v1.2.0 running."""
    monkeypatch.setenv("RIPCORD_KUBECONFIG", str(cluster.kubeconfig_for("ripcord")))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    service = Service(name=f"taken-back-{next(CASES)}", namespace="acme", repository="acme/shop")
    with disable_run_logger():
        roll_out(cluster, service.name, "v1.0.0", replicas=1)
        mark_revision.fn(service, "v1.0.0", Standing.HEALTHY, "watched for one hour")
        for tag in ("v1.1.0", "v1.2.0"):
            roll_out(cluster, service.name, tag, replicas=1)
        yield service


def planned(service: Service) -> UndoPlan:
    """The plan for v1.2.0, from what the cluster says now."""
    return plan_undo(read_rollout.fn(service), "v1.2.0")


def image(cluster: Cluster, service: Service) -> str:
    """The image that the Deployment asks for."""
    return read(cluster, "deployment", service.name, IMAGE).rpartition(":")[2]


def standings(service: Service) -> dict[str | None, Standing | None]:
    """What is found of each version."""
    return {each.version: each.standing for each in read_rollout.fn(service).revisions}


def test_the_certified_revision_comes_back_and_no_second_time(cluster: Cluster, shop: Service) -> None:
    """Not the newest before: the one that was watched; the second call says that nothing was left to do."""
    plan = planned(shop)
    hash_before = read(cluster, "replicaset", plan.to_replica_set, ".metadata.labels.pod-template-hash")

    first = patch_rollout.fn(plan)
    settled = wait_until_settled.fn(shop, plan.to_hash, "v1.0.0")
    generation = read(cluster, "deployment", shop.name, ".metadata.generation")
    second = patch_rollout.fn(plan)

    assert first.startswith(f"patched {shop.name} from v1.2.0 back to v1.0.0")
    assert settled.stage is Stage.SETTLED
    assert image(cluster, shop) == "v1.0.0"
    assert read(cluster, "replicaset", plan.to_replica_set, ".status.readyReplicas") == "1"  # reused, not made anew
    assert hash_before == plan.to_hash
    assert second == f"skipped: {shop.name} already asks for v1.0.0"
    assert read(cluster, "deployment", shop.name, ".metadata.generation") == generation


def test_what_kubectl_undid_meanwhile_is_done(cluster: Cluster, shop: Service) -> None:
    """A person was faster: the plan is done and says so."""
    cluster.kubectl("-n", "acme", "rollout", "undo", f"deployment/{shop.name}")
    wait_for_rollout(cluster, shop.name)

    plan = planned(shop)

    assert plan.done
    assert plan.to_version == "v1.1.0"


def test_a_paused_deployment_is_refused(cluster: Cluster, shop: Service) -> None:
    """The template would change and nothing would roll: the refusal names kubectl's way out."""
    cluster.kubectl("-n", "acme", "rollout", "pause", f"deployment/{shop.name}")

    with pytest.raises(Refused, match="rollout resume"):
        planned(shop)


def test_what_somebody_else_deployed_meanwhile_is_not_overwritten(cluster: Cluster, shop: Service) -> None:
    """A hotfix came between plan and act: it stays."""
    plan = planned(shop)
    roll_out(cluster, shop.name, "v1.2.1", replicas=1)

    with pytest.raises(Refused, match=r"no longer asks for v1\.2\.0"):
        patch_rollout.fn(plan)
    assert image(cluster, shop) == "v1.2.1"


@pytest.mark.parametrize("form", ["{}", "{name}-{}"])
def test_a_service_whose_tags_have_a_slash_is_taken_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """An image's tag cannot have one: it names the release by its number, or with a dash."""
    monkeypatch.setenv("RIPCORD_KUBECONFIG", str(cluster.kubeconfig_for("ripcord")))
    name = f"slashed-{next(CASES)}"
    service = Service(name=name, namespace="acme", repository="acme/all", tag_prefix=f"{name}/v")
    tags = [form.format(version, name=name) for version in ("v1.1.0", "v1.2.0")]
    with disable_run_logger():
        for tag in tags:
            roll_out(cluster, name, tag, replicas=1)

        plan = plan_undo(read_rollout.fn(service), f"{name}/v1.2.0")
        patch_rollout.fn(plan)
        wait_until_settled.fn(service, plan.to_hash, f"{name}/v1.1.0")

    assert image(cluster, service) == tags[0]


def test_scaling_between_plan_and_act_is_fine_and_kept(cluster: Cluster, shop: Service) -> None:
    """An autoscaler does not stop a recovery, nor does a recovery take its replicas away."""
    plan = planned(shop)
    cluster.kubectl("-n", "acme", "scale", f"deployment/{shop.name}", "--replicas=2")

    patch_rollout.fn(plan)
    wait_for_rollout(cluster, shop.name)

    assert image(cluster, shop) == "v1.0.0"
    assert read(cluster, "deployment", shop.name, ".status.readyReplicas") == "2"


def test_a_mark_stays_with_its_template(cluster: Cluster, shop: Service) -> None:
    """kubectl's undo copies annotations about; what was found of one version is never read of another."""
    mark_revision.fn(shop, "v1.2.0", Standing.FAULTY, "taken back")
    mark_patch.fn(shop, "v1.2.0", "v1.1.9")
    expected = {"v1.0.0": Standing.HEALTHY, "v1.1.0": None, "v1.2.0": Standing.FAULTY}
    assert standings(shop) == expected

    for revision in ("1", "2"):
        cluster.kubectl("-n", "acme", "rollout", "undo", f"deployment/{shop.name}", f"--to-revision={revision}")
        wait_for_rollout(cluster, shop.name)
        assert standings(shop) == expected
    patches = {each.version: each.patch_of for each in read_rollout.fn(shop).revisions}
    assert patches == {"v1.0.0": None, "v1.1.0": None, "v1.2.0": "v1.1.9"}


def test_the_same_mark_is_written_once(shop: Service) -> None:
    """The second call says so, and a version that never ran is passed over."""
    assert mark_revision.fn(shop, "v1.2.0", Standing.FAULTY, "bad") == "marked v1.2.0 (revision 3) faulty"
    assert mark_revision.fn(shop, "v1.2.0", Standing.FAULTY, "bad") == "skipped: v1.2.0 is already marked faulty"
    assert mark_revision.fn(shop, "v9.9.9", Standing.FAULTY, "bad").startswith("skipped: ")


def test_a_rollout_that_does_not_settle_is_incomplete(cluster: Cluster, shop: Service) -> None:
    """After the settling time a person must look, and is told where."""
    cluster.kubectl("apply", "-f", "-", input=deployment(shop.name, "v1.3.0-bad", replicas=1))
    impatient = shop.model_copy(update={"settle": shop.step / 15})

    with pytest.raises(Incomplete, match="kubectl -n acme get pods"):
        wait_until_settled.fn(impatient, None, "v1.3.0-bad")


def test_a_deployment_that_is_not_there_is_refused(shop: Service) -> None:
    """The sentence names the catalogue."""
    with pytest.raises(Refused, match="check name and namespace in the catalogue"):
        read_rollout.fn(shop.model_copy(update={"deployment": "nope"}))


def test_a_rival_between_our_look_and_our_patch_is_not_overwritten(
    cluster: Cluster, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server itself refuses the patch when the template is no longer the one that was looked at."""
    plan = planned(shop)

    def after_a_rival(method: str, path: str, *rest: Any) -> dict[str, Any]:
        if method == "PATCH":
            cluster.kubectl("apply", "-f", "-", input=deployment(shop.name, "v1.3.0", replicas=1))
        return request(method, path, *rest)

    monkeypatch.setattr("tasks.kubernetes.request", after_a_rival)

    with pytest.raises(Refused, match=r"changed by somebody else meanwhile.*plan again"):
        patch_rollout.fn(plan)
    assert image(cluster, shop) == "v1.3.0"


def test_fields_that_our_client_need_not_know_come_back(cluster: Cluster, shop: Service) -> None:
    """The template returns bit by bit into its very ReplicaSet; a typed client would drop what is new to it."""
    container = {
        "name": shop.name,
        "image": f"registry.lab/{shop.name}:v1.3.0",
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
    }
    pod = {"spec": {"template": {"spec": {"hostUsers": False, "containers": [container]}}}}
    cluster.kubectl("-n", "acme", "patch", "deployment", shop.name, "--type=merge", "-p", json.dumps(pod))
    wait_for_rollout(cluster, shop.name)
    mark_revision.fn(shop, "v1.3.0", Standing.HEALTHY, "watched for one hour")
    good = read(cluster, "deployment", shop.name, ".spec.template")
    roll_out(cluster, shop.name, "v1.4.0", replicas=1)
    plan = plan_undo(read_rollout.fn(shop), "v1.4.0")

    patch_rollout.fn(plan)
    wait_for_rollout(cluster, shop.name)

    assert '"hostUsers":false' in good
    assert '"resizePolicy"' in good
    assert json.loads(read(cluster, "deployment", shop.name, ".spec.template")) == json.loads(good)
    assert read(cluster, "replicaset", plan.to_replica_set, ".status.readyReplicas") == "1"


def test_the_undo_aims_right_while_the_controllers_stand_still(cluster: Cluster, shop: Service) -> None:
    """The faulty version has no revision yet; kubectl's "the one before" would be another one."""
    cluster.pause_controllers()
    try:
        cluster.kubectl("apply", "-f", "-", input=deployment(shop.name, "v1.3.0", replicas=1))
        plan = plan_undo(read_rollout.fn(shop), "v1.3.0")
        patch_rollout.fn(plan)
    finally:
        cluster.resume_controllers()

    assert "serves v1.0.0" in wait_until_settled.fn(shop, plan.to_hash, "v1.0.0").reason
    assert image(cluster, shop) == plan.to_version == "v1.0.0"
