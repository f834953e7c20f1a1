"""Take a faulty release out of `main` and ship the patch release.

1. Read the Releases history, the tags and what lies between.  2. Choose the stable release, or refuse; compute
the revert without touching anything.  3. Push the revert commit and the patch tag, both or neither; publish
the release; watch the pipeline deploy it.  4. Prove it from a fresh clone.  5. Say what was done.
"""

from prefect import flow

from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.reverts import plan_revert
from recovery.shown import show_proof, show_revert
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.git import preview_revert, prove_revert, push_revert, read_history
from tasks.github import publish_release, read_releases, watch_pipeline
from tasks.kubernetes import mark_patch
from tasks.runs import dated
from tasks.settings import read_service


@flow(name="revert_release", flow_run_name="revert {service} {version}", persist_result=True)
def revert_release(
    service: str,
    version: str,
    because: Cause = A_PERSON_ASKED,
    rehearse: bool = True,
) -> str:
    """Revert one release, or refuse and say why; returns the tag of the patch release.

    Args:
        service: Service, as the catalogue names it.
        version: The faulty release's tag, such as v1.2.0.
        because: Why; it goes into the commit message.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    with one_at_a_time(service):
        because = dated(because)
        releases = read_releases(entry)
        history = read_history(entry, version)

        faulty = parse_version(version, entry.tag_prefix)
        plan = plan_revert(entry, faulty, history, releases, because)
        show(f"plan-revert-{service}-{version}", show_revert(plan, preview_revert(plan)), plan.title)
        if rehearse:
            return plan.patch_tag

        pushed = push_revert(plan)
        proof = prove_revert(plan, pushed)
        publish_release(plan, pushed, proof)
        watch_pipeline(entry, pushed.tag)
        mark_patch(entry, pushed.tag, version)

        show(f"proof-{service}-{version}", show_proof(plan, proof), pushed.said)
        return pushed.tag
