"""Before a deployment: see that RDS can take the database back to before it, or refuse the deployment.

1. Read the instance or cluster, the attempts at a point, and the points that are kept.  2. Choose the point, that one
or a new one, or refuse.  3. Commit before a whole second and after it, count the rows; take a snapshot where the
catalogue says so.  4. Wait until RDS can restore to that second.  5. Say yes or no on the tag's commit.
"""

from prefect import flow

from flows.answering import say_yes_or_no
from recovery.catalog import Service
from recovery.rds_gates import choose_time, judge_gate, newest_of, rds_of, say_reached
from recovery.rds_wording import show_rds_gate
from recovery.restore_points import WayBack
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.postgres.timed_notes import read_timed
from tasks.postgres.timed_points import mark_point, read_attempts, say_point
from tasks.rds import read_managed, take_snapshot, wait_until_reached
from tasks.settings import read_service


@flow(name="prepare_rds", flow_run_name="prepare {service} {version}", persist_result=True)
def prepare_rds(service: str, version: str, rehearse: bool = True) -> WayBack:
    """Keep a moment to which RDS can restore, for one release, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The tag of the release that is about to be deployed, such as v1.2.0.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    tag = parse_version(version, entry.tag_prefix).tag
    with one_at_a_time(f"{service}, way back"):
        if rehearse:
            return prove(entry, tag, rehearse=True)
        return say_yes_or_no(entry, tag, rds_of(entry), lambda ahead: prove(entry, tag, rehearse=False))


def prove(entry: Service, version: str, *, rehearse: bool) -> WayBack:
    """The first four paragraphs: observe, decide, act, verify."""
    rds = rds_of(entry)
    seen = read_managed(rds)
    attempts, now = read_attempts(entry.name, version, rds)
    kept = newest_of(version, read_timed(entry.name))

    said = judge_gate(rds, seen)
    choice = choose_time(entry.name, version, rds.fresh, attempts, kept, seen, now)
    show(f"plan-gate-{entry.name}-{version}", show_rds_gate(entry.name, version, rds, choice, said), choice.reason)
    if rehearse or seen is None:
        return WayBack(False, f"rehearsed, nothing was changed: {choice.reason}; {said}", choice.name)

    point = mark_point(entry.name, version, rds, choice, seen)
    say_point(point)
    snapshot = take_snapshot(rds, point)

    reached = wait_until_reached(rds, point)
    return say_reached(reached, point, snapshot)
