"""Prove a way back for the database before a release is deployed, or refuse the deployment.

1. Read the server, its archiver, the register of points and the sets.  2. Choose the point, that one or a new one, or
refuse.  3. Take the base backup and verify it, keep the server's settings, arm parachute and journal where they are
wanted; make the restore point and the marker commit; wait until its WAL is archived, check it record by record, keep a
copy in the set.  4. Restore a copy to the point beside the server, compare, ask, promote, time it, run the release's
migrations on it, throw it away; check that the parachute has stopped at the point.  5. Say yes or no on the tag's
commit, and what a recovery would be; remove the sets that may go, and tell people while there is still room.
"""

from contextlib import suppress

from prefect import flow

from flows.answering import say_yes_or_no
from recovery.backups import judge_backup, judge_chain, judge_server
from recovery.catalog import Service
from recovery.errors import RecoveryError
from recovery.gates import database_of, show_gate
from recovery.journals import journal_name, judge_journal
from recovery.outlooks import Ahead
from recovery.restore_points import WayBack, choose_point
from recovery.sets import warn_of_disks
from recovery.sides import judge_beside
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.notify import notify
from tasks.postgres import (
    arm_journal,
    arm_parachute,
    check_parachute,
    drop_journals,
    expire_sets,
    keep_chain,
    keep_settings,
    make_point,
    prove_way_back,
    read_backup,
    read_chain,
    read_names,
    read_point,
    read_room,
    read_server,
    read_set,
    read_spare,
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
        way = say_yes_or_no(entry, tag, database_of(entry), lambda ahead: prove(entry, tag, ahead, rehearse=False))
        tidy_up(entry, tag, way)
        return way


def prove(entry: Service, version: str, ahead: Ahead | None = None, *, rehearse: bool) -> WayBack:
    """The first four paragraphs: observe, decide, act, verify."""
    database = database_of(entry)
    server = read_server(database)
    found = read_point(entry.name, version, database)
    recorded, known = read_set(database, found), read_names(database)
    choice = choose_point(entry.name, version, database, found, recorded, server.now, known)

    point = choice.point
    said = judge_server(server, database, read_room(database, point.name))
    judge_beside(server, database)
    judge_journal(server, database)
    plan = show_gate(entry.name, version, database, choice, server, said)
    show(f"plan-gate-{entry.name}-{version}", plan, choice.reason)
    if rehearse:
        return WayBack(False, f"rehearsed, nothing was changed: {choice.reason}; {said}", point.name)

    take_backup(entry.name, version, database, point)
    backup = read_backup(database, point)
    judge_backup(backup, server)
    keep_settings(database, point)
    arm_parachute(entry.name, version, database, point)
    arm_journal(entry.name, version, database, point)
    make_point(entry.name, version, database, point, server)
    wait_until_archived(database, point, server)
    chain = read_chain(database, point, backup, server.segment_size)
    keep_chain(database, point, judge_chain(backup, chain, server.segment_size))

    way = prove_way_back(database, point, ahead)
    check_parachute(database, point)
    return way


def tidy_up(entry: Service, version: str, way: WayBack) -> None:
    """Make room and look for it. Nothing of it is a no: the way back is proved, and the next gate tries again."""
    database = database_of(entry)
    with suppress(RecoveryError):
        expire_sets(entry.name, database)
    with suppress(RecoveryError):
        if way.point:  # always: a catalogue that wants one no more must not leave it for ever
            drop_journals(entry.name, database, but=journal_name(entry.name, version, way.point))
    with suppress(RecoveryError):
        if full := warn_of_disks(read_server(database), database, read_spare(database)):
            notify(f"room/{entry.name}/{version}", f"the ways back of {entry.name} run out of room", full)
