"""A named point of a database whose backups and WAL somebody else keeps, and whether it was recovered to.

By SQL alone: no program of PostgreSQL's own, no directory, no archive of ours.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from prefect import task

from recovery.backups import last_segment
from recovery.catalog import Service
from recovery.cnpg import Backed, Clustered, CnpgPoint, address_of
from recovery.cnpg_gates import Register, Restored, cnpg_of, judge_restored, namespace_of
from recovery.cnpg_plans import CnpgPlan
from recovery.cnpg_settings import origin_of
from recovery.drills import Live
from recovery.errors import Incomplete, RecoveryError, Refused
from recovery.rds import Frozen
from recovery.restore_points import Choice, WayBack
from tasks.archive import keep_value, read_value
from tasks.postgres.connection import Session, session, way_at
from tasks.postgres.damaged import count_rows
from tasks.postgres.drilling import live_of
from tasks.postgres.freezing import ITSELF
from tasks.postgres.numbers import read_numbers
from tasks.postgres.points import register_point
from tasks.postgres.reading import read_state, registered
from tasks.postgres.smoke import ask_smoke
from tasks.postgres.timed_notes import keep_frozen, place_of_points, read_frozen
from tasks.postgres.timed_restores import move_frozen
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE, spoken

ARCHIVED_SECONDS = 300.0
POLL_SECONDS = 1.0
_SEGMENT_SIZE = "SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size'"
_ARCHIVER = "SELECT coalesce(last_archived_wal, ''), coalesce(last_failed_wal, '') FROM pg_stat_archiver"


@task(name="read register", task_run_name="read the register of {service.name} {version}", **LOOKING_AGAIN)
def read_register(service: Service, version: str) -> Register:
    """What the database has of a release, and its clock."""
    with session(cnpg_of(service), way_to(service, cnpg_of(service).cluster)) as asked:
        return Register(registered(asked, service.name, version), asked.value("SELECT clock_timestamp()"))


@task(name="read named points", task_run_name="read the points of {service.name}", **LOOKING_AGAIN)
def read_named(service: Service) -> tuple[CnpgPoint, ...]:
    """Every point that is kept of a service. Raises Refused when one cannot be read: it may be the newest."""
    files = sorted(place_of_points(service.name).glob("*.named.json"))
    found = [read_value(path, CnpgPoint) for path in files]
    return tuple(each for each in found if each is not None)


@task(name="read proved points", task_run_name="read the proved points of {service.name}", **LOOKING_AGAIN)
def read_proved(service: Service) -> tuple[CnpgPoint, ...]:
    """Every point that is kept of a service and was proved on a copy."""
    return tuple(each for each in read_named.fn(service) if read_proof.fn(each) is not None)


@task(name="read Cluster's archiving", task_run_name="read how far the archive of {service.name} is", **LOOKING_AGAIN)
def read_archiving(service: Service) -> Live:
    """The clock and the archiver of the Cluster's primary. One that does not answer is told in the value."""
    return live_of(cnpg_of(service), way_to(service, cnpg_of(service).cluster))


@task(name="name point", task_run_name="make the point of {service.name} {version}", **ON_UNAVAILABLE)
def name_point(service: Service, version: str, choice: Choice, seen: Clustered, backup: Backed) -> CnpgPoint:
    """Make the named point after the Backup, once, and wait until its WAL is archived; it is kept in the archive.

    Killed before it is kept, the next try takes the next name: of two points of one name recovery stops at the first.
    """
    path = place_of_points(service.name) / f"{choice.point.name}.named.json"
    if choice.there and (kept := read_value(path, CnpgPoint)) is not None:
        return kept
    with session(cnpg_of(service), way_to(service, seen.name)) as asked:
        system_id, standby, timeline = _itself(asked)
        if standby:
            raise Refused(f"{seen.name} takes no writes now, it is in recovery: wait until its primary is up")
        then = register_point(asked, service.name, version, choice.point, timeline, system_id)
        _wait_until_archived(asked, seen.name, last_segment(timeline, then.lsn, int(asked.value(_SEGMENT_SIZE))))
    origin, backup_id = origin_of(seen.name, seen.spec), str(backup.backup_id)
    point = CnpgPoint(then, choice.point.attempt, seen.name, seen.uid, backup_id, origin)
    keep_value(path, point)
    return point


@task(name="mark now", **LOOKING_AGAIN)
def mark_now(service: Service, seen: Clustered, point: CnpgPoint, digest: str) -> CnpgPoint:
    """Name the present position in the WAL, so that a copy can be recovered to it out of the backup before `point`.

    The name has the time in it: of two of one name recovery stops at the first. It is in no register.
    """
    with session(cnpg_of(service), way_to(service, seen.name)) as asked:
        _, standby, timeline = _itself(asked)
        if standby:
            raise Refused(f"{seen.name} takes no writes now, it is in recovery: wait until its primary is up")
        now: datetime = asked.value("SELECT clock_timestamp()")
        name = f"{service.name}-fix-{digest[:12]}-{now.astimezone(UTC):%Y%m%d%H%M%S%f}"
        lsn = str(asked.value("SELECT pg_create_restore_point(%s)::text", name))
        asked.rows("SELECT pg_switch_wal()")
        _wait_until_archived(asked, seen.name, last_segment(timeline, lsn, int(asked.value(_SEGMENT_SIZE))))
    return replace(point, then=replace(point.then, name=name, lsn=lsn, made_at=now))


