"""Prove a way back for the database before a release is deployed, or refuse the deployment.

1. Read the server, its archiver, the register of points and the sets.  2. Choose the point, that one or a new one, or
refuse.  3. Take the base backup and verify it, keep the server's settings, arm the parachute where one is wanted; make
the restore point and the marker commit; wait until its WAL is archived, check it record by record, keep a copy in the
set.  4. Restore a copy to the point beside the server, compare, ask, promote, time it, throw it away; check that the
parachute has stopped at the point.  5. Say yes or no on the tag's commit; remove the sets that may go.
"""

from contextlib import suppress

from prefect import flow

from recovery.backups import judge_backup, judge_chain, judge_server
from recovery.catalog import Service
from recovery.errors import RecoveryError, Refused, Unavailable
from recovery.gates import STATUS_CONTEXT, database_of, judge_unproved, show_gate, show_way, state_of
from recovery.restore_points import WayBack, choose_point
from recovery.sides import judge_beside
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.git import read_taken_back
from tasks.github import write_status
from tasks.postgres import (
    arm_parachute,
    check_parachute,
    expire_sets,
    keep_chain,
    keep_settings,
    make_point,
    prove_way_back,
    read_backup,
    read_chain,
    read_point,
    read_room,
    read_server,
    read_set,
    take_backup,
    wait_until_archived,
)
from tasks.settings import read_service


@flow(name="prepare_release", flow_run_name="prepare {service} {version}", persist_result=True)
def prepare_release(service: str, version: str, rehearse: bool = True) -> WayBack:
    """Prove the way back of one release, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The tag of the release that is about to be deployed, such as v1.2.0.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    tag = parse_version(version, entry.tag_prefix).tag
    # Not the fence of the recoveries: a revert holds that one while it waits for the pipeline, which asks this gate.
    with one_at_a_time(f"{service}, way back"):
        if rehearse:
            return prove(entry, tag, rehearse=True)
        way = answer(entry, tag)
        write_status(entry, tag, state_of(way), way.reason, STATUS_CONTEXT)
        show(f"gate-{service}-{tag}", show_way(service, tag, way), way.reason)
        expire_sets(service, database_of(entry))
        return way


def prove(entry: Service, version: str, *, rehearse: bool) -> WayBack:
    """The first four paragraphs: observe, decide, act, verify."""
    database = database_of(entry)
    server = read_server(database)
    found = read_point(entry.name, version, database)
    choice = choose_point(entry.name, version, database, found, read_set(database, found), server.now)

    point = choice.point
    said = judge_server(server, database, read_room(database, point.name))
    judge_beside(server, database)
    plan = show_gate(entry.name, version, database, choice, server, said)
    show(f"plan-gate-{entry.name}-{version}", plan, choice.reason)
    if rehearse:
        return WayBack(False, f"rehearsed, nothing was changed: {choice.reason}; {said}", point.name)

    take_backup(entry.name, version, database, point)
    backup = read_backup(database, point)
    judge_backup(backup, server)
    keep_settings(database, point)
    arm_parachute(entry.name, version, database, point)
    make_point(entry.name, version, database, point, server)
    wait_until_archived(database, point, server)
    chain = read_chain(database, point, backup, server.segment_size)
    keep_chain(database, point, judge_chain(backup, chain, server.segment_size))

    way = prove_way_back(database, point)
    check_parachute(database, point)
    return way


def answer(entry: Service, version: str) -> WayBack:
    """Prove it; a refusal stands on the tag's commit before it is raised, unless the catalogue allows it unproved."""
    try:
        return prove(entry, version, rehearse=False)
    except (Refused, Unavailable) as error:
        allowed = judge_unproved(database_of(entry), error, taken_back(entry, version))
        if allowed is None:
            with suppress(RecoveryError):  # a Git host that does not answer must not hide why
                write_status(entry, version, state_of(error), str(error), STATUS_CONTEXT)
            raise
        return allowed


def taken_back(entry: Service, version: str) -> str | None:
    """The release that this one takes back; None, too, where the Git host does not answer."""
    with suppress(RecoveryError):
        return read_taken_back(entry, version)
    return None
