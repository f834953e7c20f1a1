"""Mend a service's database by going forward: a fix, tried on a clone first, applied in one transaction.

1. Read the database, its register of fixes, the script.  2. Refuse what one transaction cannot hold, and a database
that is frozen, a standby, or too large to clone here.  3. Clone the database, run the fix there as it will run, tell
its locks, rows and definitions; ask a person where data is lost.  4. Apply it in one transaction that waits briefly for
locks and commits only what the clone had.  5. Compare the schema with the clone's, ask the smoke queries, and tell.
"""

from prefect import flow

from flows.telling import tell_of_failure
from flows.trying import try_on_clone
from recovery.catalog import Service
from recovery.fix_scripts import read_script
from recovery.fix_wording import ask_for_fix, headline, show_fix, show_fixed
from recovery.fixes import FixPlan, Ground, fixed_database, plan_fix, show_applied
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.versions import parse_version
from tasks.approvals import ask_person
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.fix_form import FixApproval
from tasks.notify import notify
from tasks.postgres.applying import apply_fix, verify_fix
from tasks.postgres.fixing import read_ground
from tasks.postgres.named_points import address_to
from tasks.runs import this_run
from tasks.settings import read_service


@flow(name="fix_forward", flow_run_name="fix {service} {version}", persist_result=True, on_failure=[tell_of_failure])
def fix_forward(service: str, version: str, script: str, because: Cause = A_PERSON_ASKED, rehearse: bool = True) -> str:
    """Rehearse a fix on a clone and apply it, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The release that hurt the database, such as v1.2.0.
        script: The fix, SQL statements. Prefect keeps it with the run: it must hold no secret.
        because: What is wrong; the plan says it.
        rehearse: Stop after the rehearsal on the clone and show the plan; nothing is changed.
    """
    entry = read_service(service)
    tag, fix = parse_version(version, entry.tag_prefix).tag, read_script(script)
    with one_at_a_time(f"{service}, way back"):
        ground = read_ground(service, fixed_database(entry), fix.digest, address_in(entry))
        if ground.applied_at:
            return show_applied(ground.applied_at)

        plan = plan_fix(service, tag, fix, try_on_clone(entry, tag, fix, ground))
        show(f"plan-fix-{service}-{plan.name}", show_fix(plan, because.sentence), plan.reason)
        if rehearse:
            return f"rehearsed, nothing was changed: {plan.reason}"

    # A person may take hours, and nobody else is kept from the service meanwhile.
    if not approved(plan, because):
        return notify(f"not-fixed/{service}/{plan.name}", f"{service}: fix {plan.name} is not wanted", plan.reason)
    with one_at_a_time(f"{service}, way back"):
        return apply(entry, plan, ground)


def approved(plan: FixPlan, because: Cause) -> bool:
    """Answer whether the fix may be applied; asks a person only where data is lost."""
    if not plan.losses:
        return True
    title, where = f"{plan.service}: fix {plan.name} loses data and waits for a person", this_run()
    notify(f"ask-fix/{plan.service}/{plan.name}", title, f"{'; '.join(plan.losses)}. Answer at {where}")
    return ask_person(FixApproval, ask_for_fix(plan, because.sentence), f"fix-{plan.name}").approve


def address_in(entry: Service) -> dict[str, str] | None:
    """Where the database answers: of a Cluster it is its primary, of all others what the conninfo says."""
    return address_to(entry, entry.cnpg.cluster) if entry.cnpg else None


def apply(entry: Service, plan: FixPlan, ground: Ground) -> str:
    """The last two paragraphs: act, verify, tell."""
    database, address = fixed_database(entry), address_in(entry)
    said = apply_fix(plan, database, ground, address)

    checked = verify_fix(plan, database, address)

    show(f"fix-{entry.name}-{plan.name}", show_fixed(plan, said, checked), said)
    return notify(f"fixed/{entry.name}/{plan.name}", headline(plan), f"{said}. {checked}.")
