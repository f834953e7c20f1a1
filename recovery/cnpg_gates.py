"""Whether a Cluster can be taken back to before a deployment, and whether a copy of it is what was.

Pure: what the operator and PostgreSQL said arrives as an argument.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recovery.catalog import Service
from recovery.cnpg import (
    ARCHIVING,
    HEALTHY,
    HIBERNATION,
    HOPELESS,
    LAST_BACKUP,
    RECONCILED,
    SETTING_UP,
    SKIPS_ARCHIVING,
    Backed,
    BackupPhase,
    Clustered,
    CnpgPoint,
    backup_of,
)
from recovery.cnpg_catalog import Cnpg
from recovery.cnpg_settings import origin_of
from recovery.drills import choose_set
from recovery.errors import Refused, Unavailable
from recovery.restore_points import Choice, RestorePoint, State, Then, WayBack, choose_point, point_name, unlike


@dataclass(frozen=True, slots=True)
class Register:
    """What the database's register has of a release, and the server's clock."""

    point: RestorePoint | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored database says of itself."""

    system_id: str
    timeline: int
    in_recovery: bool
    registered: RestorePoint | None
    state: State


def cnpg_of(service: Service) -> Cnpg:
    """The service's database on CloudNativePG. Raises Refused when the catalogue names none."""
    if service.cnpg is None:
        raise Refused(f"the catalogue names no database of {service.name} on CloudNativePG: add `cnpg`")
    return service.cnpg


def namespace_of(service: Service) -> str:
    """Where its Cluster is, and everything that is made of it."""
    return cnpg_of(service).namespace or service.namespace


def judge_cluster(service: Service, seen: Clustered | None) -> str:
    """Answer in a sentence that the Cluster has what a way back needs. Raises Refused with all that is against it."""
    cnpg, place = cnpg_of(service), namespace_of(service)
    if seen is None:
        raise Refused(f"there is no Cluster {cnpg.cluster} in {place}: check `cluster` and `namespace`")
    wrong = [*_standing(seen), *_archived(seen)]
    try:
        origin_of(seen.name, seen.spec)
    except Refused as refused:
        wrong.append(str(refused))
    if wrong:
        raise Refused("; ".join(wrong))
    said = f"{seen.name} is healthy with {seen.ready} of {seen.instances} instances, and its WAL is archived"
    last = seen.conditions.get(LAST_BACKUP)
    return said if last is None or last.holds else f"{said}; its last backup failed: {last.reason or 'without a word'}"


def _standing(seen: Clustered) -> list[str]:
    wrong = []
    if seen.deleting:
        wrong.append(f"{seen.name} is being deleted")
    if seen.fenced:
        wrong.append(f"{seen.name} is fenced: name the Cluster that serves now in `cluster`, or lift the fence")
    if seen.annotations.get(HIBERNATION) == "on":
        wrong.append(f"{seen.name} is hibernated: wake it up")
    if seen.annotations.get(RECONCILED) == "disabled":
        wrong.append(f"the operator leaves {seen.name} alone ({RECONCILED}): nothing would come of a Backup")
    replica = seen.spec.get("replica") or {}
    if replica.get("enabled") or (replica.get("primary") and replica["primary"] != (replica.get("self") or seen.name)):
        wrong.append(f"{seen.name} is a replica of {replica.get('source')}: name that, it is what is restored")
    if seen.phase != HEALTHY:
        why = f" ({seen.reason})" if seen.reason else ""
        wrong.append(f"{seen.name} says {seen.phase or 'nothing yet'!r}{why}: wait until it is healthy, or mend it")
    elif not seen.ready and not seen.fenced:
        wrong.append(f"{seen.name} has no instance that is ready")
    return wrong


def _archived(seen: Clustered) -> list[str]:
    if seen.annotations.get(SKIPS_ARCHIVING) == "enabled":
        return [f"{seen.name} is told to archive no WAL ({SKIPS_ARCHIVING}): take that annotation away"]
    archiving = seen.conditions.get(ARCHIVING)
    if archiving is None:
        return [f"{seen.name} does not say whether its WAL is archived (condition {ARCHIVING})"]
    return [] if archiving.holds else [f"the WAL of {seen.name} is not archived: {archiving.reason or 'no reason'}"]


