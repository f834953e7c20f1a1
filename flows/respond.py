"""Bring a service back from a faulty release.

1. Read what runs and what ran before.  2. Decide, or refuse.  3. Take the cluster back at once, then the source, by a
revert or, where that is not feasible, by a hotfix that waits for a person; a stable release in doubt a person confirms
first; where data are corrupt, a person is asked whether the database goes back to its point.
4. Wait until the cluster serves the patch release and customers succeed.  5. Write the post-mortem, synchronise
develop, tell the stakeholders.
"""

from prefect import flow

from flows.aftermath import aftermath
from flows.asking import chosen, confirmed
from flows.revert_release import revert_release
from flows.telling import tell_of_failure
from flows.undo_rollout import undo_rollout
from recovery.catalog import Service
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.responses import ResponsePlan, plan_response, restorable
from recovery.shown import show_response
from tasks.artifacts import show
from tasks.decisions import decided
from tasks.fence import one_at_a_time, under_way
from tasks.kubernetes import read_rollout, wait_until_settled
from tasks.notify import notify
from tasks.prometheus import wait_until_recovered
from tasks.runs import dated, launch_restore, read_orders
from tasks.settings import read_service


@flow(name="respond", flow_run_name="respond {service} {version}", persist_result=True, on_failure=[tell_of_failure])
def respond(
    service: str,
    version: str,
    because: Cause = A_PERSON_ASKED,
    to: str | None = None,
    hotfix: bool = False,
    rehearse: bool = True,
) -> str:
    """Answer one incident, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The faulty release's tag, such as v1.2.0.
        because: Why; commit and post-mortem say it.
        to: The stable release to go back to, where a person chose it, such as v1.1.0.
        hotfix: Undo the cluster, then prepare a hotfix and take nothing out of main as a whole.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    with under_way():
        with one_at_a_time(service):
            plan = decided("answer", lambda: decide(entry, version, because))
            if rehearse or not plan.act:
                show(f"plan-{service}-{version}", show_response(plan, rehearsed=rehearse), plan.reason)
                return plan.reason if rehearse else notify(f"told/{service}/{version}", plan.reason, plan.told)

            if not confirmed(plan):
                said = f"{service} {version} is left as it is"
                return notify(f"declined/{service}/{version}", said, "a person said no")

            undo_rollout(service, version, rehearse=False, wait=False)

        # The source takes its time, and the next incident's cluster is not kept waiting for it.
        because = dated(because)
        show(f"plan-{service}-{version}", show_response(plan, rehearsed=False), plan.reason)
        if because.data_corrupt and restorable(entry):
            launch_restore(service, version, because, by=entry.restored_by)
        shipped = revert_release(service, version, because, to, hotfix, rehearse=False)
        if shipped.confirm:
            if not chosen(service, version, shipped):
                said = f"{version} stays in {entry.main}: {shipped.confirm} was not confirmed"
                return notify(f"declined/{service}/{version}/{shipped.confirm}", f"{service}: {said}", shipped.said)
            shipped = revert_release(service, version, because, shipped.confirm, hotfix, rehearse=False)

        wait_until_settled(entry, version=shipped.tag)
        wait_until_recovered(entry)

        if shipped.tag is None:
            return f"{service} serves {plan.undo.to_version} again; {shipped.said}"
        return aftermath(service, version, because, to, rehearse=False)


def decide(service: Service, version: str, because: Cause) -> ResponsePlan:
    """Read what runs, what ran before and what people have ordered, and decide the answer."""
    rollout = read_rollout(service)
    mode, recent = read_orders(service.name)
    return plan_response(service, rollout, version, because, mode, recent)
