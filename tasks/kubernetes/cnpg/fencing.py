"""Fence a damaged Cluster, so that nothing is written to it any more, and see the restored one archive."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.cnpg import ARCHIVING, EVERY_INSTANCE, FENCED, Clustered
from recovery.cnpg_gates import namespace_of
from recovery.cnpg_plans import CnpgPlan
from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable
from tasks.kubernetes.api import Json, request
from tasks.kubernetes.cnpg.reading import FIELD_MANAGER, cluster_path, look, wait_for
from tasks.retry import LOOKING_AGAIN, spoken

STILL = timedelta(minutes=10)  # a fast shutdown, then an immediate one after `switchoverDelay`
ARCHIVED = timedelta(minutes=15)


@task(name="fence Cluster", **LOOKING_AGAIN)
@spoken
def fence_cluster(service: Service, plan: CnpgPlan, damaged: Clustered | None) -> str:
    """Fence every instance of the damaged Cluster and wait until none is ready: its servers are shut down then.

    Raises Refused when the Cluster is not the one of the point, Unavailable when an instance does not stop.
    """
    if damaged is None:
        return f"skipped: {plan.damaged} is not there"
    return _fence(plan.namespace, damaged)


@task(name="lift fence", **LOOKING_AGAIN)
@spoken
def lift_fence(service: Service, damaged: Clustered) -> str:
    """Let a damaged Cluster that nobody is led to answer again, and wait until it does.

    Raises Unavailable when it does not come up.
    """
    place = namespace_of(service)
    request("PATCH", _path(place, damaged.name), fence_patch(damaged.uid, None), "application/merge-patch+json")
    last = ["it is not to be seen"]

    def up() -> Clustered | None:
        found = look(place, damaged.name)
        if found is not None:
            last.append(f"{found.name} says {found.phase!r}, {found.ready} of {found.instances} instances ready")
        return found if found and found.ready and not found.fenced else None

    wait_for(up, STILL, lambda: last[-1])
    return f"lifted the fence of {damaged.name}"


@task(name="fence again", **LOOKING_AGAIN)
@spoken
def fence_again(service: Service, damaged: Clustered) -> str:
    """Fence a damaged Cluster that was let answer for a while. Raises like `fence_cluster`."""
    return _fence(namespace_of(service), damaged)


@contextmanager
def lifting_again(plan: CnpgPlan, damaged: Clustered | None) -> Iterator[None]:
    """Lift the fence again when what is inside fails before the clients were led away.

    A failure that is Incomplete says that they were, or may have been: from then on there is only forward.
    """
    try:
        yield
    except Incomplete:
        raise
    except Exception:
        if damaged is not None and not plan.served:
            _lift(plan, damaged)
        raise


@task(name="wait until archiving", **LOOKING_AGAIN)
@spoken
def wait_until_archiving(service: Service, plan: CnpgPlan) -> str:
    """Wait until the restored Cluster archives its WAL. Raises Incomplete when it does not: clients are led there."""
    last = ["it does not say whether it archives"]

    def archiving() -> bool | None:
        seen = look(plan.namespace, plan.restored)
        found = seen.conditions.get(ARCHIVING) if seen else None
        if found is not None:
            last.append(f"its WAL is not archived: {found.reason or 'no reason'}")
        return True if found and found.holds else None

    try:
        wait_for(archiving, ARCHIVED, lambda: last[-1])
    except Unavailable as late:
        raise Incomplete(f"{plan.restored} serves the clients and {late}") from None
    return f"{plan.restored} archives its WAL"


def fence_patch(uid: str, value: str | None) -> Json:
    """The patch that fences or lifts; it holds for this very Cluster alone."""
    return {"metadata": {"uid": uid, "annotations": {FENCED: value}}}


def _fence(namespace: str, damaged: Clustered) -> str:
    name = damaged.name
    seen = look(namespace, name)
    before = seen is not None and seen.annotations.get(FENCED) == EVERY_INSTANCE
    if not before:
        patch = fence_patch(damaged.uid, EVERY_INSTANCE)
        request("PATCH", _path(namespace, name), patch, "application/merge-patch+json")
    last = ["it is not to be seen"]

    def still() -> Clustered | None:
        found = look(namespace, name)
        if found is None:
            return None
        if found.annotations.get(FENCED) != EVERY_INSTANCE:
            raise Refused(f"somebody lifted the fence of {name}: find out who, and run this again")
        last.append(f"{found.ready} instances of {name} do not stop")
        return found if found.ready == 0 else None

    wait_for(still, STILL, lambda: last[-1])
    return f"{'skipped: fenced before' if before else 'fenced'} {name}: no instance of it answers"


def _lift(plan: CnpgPlan, damaged: Clustered) -> None:
    with suppress(RecoveryError):
        seen = look(plan.namespace, plan.damaged)
        if seen is not None and seen.annotations.get(FENCED) == EVERY_INSTANCE:
            path = _path(plan.namespace, plan.damaged)
            request("PATCH", path, fence_patch(damaged.uid, None), "application/merge-patch+json")
            get_run_logger().warning(f"lifted the fence of {plan.damaged}: nobody was led away, all is as it was")


def _path(namespace: str, name: str) -> str:
    return f"{cluster_path(namespace, name)}?fieldManager={FIELD_MANAGER}"
