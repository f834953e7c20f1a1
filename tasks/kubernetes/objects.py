"""What the API server's JSON says, in our words."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from recovery.catalog import Service
from recovery.rollouts import Mark, Revision, Rollout, Standing
from recovery.versions import release_of
from tasks.kubernetes.api import Json, deployment_path, request

REVISION = "deployment.kubernetes.io/revision"
REUSED = "deployment.kubernetes.io/revision-history"
HASH = "pod-template-hash"
# Both are followed by the template's hash: kubectl carries annotations on to other revisions, where they would lie.
MARK = "ripcord.dev/verdict."
PATCH_OF = "ripcord.dev/patch-of."


def observe_rollout(service: Service) -> Rollout:
    """Read the Deployment and its ReplicaSets, owned by it and selected as kubectl selects them.

    Raises Refused when it is not there, Unavailable when the API server does not answer.
    """
    deployment = request("GET", deployment_path(service.namespace, service.workload))
    selector = _selector(deployment["spec"]["selector"])
    sets = request("GET", f"/apis/apps/v1/namespaces/{service.namespace}/replicasets?labelSelector={quote(selector)}")
    uid = deployment["metadata"]["uid"]
    owned = [each for each in sets["items"] if _controlled_by(each, uid)]
    revisions = sorted((_revision(each, deployment, service) for each in owned), key=lambda each: each.number)
    wanted = deployment["spec"]["template"]
    current = {each["metadata"]["name"] for each in owned if bare_template(each) == wanted}
    status, spec = deployment.get("status", {}), deployment["spec"]
    return Rollout(
        service=service.name,
        namespace=service.namespace,
        name=service.workload,
        uid=uid,
        version=image_version(deployment, service.image_container, prefix=service.tag_prefix),
        generation=deployment["metadata"]["generation"],
        observed_generation=status.get("observedGeneration", 0),
        wanted=spec.get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        paused=spec.get("paused", False),
        deadline_exceeded=_condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded",
        revisions=tuple(revisions),
        current=next((each for each in reversed(revisions) if each.replica_set in current), None),
    )


def _revision(replica_set: Json, deployment: Json, service: Service) -> Revision:
    metadata = replica_set["metadata"]
    annotations = metadata.get("annotations", {})
    number = annotations.get(REVISION, "0")
    template_hash = metadata.get("labels", {}).get(HASH, "")
    return Revision(
        number=int(number) if number.isdigit() else 0,
        replica_set=metadata["name"],
        template_hash=template_hash,
        version=image_version(replica_set, service.image_container, prefix=service.tag_prefix),
        active_since=_active_since(metadata, annotations, deployment),
        mark=_mark(annotations, template_hash),
        patch_of=annotations.get(PATCH_OF + template_hash),
    )


def _active_since(metadata: Json, annotations: Mapping[str, str], deployment: Json) -> datetime:
    """When the revision last became current: a reused ReplicaSet is older than that."""
    created = _time(metadata["creationTimestamp"])
    is_current = annotations.get(REVISION) == deployment["metadata"].get("annotations", {}).get(REVISION)
    updated = _condition(deployment, "Progressing").get("lastUpdateTime")
    return max(created, _time(updated)) if REUSED in annotations and is_current and updated else created


def _mark(annotations: Mapping[str, str], template_hash: str) -> Mark | None:
    text = annotations.get(MARK + template_hash)
    if text is None:
        return None
    try:
        value = json.loads(text)
        standing, at = Standing(value["standing"]), datetime.fromisoformat(value["at"])
    except (ValueError, KeyError, TypeError):
        return None  # written by somebody else: it says nothing to us
    return Mark(standing, template_hash, str(value.get("reason", "")), at)


def image_version(workload: Json, container: str, default: str | None = None, *, prefix: str) -> str | None:
    """The release that the tag of the container's image names; a single container needs no name."""
    containers = workload["spec"]["template"]["spec"]["containers"]
    named = [each for each in containers if each["name"] == container] or containers[:1]
    image = str(named[0]["image"]).split("@")[0]
    name, _, tag = image.rpartition(":")
    return release_of(tag, prefix) if name and "/" not in tag else default


def bare_template(replica_set: Json) -> Json:
    """The template as the Deployment had it: the controller adds the hash label, kubectl strips it."""
    template: Json = json.loads(json.dumps(replica_set["spec"]["template"]))
    template["metadata"].get("labels", {}).pop(HASH, None)
    return template


def _controlled_by(thing: Json, uid: str) -> bool:
    owners = thing["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == uid and owner.get("controller") for owner in owners)


def _condition(deployment: Json, kind: str) -> Json:
    conditions = deployment.get("status", {}).get("conditions", [])
    return next((dict(each) for each in conditions if each["type"] == kind), {})


def _selector(selector: Json) -> str:
    """A label selector in its text form (metav1.FormatLabelSelector)."""
    parts = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for rule in selector.get("matchExpressions", []):
        key, values = rule["key"], ",".join(rule.get("values", []))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(forms.get(rule["operator"], f"!{key}"))
    return ",".join(parts)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
