"""The first three paragraphs of a salvage: which two databases, are they those, and the export; by who runs them.

The damaged one is compared with a copy at the point. Of a set of ours it is restored here and thrown away; where AWS or
CloudNativePG runs the database, that restores it, and the damaged one is let read for the time of the export.
"""

from flows.tidying import afterwards
from recovery.catalog import Service
from recovery.cnpg import Role
from recovery.cnpg_gates import cnpg_of
from recovery.managed_salvages import choose_parted, judge_base, judge_exchanged, judge_led
from recovery.rds import names_of
from recovery.rds_gates import rds_of
from recovery.salvages import Parted, judge_servers, parted_beside, restored_database
from tasks.kubernetes.cnpg import drop_copy, fence_again, lift_fence, raise_copy, read_led, read_pair
from tasks.postgres.named_points import address_to, prove_recovered, read_named
from tasks.postgres.salvage import (
    close_again,
    close_to_writes,
    find_point,
    is_exported,
    open_damaged,
    parted_on_cnpg,
    parted_on_rds,
    read_servers,
    write_export,
    write_export_of_copy,
)
from tasks.postgres.timed_notes import read_timed
from tasks.postgres.timed_restores import address_of, prove_copy
from tasks.rds import drop_base, raise_base, read_three


def part(entry: Service, version: str, *, apply: bool) -> tuple[Parted, str]:
    """The two databases with the export beside them, and what must be said of the damaged one.

    Raises Refused when they are not a damaged one and its restored one.
    """
    if entry.cnpg:
        return part_on_cnpg(entry, version)
    return part_on_rds(entry, version) if entry.rds else part_beside(entry, version, apply=apply)


def part_beside(entry: Service, version: str, *, apply: bool) -> tuple[Parted, str]:
    """Two servers of our own."""
    database = restored_database(entry)
    damaged, restored = read_servers(database)
    said = judge_servers(damaged, restored, apply=apply)
    point = find_point(entry.name, version, database, damaged)
    write_export(entry.name, version, database, point)
    return parted_beside(database, point.name), said


def part_on_rds(entry: Service, version: str) -> tuple[Parted, str]:
    """The same on RDS: the damaged one goes by another name and is closed."""
    rds = rds_of(entry)
    point = choose_parted(entry.name, version, read_timed(entry.name))
    damaged, restored = judge_exchanged(
        point, read_three(rds, names_of(point.identifier, point.version, point.attempt))
    )
    parted = parted_on_rds(rds, point, damaged, restored)
    with afterwards(lambda: close_again(rds, damaged)):
        if not is_exported(parted):
            base = raise_base(rds, point, damaged)
            judge_base(prove_copy(rds, point, base))
            open_damaged(rds, damaged)
            write_export_of_copy(entry.name, version, parted, address_of(base))
    drop_base(rds, point)
    return parted, f"{damaged.identifier} takes no writes"


def part_on_cnpg(entry: Service, version: str) -> tuple[Parted, str]:
    """The same on CloudNativePG: the damaged Cluster is fenced."""
    cnpg_of(entry)
    point = choose_parted(entry.name, version, read_named(entry))
    damaged = judge_led(point, read_pair(entry, point), read_led(entry, point))
    parted = parted_on_cnpg(entry, point)
    with afterwards(lambda: fence_again(entry, damaged)):
        if not is_exported(parted):
            base = raise_copy(entry, damaged, point, Role.BASE)
            prove_recovered(entry, point, base.name)
            lift_fence(entry, damaged)
            close_to_writes(entry, damaged)
            write_export_of_copy(entry.name, version, parted, address_to(entry, base.name))
    drop_copy(entry, point, Role.BASE)
    return parted, f"{damaged.name} is fenced"
