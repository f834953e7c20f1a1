"""Watch every release in its monitoring window, all services in one cheap run.

1. Read which releases are under watch and what was measured of them.  2. Judge each.  3. Launch the recovery of
those in breach; certify those whose window is over; start recoveries again whose process died.  4. (What was done
is read back by the next run: a certified or undone revision is no longer under watch.)  5. Tell people what we
cannot decide, above all that we are blind.
"""

from datetime import datetime
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.telling import tell_of_monitor
from recovery.catalog import Service
from recovery.errors import Unavailable
from recovery.gates import database_of
from recovery.incidents import Mode
from recovery.journals import has_journal
from recovery.readings import Watch
from recovery.revivals import Revival
from recovery.rollouts import Standing
from recovery.shown import show_verdict
from recovery.sides import has_parachute
from recovery.triggers import judge
from recovery.watching import STALE, Deed, Judged, follow
from tasks.artifacts import publish
from tasks.blindness import note_sight
from tasks.clock import lateness, read_clock
from tasks.cycles import drop_backlog
from tasks.github import write_status
from tasks.kubernetes import mark_revision, read_watches
from tasks.notify import notify
from tasks.postgres import drop_journals, pack_parachute
from tasks.prometheus import read_evidence
from tasks.runs import find_the_dead, launch_respond, read_mode, revive_the_dead
from tasks.settings import read_catalogue

# A burst over all services would keep the Prefect server from a recovery that begins just then.
FEW: Any = ThreadPoolTaskRunner(max_workers=4)


@flow(
    name="monitor",
    flow_run_name="monitor",
    task_runner=FEW,
    on_failure=[tell_of_monitor],
)
def monitor() -> list[State[str]]:
    """Look at every service once; one service's trouble does not keep the others from being looked after.

    A cycle that comes late, out of a backlog, only clears that away: newer ones are due.
    """
    if lateness() > STALE:
        drop_backlog()
        return []
    services = read_catalogue().services
    raise_the_dead()
    now, mode = read_clock(), read_mode()
    watches = read_watches(services, now)

    looked = [look_after.submit(service, watch, mode, now) for service, watch in watches]
    return [future.wait() or future.state for future in looked]


def raise_the_dead() -> None:
    """Have recoveries whose process died started again; one that is given up is told first, lest nobody hear of it."""
    revive_the_dead([lost for lost in find_the_dead() if lost.again or told_of(lost)])


def told_of(lost: Revival) -> bool:
    """Answer whether people were told; where not, the next cycle tries again, and this one still watches."""
    try:
        notify.fn(f"failed/dead/{lost.run.id}", f"{lost.run.name} needs a person", lost.reason)
    except Unavailable:
        return False
    return True


@task(name="look after", task_run_name="look after {watch.service} {watch.version}")
def look_after(service: Service, watch: Watch, mode: Mode, now: datetime) -> str:
    """One release's part of the cycle; returns its verdict in a sentence.

    One step and not four: with many services under watch, what Prefect keeps of each step would slow recoveries.
    """
    evidence = read_evidence(watch, service.limits.window, now)

    verdict = judge(watch, evidence.points, evidence.before, service.limits, now)
    judged = follow(watch, note_sight(watch, verdict, evidence.trouble), mode, now)

    DEEDS[judged.deed](service, judged)

    title = f"{service.name} {watch.version}: {judged.verdict.answer}"
    publish(f"verdict-{service.name}-{watch.version}", show_verdict(watch, judged.verdict), title)
    return f"{title}, {judged.verdict.reason}"


def launch(service: Service, judged: Judged) -> None:
    """Have the release taken back."""
    launch_respond(service.name, judged.watch.version, judged.cause)


def certify(service: Service, judged: Judged) -> None:
    """Write the certificate on the release's commit and on the cluster's revision; let go of parachute and journal.

    What is marked is looked at no more: so that comes last, and whoever dies before it begins again.
    """
    write_status(service, judged.watch.version, "success", judged.verdict.reason)
    if has_parachute(service):
        pack_parachute(service.name, judged.watch.version, database_of(service))
    if has_journal(service):
        drop_journals(service.name, database_of(service), judged.watch.version)
    mark_revision(service, judged.watch.version, Standing.HEALTHY, judged.verdict.reason)


def wake(service: Service, judged: Judged) -> None:
    """Tell people what we cannot decide."""
    title = f"{service.name} {judged.watch.version}: {judged.verdict.answer}, a person must look"
    notify(judged.identity, title, judged.verdict.reason)


def look_again(service: Service, judged: Judged) -> None:
    """Nothing to be done in this cycle."""


DEEDS = {Deed.LAUNCH: launch, Deed.CERTIFY: certify, Deed.WAKE: wake, Deed.NOTHING: look_again}
