"""Take a database on RDS or Aurora back to its point when its data is corrupt; what was damaged is kept.

1. Read the points that are kept, what the three names lead to on RDS, and the damaged database's rows.  2. Choose the
point and count what is lost, or refuse; ask a person.  3. Have RDS restore the point under a name of its own with every
setting of the damaged one, compare settings and rows; close the damaged one; exchange the two names.  4. Wait until the
clients' name leads to the restored data, ask the smoke queries there; wait until customers succeed.  5. Tell what is
lost, under which name it is kept, and what comes next.
"""

from prefect import flow

from flows.asking import agreed_on_rds
from flows.telling import tell_of_failure
from recovery.catalog import Service
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.rds import names_of
from recovery.rds_gates import rds_of
from recovery.rds_plans import RdsPlan, choose_timed, damaged_of, needed, plan_rds, restored_of
from recovery.rds_wording import rds_headline, rds_told, report_rds, show_rds
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.fence import one_at_a_time
from tasks.notify import notify
from tasks.postgres.timed_notes import read_frozen, read_timed
from tasks.postgres.timed_restores import (
    ask_by_name,
    close_damaged,
    count_damaged,
    move_numbers,
    opening_again,
    prove_restored,
)
from tasks.prometheus import wait_until_recovered
from tasks.rds import exchange_names, read_three, restore_beside, settle_beside
from tasks.settings import read_service


@flow(
    name="restore_rds", flow_run_name="restore {service} {version}", persist_result=True, on_failure=[tell_of_failure]
)
def restore_rds(service: str, version: str, because: Cause = A_PERSON_ASKED, rehearse: bool = True) -> str:
    """Take one database on RDS or Aurora back to before a release, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The release before which the point was made, such as v1.2.0.
        because: What is corrupt; the question and the report say it.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    tag = parse_version(version, entry.tag_prefix).tag
    with one_at_a_time(f"{service}, way back"):
        plan = decide(entry, tag, because)
        show(f"plan-restore-{service}-{tag}", show_rds(plan, rehearsed=rehearse), plan.reason)
        if rehearse:
            return plan.reason

        if not agreed_on_rds(plan):
            title = f"the database of {service} is left as it is"
            return notify(f"declined/restore/{service}/{plan.name}", title, "a person said no")
        said = take_back(entry, plan)
        return tell(entry, plan, said)


def decide(entry: Service, version: str, because: Cause) -> RdsPlan:
    """The first two paragraphs: observe, decide."""
    rds = rds_of(entry)
    point = choose_timed(entry.name, version, read_timed(entry.name))
    three = read_three(rds, names_of(point.identifier, point.version, point.attempt))
    counts = count_damaged(rds, point, damaged_of(three, point))
    return plan_rds(entry, because.sentence, point, three, counts, read_clock())


def take_back(entry: Service, plan: RdsPlan) -> tuple[str, ...]:
    """Act and verify; a failure before the names are exchanged lets everybody go on as before."""
    rds, point = rds_of(entry), plan.point
    damaged = damaged_of(read_three(rds, plan.names), point)
    with opening_again(rds, point, None if plan.begun else damaged):
        beside = restore_beside(rds, plan)
        settled = settle_beside(rds, plan)
        restored = needed(restored_of(read_three(rds, plan.names), point), plan.names.restored)
        proof = prove_restored(rds, point, restored)
        closed = close_damaged(rds, point, damaged) if damaged else "skipped: the damaged database is not there"
        moved = move_numbers(rds, point, restored)
        exchanged = exchange_names(rds, plan)

    final = needed(read_three(rds, plan.names).final, plan.names.final)
    asked = ask_by_name(rds, point, final)
    recovered = wait_until_recovered(entry)
    return beside, settled, proof.reason, closed, moved, exchanged, asked, recovered


def tell(entry: Service, plan: RdsPlan, said: tuple[str, ...]) -> str:
    """The report and the news."""
    report = report_rds(plan, read_frozen(plan.point), said)
    show(f"restored-database-{entry.name}-{plan.version}", report, rds_headline(plan))
    notify(f"database/{entry.name}/{plan.name}", rds_headline(plan), rds_told(plan))
    return rds_headline(plan)
