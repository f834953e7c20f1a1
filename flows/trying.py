"""The rehearsal of a fix on a clone of the present database; by who runs it.

Of a server of ours the clone is made here. Where AWS or CloudNativePG runs the database, that restores one to this
moment, and it is removed whatever the fix did to it.
"""

from flows.tidying import afterwards
from recovery.catalog import Service
from recovery.cnpg import Role
from recovery.cnpg_gates import choose_drilled, cnpg_of
from recovery.fix_scripts import Script
from recovery.fixes import Ground, Rehearsal, clone_name, judge_ground, judge_managed_ground
from recovery.gates import database_of
from recovery.rds import clone_of
from recovery.rds_gates import rds_of
from recovery.rds_plans import needed
from tasks.clock import read_clock
from tasks.kubernetes.cnpg import drop_copy, raise_copy, read_cluster
from tasks.postgres import read_room, read_server
from tasks.postgres.fixing import rehearse_fix, rehearse_fix_on
from tasks.postgres.named_points import address_to, mark_now, read_proved
from tasks.postgres.timed_points import read_moment
from tasks.postgres.timed_restores import address_of
from tasks.rds import drop_clone, raise_clone, read_managed, wait_until_reached


def try_on_clone(entry: Service, version: str, script: Script, ground: Ground) -> Rehearsal:
    """What the fix does to a clone of the present database. Raises Refused when it cannot be tried, or fails there."""
    if entry.cnpg:
        return try_on_cnpg(entry, version, script, ground)
    return try_on_rds(entry, version, script, ground) if entry.rds else try_beside(entry, version, script, ground)


def try_beside(entry: Service, version: str, script: Script, ground: Ground) -> Rehearsal:
    """On a clone beside the sets."""
    database = database_of(entry)
    judge_ground(database, ground, read_server(database), read_room(database, clone_name(entry.name)))
    return rehearse_fix(entry.name, version, database, script, ground)


def try_on_rds(entry: Service, version: str, script: Script, ground: Ground) -> Rehearsal:
    """On what RDS restores to the next second, as soon as it can."""
    rds = rds_of(entry)
    judge_managed_ground(ground)
    begun, name = read_clock(), clone_of(rds.name, script.digest)
    moment = read_moment(rds, name, needed(read_managed(rds), rds.name))
    source = wait_until_reached(rds, moment)
    with afterwards(lambda: drop_clone(rds, name)):
        clone = raise_clone(rds, moment, name, source)
        copied = (read_clock() - begun).total_seconds()
        return rehearse_fix_on(entry.name, version, rds, script, ground, address_of(clone), copied)


def try_on_cnpg(entry: Service, version: str, script: Script, ground: Ground) -> Rehearsal:
    """On what the operator recovers to a point of now, out of the newest backup that was proved."""
    cnpg = cnpg_of(entry)
    judge_managed_ground(ground)
    begun, seen = read_clock(), needed(read_cluster(entry), cnpg.cluster)
    now = mark_now(entry, seen, choose_drilled(entry.name, read_proved(entry), seen), script.digest)
    with afterwards(lambda: drop_copy(entry, now, Role.CLONE)):
        clone = raise_copy(entry, seen, now, Role.CLONE)
        copied = (read_clock() - begun).total_seconds()
        return rehearse_fix_on(entry.name, version, cnpg, script, ground, address_to(entry, clone.name), copied)
