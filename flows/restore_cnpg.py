"""Take a database on CloudNativePG back to its point when its data is corrupt; what was damaged is kept.

1. Read the points that are kept, the two Clusters, where the clients are led, and the damaged database's rows.
2. Choose the point and count what is lost, or refuse; ask a person.  3. Have a new Cluster recovered to the point with
every setting of the damaged one, compare settings and rows; fence the damaged one; lead the clients over.  4. Wait
until they have settled, ask the smoke queries; see the restored one archive and begin its first backup; wait until
customers succeed.  5. Tell what is lost, where it is kept, and what comes next.
"""

from prefect import flow

from flows.asking import agreed_on_cnpg
from flows.telling import tell_of_failure
from recovery.catalog import Service
from recovery.cnpg_gates import cnpg_of
from recovery.cnpg_plans import CnpgPlan, plan_cnpg
from recovery.cnpg_wording import cnpg_headline, cnpg_told, report_cnpg, show_cnpg
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.rds_plans import choose_timed, needed
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.fence import one_at_a_time
from tasks.kubernetes import wait_until_settled
from tasks.kubernetes.cnpg import (
    begin_first_backup,
    fence_cluster,
    lead_clients,
    lifting_again,
    read_led,
    read_pair,
    restore_cluster,
    settle_cluster,
    wait_until_archiving,
)
from tasks.notify import notify
from tasks.postgres.named_points import (
    ask_in_restored,
    count_in_damaged,
    move_numbers_on,
    note_numbers,
    prove_beside,
    read_named,
)
from tasks.postgres.timed_notes import read_frozen
from tasks.prometheus import wait_until_recovered
from tasks.settings import read_service


@flow(
    name="restore_cnpg", flow_run_name="restore {service} {version}", persist_result=True, on_failure=[tell_of_failure]
)
def restore_cnpg(service: str, version: str, because: Cause = A_PERSON_ASKED, rehearse: bool = True) -> str:
    """Take one database on CloudNativePG back to before a release, or refuse and say why.

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
        show(f"plan-restore-{service}-{tag}", show_cnpg(plan, rehearsed=rehearse), plan.reason)
        if rehearse:
            return plan.reason

        if not agreed_on_cnpg(plan):
            title = f"the database of {service} is left as it is"
            return notify(f"declined/restore/{service}/{plan.name}", title, "a person said no")
        said = take_back(entry, plan)
        return tell(entry, plan, said)


def decide(entry: Service, version: str, because: Cause) -> CnpgPlan:
    """The first two paragraphs: observe, decide."""
    cnpg_of(entry)
    point = choose_timed(entry.name, version, read_named(entry))
    pair, led = read_pair(entry, point), read_led(entry, point)
    counts = count_in_damaged(entry, point)
    return plan_cnpg(entry, because.sentence, point, pair, led, counts, read_clock())


def take_back(entry: Service, plan: CnpgPlan) -> tuple[str, ...]:
    """Act and verify; a failure before the clients are led over lets everybody go on as before."""
    damaged = read_pair(entry, plan.point).damaged
    with lifting_again(plan, damaged):
        beside = restore_cluster(entry, plan, damaged)
        restored = needed(read_pair(entry, plan.point).restored, plan.restored)
        settled = settle_cluster(entry, plan, damaged, restored)
        proof = prove_beside(entry, plan)
        noted = note_numbers(entry, plan)
        fenced = fence_cluster(entry, plan, damaged)
        moved = move_numbers_on(entry, plan)
        led = lead_clients(entry, plan, plan.at.isoformat())

    wait_until_settled(entry)
    asked = ask_in_restored(entry, plan)
    archiving = wait_until_archiving(entry, plan)
    backup = begin_first_backup(entry, plan)
    recovered = wait_until_recovered(entry)
    return beside, settled, proof, noted, fenced, moved, led, asked, archiving, backup, recovered


def tell(entry: Service, plan: CnpgPlan, said: tuple[str, ...]) -> str:
    """The report and the news."""
    report = report_cnpg(plan, read_frozen(plan.point), said, cnpg_of(entry).url_variable)
    show(f"restored-database-{entry.name}-{plan.version}", report, cnpg_headline(plan))
    notify(f"database/{entry.name}/{plan.name}", cnpg_headline(plan), cnpg_told(plan))
    return cnpg_headline(plan)
