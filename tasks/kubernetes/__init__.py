"""Read and undo rollouts of a Deployment, as kubectl does but in process and on raw JSON."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.readings import Watch
from recovery.rollouts import Progress, Revision, Rollout, Stage, Standing, UndoPlan, open_watch, progress
from recovery.versions import prefix_of
from tasks.kubernetes.api import Json, deployment_path, replica_set_path, request
from tasks.kubernetes.objects import HASH, MARK, PATCH_OF, bare_template, image_version, observe_rollout
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE, spoken
from tasks.settings import read_settings

CHANGE_CAUSE = "kubernetes.io/change-cause"
FIELD_MANAGER = "ripcord"
POLL_SECONDS = 0.5


@task(name="read rollout", task_run_name="read rollout of {service.name}", **LOOKING_AGAIN)
def read_rollout(service: Service) -> Rollout:
    """Read the Deployment and its revisions now."""
    return observe_rollout(service)


@task(name="read watches", **{**ON_UNAVAILABLE, "retries": 1, "persist_result": False})
def read_watches(services: Sequence[Service], now: datetime) -> list[tuple[Service, Watch]]:
    """Read which releases are under watch. A service that is not in the cluster (yet) is logged and passed over."""
    found = []
    for service in services:
        try:
            watch = open_watch(service, observe_rollout(service), now)
        except Refused as refusal:
            get_run_logger().warning(str(refusal))
            continue
        if watch is not None:
            found.append((service, watch))
    return found


@task(name="undo rollout", task_run_name="undo {plan.from_version} to {plan.to_version}", **ON_UNAVAILABLE)
@spoken
def patch_rollout(plan: UndoPlan) -> str:
    """Give the Deployment the template of the good revision back; says what was done.

    Looks first; the patch holds only while the template is still the one looked at (JSON Patch `test`), so
    that somebody else's newer deployment is never overwritten; an answer that got lost is settled by reading
    back. Raises Refused when the Deployment or the revision is not what the plan expected, Incomplete when
    the patch was sent and nothing can be read back.
    """
    path = deployment_path(plan.namespace, plan.deployment)
    deployment = request("GET", path)
    target = request("GET", replica_set_path(plan.namespace, plan.to_replica_set))
    template = _template_of(target, plan)
    if deployment["spec"]["template"] == template:
        return f"skipped: {plan.deployment} already asks for {plan.to_version}"
    seen = image_version(deployment, plan.deployment, plan.from_version, prefix=prefix_of(plan.from_version))
    if seen != plan.from_version:
        raise Refused(
            f"{plan.deployment} no longer asks for {plan.from_version}: look at who deployed, then plan again"
        )
    body = _undo_patch(deployment, template, plan)
    try:
        request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}", body)
    except Unavailable as error:
        _settle_lost_answer(path, template, plan, error)
    return f"patched {plan.deployment} from {plan.from_version} back to {plan.to_version} ({plan.to_replica_set})"


@task(name="wait until settled", task_run_name="wait until {service.name} settles", **ON_UNAVAILABLE)
def wait_until_settled(service: Service, template_hash: str | None = None, version: str | None = None) -> Progress:
    """Wait until the rollout has settled, on this template or version where one is given.

    Raises Incomplete when it is stuck or the service's settling time is over.
    """
    deadline = time.monotonic() + service.settle.total_seconds()
    said, stuck = "", False
    while True:
        rollout = observe_rollout(service)
        state = progress(rollout, template_hash)
        right = version is None or rollout.version == version
        if state.stage is Stage.SETTLED and right:
            return state
        # Just after an undo the deadline of the version before is still shown: believe it the second time.
        if (state.stage is Stage.STUCK and stuck) or time.monotonic() > deadline:
            waited = "" if right else f", expected {version}"
            raise Incomplete(f"{state.reason}{waited}: look at 'kubectl -n {service.namespace} get pods'")
        stuck = state.stage is Stage.STUCK
        if state.reason != said:
            said = state.reason
            get_run_logger().info(said)
        time.sleep(POLL_SECONDS)


@task(name="mark revision", task_run_name="mark {service.name} {version} {standing}", **ON_UNAVAILABLE)
@spoken
def mark_revision(service: Service, version: str, standing: Standing, reason: str) -> str:
    """Write a standing on the newest revision of the version, bound to its template; says what was done."""
    revision = _newest_of(service, version)
    if revision is None:
        return f"skipped: {service.workload} has no revision of {version} any more"
    if revision.standing is standing:
        return f"skipped: {version} is already marked {standing}"
    value = {"standing": standing, "reason": reason, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
    _annotate(service, revision, MARK, json.dumps(value))
    return f"marked {version} (revision {revision.number}) {standing}"


@task(name="mark patch", task_run_name="mark {service.name} {version} as patch of {faulty}", **ON_UNAVAILABLE)
@spoken
def mark_patch(service: Service, version: str, faulty: str) -> str:
    """Write on the patch release's revision whose patch it is, so that it is never itself taken back by us."""
    revision = _newest_of(service, version)
    if revision is None or revision.patch_of == faulty:
        return f"skipped: {version} " + (
            "has no revision" if revision is None else f"is known as the patch of {faulty}"
        )
    _annotate(service, revision, PATCH_OF, faulty)
    return f"marked {version} as the patch of {faulty}"