@task(name="say named point", **LOOKING_AGAIN)
@spoken
def say_named(point: CnpgPoint) -> str:
    """The point in a sentence, for the run's log."""
    rows = sum(point.then.after.counts.values())
    return f"the point {point.name} is at {point.then.lsn}, after backup {point.backup_id}, with {rows} rows counted"


@task(name="read proof", **LOOKING_AGAIN)
def read_proof(point: CnpgPoint) -> WayBack | None:
    """The proof that is kept of a point; None when it was never proved."""
    return read_value(place_of_points(point.service) / f"{point.name}.proof.json", WayBack)


@task(name="keep proof", **LOOKING_AGAIN)
def keep_proof(point: CnpgPoint, proof: WayBack) -> WayBack:
    """Keep it, so that a gate that is repeated proves nothing twice."""
    keep_value(place_of_points(point.service) / f"{point.name}.proof.json", proof)
    return proof


@task(name="prove recovered", task_run_name="compare {cluster} with {point.name}", **LOOKING_AGAIN)
def prove_recovered(service: Service, point: CnpgPoint, cluster: str) -> WayBack:
    """Compare a recovered database with what was at the point, and ask it. Raises Refused when it is not what was."""
    cnpg, way = cnpg_of(service), way_to(service, cluster)
    with session(cnpg, way) as asked:
        system_id, standby, timeline = _itself(asked)
        row = registered(asked, point.service, point.version)
        seen = Restored(system_id, timeline, standby, row, read_state(asked))
    proof = judge_restored(point, seen, ask_smoke(cnpg, way), cnpg.uncounted)
    if not proof.proved:
        raise Refused(f"{proof.reason}: nobody is led to {cluster}, look at it")
    return proof


@task(name="prove restored Cluster", **LOOKING_AGAIN)
def prove_beside(service: Service, plan: CnpgPlan) -> str:
    """The same of the Cluster that clients are to be led to; one that serves them already has rows of its own."""
    if plan.served:
        return f"skipped: {plan.restored} serves the clients"
    return prove_recovered.fn(service, plan.point, plan.restored).reason


@task(name="count damaged Cluster", **LOOKING_AGAIN)
def count_in_damaged(service: Service, point: CnpgPoint) -> Mapping[str, int | None]:
    """Rows per table of the damaged database now; nothing where it does not let us in."""
    return count_rows(cnpg_of(service), point.then.after.counts, way_to(service, point.cluster))


@task(name="note numbers", **LOOKING_AGAIN)
@spoken
def note_numbers(service: Service, plan: CnpgPlan) -> str:
    """Keep the last value of each sequence of the damaged database, right before it is fenced. Never raises."""
    try:
        with session(cnpg_of(service), way_to(service, plan.damaged)) as asked:
            numbers = read_numbers(asked)
    except RecoveryError as error:
        return f"skipped: {plan.damaged} does not say its numbers ({error})"
    if numbers is None:
        return f"skipped: {plan.damaged} does not say its numbers"
    keep_frozen(plan.point, Frozen(datetime.now(UTC), dict(numbers)))
    return f"kept the numbers of {len(numbers)} sequences of {plan.damaged}"


@task(name="move numbers on", **LOOKING_AGAIN)
@spoken
def move_numbers_on(service: Service, plan: CnpgPlan) -> str:
    """Move each sequence of the restored database past what the damaged one has handed out. Never raises."""
    return move_frozen(cnpg_of(service), way_to(service, plan.restored), read_frozen.fn(plan.point))


@task(name="ask restored Cluster", **LOOKING_AGAIN)
@spoken
def ask_in_restored(service: Service, plan: CnpgPlan) -> str:
    """Ask the smoke queries of what clients are led to. Raises Incomplete when they are answered otherwise."""
    cnpg = cnpg_of(service)
    wrong = ask_smoke(cnpg, way_to(service, plan.restored))
    if wrong:
        raise Incomplete(f"{plan.restored}: {'; '.join(wrong)}: the clients are led there, a person must look")
    return f"{plan.restored} answers {len(cnpg.smoke)} smoke queries"


def way_to(service: Service, cluster: str) -> dict[str, str]:
    """The catalogue's conninfo, led to the primary of a Cluster: wherever its own host may lead meanwhile."""
    return way_at(cnpg_of(service), address_to(service, cluster))


def address_to(service: Service, cluster: str) -> dict[str, str]:
    """Where the primary of a Cluster answers."""
    return address_of(namespace_of(service), cluster)


def _itself(asked: Session) -> tuple[str, bool, int]:
    [(system_id, standby, timeline)] = asked.rows(ITSELF)
    return str(system_id), bool(standby), int(timeline or 0)


def _wait_until_archived(asked: Session, cluster: str, segment: str) -> None:
    """Segments of one timeline are archived in their order, and those of a later one have greater names."""
    deadline = time.monotonic() + ARCHIVED_SECONDS
    while True:
        [(last, failed)] = asked.rows(_ARCHIVER)
        if last >= segment:
            return
        if time.monotonic() > deadline:
            trouble = f", its archiver failed with {failed}" if failed else ""
            raise Refused(
                f"{segment} of {cluster} was not archived within {ARCHIVED_SECONDS:g} s{trouble}: the log of its "
                "primary says why, mend it and run the gate again"
            )
        time.sleep(POLL_SECONDS)
