"""Take a database back to its restore point when its data is corrupt; what was damaged is kept.

1. Read the sets on disk, the damaged server as far as it answers, the restored one if it stands, and where the clients
are led.  2. Choose the point and count what is lost, or refuse; ask a person.  3. Check the set again, raise the
restored server beside the damaged one, compare it with what was and look into it for damage; hold the clients back and
fence the damaged server; let the restored one take writes; lead the clients there; keep the damaged one, read-only.
4. Ask the smoke queries on the clients' way; wait until customers succeed.  5. Tell what is lost, where it is kept, and
what comes next; take a backup of the restored server.
"""

from prefect import flow

from flows.asking import agreed
from flows.telling import tell_of_failure
from recovery.catalog import Service
from recovery.databases import Database
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.restore_wording import headline, report_restore, show_restore, told
from recovery.restores import RestorePlan, choose_set, database_to_restore, plan_restore
from recovery.routes import Route
from recovery.set_checks import judge_checked
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.kubernetes import wait_until_settled
from tasks.kubernetes.secrets import lead_by_secret, read_secret
from tasks.notify import notify
from tasks.postgres.asking import ask_restored
from tasks.postgres.bridging import back_up_restored
from tasks.postgres.cutover import archive_restored, promote_restored, ready_side
from tasks.postgres.damaged import read_sets, read_sight
from tasks.postgres.freezing import begin_restore, fence_server, keep_damaged, read_begun, thawing
from tasks.postgres.numbers import move_sequences
from tasks.postgres.pooler import lead_clients, pause_clients, read_pooler, wait_until_still
from tasks.postgres.set_checks import check_set_again
from tasks.prometheus import wait_until_recovered
from tasks.settings import read_service


@flow(
    name="restore_database", flow_run_name="restore {service} {version}", persist_result=True,
    on_failure=[tell_of_failure],
)  # fmt: skip
def restore_database(
    service: str, version: str, because: Cause = A_PERSON_ASKED, off: bool = False, rehearse: bool = True
) -> str:
    """Take one database back to before a release, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The release before which the point was made, such as v1.2.0.
        because: What is corrupt; the question and the report say it.
        off: A damaged server that is silent is switched off: a person vouches for it.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    tag = parse_version(version, entry.tag_prefix).tag
    # The gate's own fence: both are about the same sets and the same place beside the server. A run that is suspended
    # for a person, who may take hours, does not hold it.
    with one_at_a_time(f"{service}, way back"):
        plan = decide(entry, tag, because, off)
        show(f"plan-restore-{service}-{tag}", show_restore(plan, rehearsed=rehearse), plan.reason)
        if rehearse:
            return plan.reason

        if not agreed(plan):
            title = f"the database of {service} is left as it is"
            return notify(f"declined/restore/{service}/{plan.name}", title, "a person said no")
        said = take_back(entry, plan)
        ended = tell(entry, decide(entry, tag, because, off), said)
        # Last, since nobody waits for it: where it fails, the restore stands, and people are told of that failure.
        back_up_restored(database_to_restore(entry), plan.point)
        return ended


def decide(entry: Service, version: str, because: Cause, off: bool = False) -> RestorePlan:
    """The first two paragraphs: observe, decide."""
    database = database_to_restore(entry)
    chosen = choose_set(entry.name, version, read_sets(database), database.backups)
    route = read_route(entry, database)
    sight = read_sight(database, chosen)
    return plan_restore(entry, because.sentence, chosen, sight, route, off)


def take_back(entry: Service, plan: RestorePlan) -> tuple[str, ...]:
    """Act and verify; a failure before the restored server takes writes lets everybody go on as before."""
    database, point = database_to_restore(entry), plan.point
    with thawing(database, point, plan.off):
        begin_restore(database, point)
        whole = judge_checked(plan.name, check_set_again(database, point), plan.otherwise)
        ready = ready_side(database, point)
        hold(database, plan)
        promote_restored(database, point)
        moved = move_sequences(database, point)
        led = lead(entry, database, plan)
        kept = keep_damaged(database, plan.then, plan.off)

        archived = archive_restored(database, point)
        asked = ask_restored(database, plan.then)
        recovered = wait_until_recovered(entry)
        return whole, ready, moved, led, kept, archived, asked, recovered


def read_route(entry: Service, database: Database) -> Route:
    """Where the clients are led, by what leads them."""
    return read_pooler(database) if is_pooled(database) else read_secret(entry)


def hold(database: Database, plan: RestorePlan) -> None:
    """Nobody writes to the damaged server any more: those who can wait are held back, all others are cut off."""
    if is_pooled(database):
        pause_clients(database)
    if not plan.served:
        fence_server(database, plan.then, plan.off)
    if is_pooled(database):
        wait_until_still(database)


def lead(entry: Service, database: Database, plan: RestorePlan) -> str:
    """The clients go to the restored server."""
    if is_pooled(database):
        return lead_clients(database)
    begun = read_begun(database, plan.point)
    led = lead_by_secret(entry, plan.name, begun.at.isoformat() if begun else "")
    wait_until_settled(entry)
    return led


def is_pooled(database: Database) -> bool:
    """Whether it is PgBouncer that leads the clients."""
    return database.restore is not None and database.restore.pgbouncer is not None


def tell(entry: Service, plan: RestorePlan, said: tuple[str, ...]) -> str:
    """The report and the news."""
    database = database_to_restore(entry)
    report = report_restore(plan, read_begun(database, plan.point), said, database.url_variable)
    show(f"restored-database-{entry.name}-{plan.version}", report, headline(plan))
    notify(f"database/{entry.name}/{plan.name}", headline(plan), told(plan))
    return headline(plan)
