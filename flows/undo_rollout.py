"""Take a service's Deployment back to its last good revision.

1. Read the Deployment and its revisions.  2. Choose the revision, or refuse.  3. Patch the template back and
mark the faulty revision.  4. Wait until it has settled.  5. Say what was done.
"""

from prefect import flow

from recovery.rollouts import Standing, UndoPlan, plan_undo
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.kubernetes import mark_revision, patch_rollout, read_rollout, wait_until_settled
from tasks.settings import read_service


@flow(name="undo_rollout", flow_run_name="undo {service} {version}", persist_result=True)
def undo_rollout(
    service: str,
    version: str,
    rehearse: bool = True,
    wait: bool = True,
) -> UndoPlan:
    """Undo one Deployment, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The faulty release that runs now, such as v1.2.0.
        rehearse: Stop after deciding and show the plan.
        wait: Wait until the rollout has settled.
    """
    entry = read_service(service)
    with one_at_a_time(service):
        rollout = read_rollout(entry)

        plan = plan_undo(rollout, version)
        if rehearse:
            show(f"plan-undo-{service}-{version}", f"# Undo {service} {version}\n\n{plan.reason}\n", "rehearsed")
            return plan

        patch_rollout(plan)
        mark_revision(entry, version, Standing.FAULTY, f"undone to {plan.to_version}")

        if wait:
            wait_until_settled(entry, plan.to_hash)
        return plan
