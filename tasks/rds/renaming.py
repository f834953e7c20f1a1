"""Exchange the names of the damaged and the restored database, from whatever state a killed run left them in."""

import time

from prefect import task

from recovery.durations import show_duration
from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable
from recovery.rds_catalog import Rds
from recovery.rds_plans import RdsPlan, Three, sightings
from recovery.rds_swap import Act, SwapStep, next_step
from tasks.rds import api
from tasks.rds.api import Missing, Taken, call
from tasks.rds.reading import look
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="exchange names", **LOOKING_AGAIN | {"retries": 0})
@spoken
def exchange_names(rds: Rds, plan: RdsPlan) -> str:
    """Let the restored database take the clients' name; each rename is read back before the next one.

    A silent or busy RDS is waited for here, up to the catalogue's `renaming`. Raises Refused or Unavailable while the
    damaged one has its name; Incomplete with what was done once it may have given it away.
    """
    done: list[str] = []
    attempted, why = plan.begun, "nothing was seen"
    deadline = time.monotonic() + rds.renaming.total_seconds()
    while time.monotonic() <= deadline:
        try:
            step = _step(rds, plan)
            why = step.reason
            if step.act is Act.DONE:
                return f"{', '.join(done)}: {step.reason}" if done else f"skipped: {step.reason}"
            if step.act is Act.STOP:
                raise Refused(step.reason)
            if step.act is Act.RENAME:
                attempted = True
                done += _rename(rds, step)
        except Unavailable as unavailable:
            why = str(unavailable)
        except Refused as refused:
            raise _stopped(rds, plan, refused, attempted, done) from None
        time.sleep(api.POLL_SECONDS)
    late = Unavailable(
        f"{why}, after {show_duration(rds.renaming)}: look at it in the RDS console, then run this again, it goes on"
    )
    raise _stopped(rds, plan, late, attempted, done)


def _step(rds: Rds, plan: RdsPlan) -> SwapStep:
    names = plan.names
    three = Three(look(rds, names.final), look(rds, names.damaged), look(rds, names.restored))
    return next_step(names, sightings(names, three, plan.point))


def _rename(rds: Rds, step: SwapStep) -> list[str]:
    kind, new = ("cluster", "NewDBClusterIdentifier") if rds.is_cluster else ("instance", "NewDBInstanceIdentifier")
    old = "DBClusterIdentifier" if rds.is_cluster else "DBInstanceIdentifier"
    try:
        call(rds, f"modify_db_{kind}", **{old: step.old, new: step.new}, ApplyImmediately=True)
    except (Missing, Taken):  # an earlier try is taking effect; the next look says what came of it
        return []
    return [f"renamed {step.old} to {step.new}"]


def _stopped(rds: Rds, plan: RdsPlan, error: RecoveryError, attempted: bool, done: list[str]) -> RecoveryError:
    """What a stop means: nothing, as long as the damaged one is seen to have its name; else a person must know."""
    if not attempted or (not done and _has_its_name(rds, plan)):
        return error
    return Incomplete(f"{error}; {plan.names.final} may lead nowhere: run this again, it goes on", tuple(done))


def _has_its_name(rds: Rds, plan: RdsPlan) -> bool:
    try:
        step = _step(rds, plan)
    except RecoveryError:
        return False
    return step.act is Act.RENAME and step.old == plan.names.final