def choose_named(
    service: Service,
    version: str,
    register: Register,
    points: Sequence[CnpgPoint],
    backups: Sequence[Backed],
    seen: Clustered | None,
) -> Choice:
    """The point that serves, or the next one to be made: neither name nor Backup of a failed attempt is used again."""
    uid = seen.uid if seen else ""
    kept = {each.name: each.then for each in points if each.uid == uid}
    found = register.point
    choice = choose_point(service.name, version, cnpg_of(service), found, _recorded(found, kept), register.now)
    failed = {each.name for each in backups if each.phase is BackupPhase.FAILED}
    point, reason = choice.point, choice.reason
    while not choice.there and backup_of(point.name) in failed:
        reason = f"the Backup {backup_of(point.name)} failed"
        point = RestorePoint(point_name(service.name, version, point.attempt + 1), point.attempt + 1)
    return Choice(point, reason, choice.there)


def _recorded(found: RestorePoint | None, kept: dict[str, Then]) -> Then | None:
    return kept.get(found.name) if found else None


def choose_drilled(service: str, points: Sequence[CnpgPoint], seen: Clustered) -> CnpgPoint:
    """The point that a restore would go to: the newest of this very Cluster that was proved. Raises Refused."""
    ours = [each for each in points if each.uid == seen.uid]
    chosen = choose_set(service, [each.then for each in ours])
    return next(each for each in ours if each.then is chosen)


def judge_backup(seen: Backed | None, cluster: str) -> str | None:
    """Why a Backup is not there yet; None when it is whole. Raises Refused when it never will be."""
    if seen is None:
        raise Unavailable("the Backup that was asked for is not to be seen: run this again")
    if seen.cluster != cluster:
        raise Refused(f"the Backup {seen.name} is of {seen.cluster} and not of {cluster}: remove it, it is not ours")
    if seen.phase is BackupPhase.FAILED:
        raise Refused(
            f"the Backup {seen.name} failed: {seen.reason or 'without a word'}; mend that, run the gate again"
        )
    if seen.phase is BackupPhase.COMPLETED and seen.backup_id:
        return None
    return f"the Backup {seen.name} is {seen.reason or seen.phase}"


def judge_ready(seen: Clustered | None, name: str, point: str) -> str | None:
    """Why a Cluster of ours is not up yet; None when it is. Raises Refused when it never will be, or is not ours."""
    if seen is None:
        return f"{name} is not to be seen"
    if seen.restored_to != point:
        raise Refused(f"{name} is there and was not restored to {point} by us: rename or remove it by hand")
    if seen.deleting:
        return f"{name} is being deleted"
    if seen.phase in HOPELESS:
        raise Refused(f"{name} says {seen.phase!r} ({seen.reason}): mend that, or remove it, and run this again")
    if seen.phase == HEALTHY and seen.ready >= seen.instances:
        return None
    hint = "; its recovery pod's log says more" if seen.phase == SETTING_UP else ""
    return f"{name} says {seen.phase or 'nothing yet'!r}, {seen.ready} of {seen.instances} instances are ready{hint}"


def judge_restored(point: CnpgPoint, seen: Restored, wrong: Sequence[str], uncounted: tuple[str, ...]) -> WayBack:
    """Answer whether a restored database is what was at the point.

    The register tells a later one: the commit right after the point writes the point's position there.
    """
    then, row, said = point.then, seen.registered, []
    if seen.system_id != then.system_id:
        said.append(f"its system identifier is {seen.system_id} and not {then.system_id}: it is of another database")
    if row is None or row.name != then.name:
        said.append(f"its register does not have {then.name}: it is of an earlier time")
    elif row.lsn is not None:
        said.append(f"the commit after {then.name} is in it: it is of a later time")
    if seen.in_recovery:
        said.append("it takes no writes")
    elif seen.timeline <= then.timeline:
        said.append(f"its timeline is {seen.timeline} and that of the point {then.timeline}: it was not recovered")
    said += [*unlike(then.before, then.after, seen.state, uncounted), *wrong]
    if said:
        return WayBack(False, f"what was restored to {then.name} is not what was: {'; '.join(said)}", then.name)
    rows = sum(seen.state.counts.values())
    counted = f"{len(seen.state.counts)} tables and {rows} rows as they were"
    return WayBack(True, f"it ends at {then.name} ({then.lsn}) on timeline {seen.timeline}, with {counted}", then.name)


def say_proved(point: CnpgPoint, cluster: str, proof: WayBack, seconds: float) -> WayBack:
    """The gate's yes."""
    said = f"{cluster}, restored from backup {point.backup_id} in {seconds:.0f} s and removed again: {proof.reason}"
    return WayBack(True, said, point.name, seconds)