def check_access(service: Service) -> str:
    """Read the Deployment and try the undo's patch without effect (server-side dry run); says what was seen.

    Raises Refused when a right is missing.
    """
    rollout = observe_rollout(service)
    body = {"metadata": {"annotations": {CHANGE_CAUSE: "ripcord check"}}}
    path = deployment_path(service.namespace, service.workload)
    request("PATCH", f"{path}?dryRun=All&fieldManager={FIELD_MANAGER}", body, "application/merge-patch+json")
    return f"{progress(rollout).reason}; undo is allowed"


def _template_of(replica_set: Json, plan: UndoPlan) -> Json:
    found = replica_set["metadata"]["labels"].get(HASH)
    if found != plan.to_hash:
        raise Refused(f"{plan.to_replica_set} carries template {found}, expected {plan.to_hash}: plan again")
    return bare_template(replica_set)


def _undo_patch(deployment: Json, template: Json, plan: UndoPlan) -> list[Json]:
    cause = f"ripcord: undo {plan.from_version} to {plan.to_version}"
    pointer = "/metadata/annotations/" + CHANGE_CAUSE.replace("/", "~1")
    annotate = (
        {"op": "add", "path": pointer, "value": cause}
        if deployment["metadata"].get("annotations")
        else {"op": "add", "path": "/metadata/annotations", "value": {CHANGE_CAUSE: cause}}
    )
    return [
        {"op": "test", "path": "/metadata/uid", "value": deployment["metadata"]["uid"]},
        {"op": "test", "path": "/spec/template", "value": deployment["spec"]["template"]},
        {"op": "replace", "path": "/spec/template", "value": template},
        annotate,
    ]


def _settle_lost_answer(path: str, template: Json, plan: UndoPlan, error: Unavailable) -> None:
    """The answer to the patch got lost: whether it took effect is the API server's to say."""
    for wait in (0.2, 0.5, 1, 2, 5, 10):
        try:
            after = request("GET", path)["spec"]["template"]
        except Unavailable:
            time.sleep(wait * read_settings().patience)
            continue
        if after == template:
            return
        raise error
    raise Incomplete(
        f"the undo of {plan.deployment} was sent and the API server stopped answering: {error}; "
        f"look at 'kubectl -n {plan.namespace} rollout status deployment/{plan.deployment}'"
    )


def _newest_of(service: Service, version: str) -> Revision | None:
    revisions = observe_rollout(service).revisions
    return next((each for each in reversed(revisions) if each.version == version), None)


def _annotate(service: Service, revision: Revision, key: str, value: str) -> None:
    body = {"metadata": {"annotations": {key + revision.template_hash: value}}}
    path = replica_set_path(service.namespace, revision.replica_set)
    request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}", body, "application/merge-patch+json")
