"""Drill the ways back of all databases: restore the newest set of each beside its server, and measure.

1. Read what each server says of its clock and its archive, and which sets were proved.  2. Choose the set that a
restore would take, or say that there is none; check its files and its WAL.  3. Restore a copy to its point apart from
everything, compare it, ask, promote, time each phase, throw it away; where CloudNativePG or AWS runs the database, that
recovers the copy.  4. Hold what was measured against what the
catalogue promises.  5. Keep it in the service's history, show it, tell people once per failing state; the run fails if
one drill did.
"""

from contextlib import suppress

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State

from recovery.catalog import Service
from recovery.cnpg import Role
from recovery.cnpg_gates import choose_drilled, cnpg_of
from recovery.drill_wording import show_drill
from recovery.drills import (
    Drill,
    DrillsFailed,
    Phases,
    choose_set,
    failed_drill,
    hold_all,
    judge_drill,
    news_of,
    promise_of,
)
from recovery.errors import RecoveryError, Refused, Unavailable
from recovery.gates import database_of
from recovery.rds_gates import choose_drilled_time, rds_of
from recovery.rds_plans import needed
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.fence import one_at_a_time
from tasks.kubernetes.cnpg import drop_copy, raise_copy, read_cluster
from tasks.notify import notify
from tasks.postgres.drilling import check_set, drill_set, keep_drill, read_drills, read_live, read_sets
from tasks.postgres.named_points import prove_recovered, read_archiving, read_proved
from tasks.postgres.timed_notes import read_timed
from tasks.postgres.timed_restores import prove_copy
from tasks.rds import drop_drill, raise_drill, read_managed, read_restorable
from tasks.settings import read_catalogue, read_service


def tell_of_drill(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Tell of a run that died of something else; what its drills have found it has told itself."""
    if isinstance(state.result(raise_on_failure=False), DrillsFailed):
        return
    trouble = state.message or "it failed without a message"
    with suppress(RecoveryError):
        notify.fn(f"failed/{flow.name}/{flow_run.id}", "the ways back were not drilled, a person must look", trouble)


@flow(
    name="drill",
    flow_run_name="drill {service}",
    persist_result=True,
    on_failure=[tell_of_drill],
    on_crashed=[tell_of_drill],  # nobody revives a drill
)
def drill(service: str = "all") -> str:
    """Drill one service's way back, or all of them one after the other; one's failure keeps no other from its drill.

    There is no rehearsal: a drill is one. It changes nothing but its own history.

    Args:
        service: Service, as the catalogue names it; `all` are those with a database.
    """
    named = read_catalogue().services if service == "all" else (read_service(service),)
    entries = [entry for entry in named if service != "all" or entry.drilled]

    drills = [attempt(entry) for entry in entries]

    for entry, done in zip(entries, drills, strict=True):
        report(entry, done)
    return hold_all(drills)


def attempt(entry: Service) -> Drill:
    """The drill of one service; that it could not come to its end is its answer."""
    if entry.cnpg:
        return attempt_cnpg(entry)
    return attempt_rds(entry) if entry.rds else attempt_set(entry)


def attempt_set(entry: Service) -> Drill:
    """The drill of a set of ours."""
    database = database_of(entry)
    live, then = read_live(entry.name, database), None
    try:
        then = choose_set(entry.name, read_sets(entry.name, database))
        with one_at_a_time(f"{entry.name}, drill"):
            check_set(database, then)
            way, phases = drill_set(database, then)
    except (Refused, Unavailable) as error:
        return failed_drill(entry.name, error, live, then)
    return judge_drill(then, way, phases, promise_of(database), live)


def attempt_cnpg(entry: Service) -> Drill:
    """The same of a database that CloudNativePG runs: the operator recovers a copy that archives nothing."""
    cnpg = cnpg_of(entry)
    live, then = read_archiving(entry), None
    try:
        seen = needed(read_cluster(entry), cnpg.cluster)
        point = choose_drilled(entry.name, read_proved(entry), seen)
        then = point.then
        with one_at_a_time(f"{entry.name}, drill"):
            begun = read_clock()
            copy = raise_copy(entry, seen, point, Role.DRILL)
            up = read_clock()
            way = prove_recovered(entry, point, copy.name)
            phases = Phases((up - begun).total_seconds(), None, (read_clock() - up).total_seconds(), None)
            drop_copy(entry, point, Role.DRILL)
    except (Refused, Unavailable) as error:
        return failed_drill(entry.name, error, live, then)
    return judge_drill(then, way, phases, promise_of(cnpg), live)


def attempt_rds(entry: Service) -> Drill:
    """The same of a database that AWS runs: RDS restores a copy, which is removed whatever it is found to be."""
    rds = rds_of(entry)
    live, point = read_restorable(rds), None
    try:
        point = choose_drilled_time(entry.name, read_timed(entry.name), read_managed(rds))
        with one_at_a_time(f"{entry.name}, drill"):
            begun = read_clock()
            copy = raise_drill(rds, point)
            up = read_clock()
            way = prove_copy(rds, point, copy)
            phases = Phases((up - begun).total_seconds(), None, (read_clock() - up).total_seconds(), None)
            drop_drill(rds, point)
    except (Refused, Unavailable) as error:
        if point is not None:
            with suppress(RecoveryError):
                drop_drill(rds, point)  # it is paid for while it lasts
        return failed_drill(entry.name, error, live, point)
    return judge_drill(point, way, phases, promise_of(rds), live)


def report(entry: Service, done: Drill) -> None:
    """Keep it, show it, and tell people what they do not know yet."""
    promise = promise_of(entry.cnpg or entry.rds or database_of(entry))
    history = read_drills(entry)
    keep_drill(entry, done, history)
    show(f"drill-{entry.name}", show_drill(done, history, promise), done.said)
    news = news_of(done, history)
    if news:
        notify(news.identity, news.title, news.text)
