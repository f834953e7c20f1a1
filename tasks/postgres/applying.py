"""Apply a rehearsed fix exactly once, never waiting long for a lock, and check what it left."""

import random
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from prefect import get_run_logger, task

from recovery.errors import Incomplete, Refused, Unavailable
from recovery.fixes import (
    ATTEMPTS,
    LOCK_TIMEOUT,
    REGISTER,
    FixPlan,
    Ground,
    Held,
    Holder,
    in_the_way,
    judge_changes,
    show_applied,
    show_failure,
    show_holders,
)
from recovery.rds_catalog import Questioned
from tasks.postgres.connection import Session, led_to, session
from tasks.postgres.fixing import read_applied
from tasks.postgres.schemas import difference, digest_of, read_schema
from tasks.postgres.scripts import Done, StatementFailed, prepare_register, prepare_session, run_script
from tasks.postgres.smoke import ask_smoke
from tasks.retry import ON_UNAVAILABLE, WAITS, spoken
from tasks.settings import read_settings

Way = Mapping[str, str] | None
_HOLDERS = """
SELECT format('%%I.%%I', nspname, relname), l.mode, l.pid, coalesce(a.application_name, p.gid, ''),
       coalesce(a.xact_start, p.prepared),
       coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)), 0)::float8
FROM pg_locks l JOIN pg_class ON pg_class.oid = l.relation JOIN pg_namespace ON pg_namespace.oid = relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND format('%%I.%%I', nspname, relname) = ANY(%s) AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
ORDER BY 6 DESC
"""  # an autovacuum worker lets go by itself when somebody waits for it


# The attempts are its own: its reason to try again is a lock, and it must look at the register in between.
@task(name="apply fix", task_run_name="apply the fix", **{**ON_UNAVAILABLE, "retries": 0})
@spoken
def apply_fix(
    plan: FixPlan, database: Questioned, ground: Ground, address: Mapping[str, str] | None = None
) -> str:  # fmt: skip
    """Apply a fix in one transaction with its row in the register, or find that row; says which.

    Raises Unavailable when somebody holds a lock that it needs, naming them; Refused when the database is not what it
    was at the rehearsal; Incomplete when the answer to the commit was lost and the server does not come back.
    """
    doubt: list[str] = []
    patience = read_settings().patience
    for number in range(1, len(WAITS) + 2):
        try:
            return _try(plan, database, led_to(database, address), ground, doubt)
        except Unavailable as error:
            if number > len(WAITS) or (number >= ATTEMPTS and not doubt):
                raise _given_up(plan, error, doubt) from None
            wait = WAITS[number - 1] * patience * random.uniform(0.7, 1.3)  # noqa: S311 - jitter, no secret
            _say(f"{error}; trying again in {wait:.1f} s")
            time.sleep(wait)
        except Refused as refused:
            if doubt:
                raise _given_up(plan, refused, doubt) from None
            raise
    raise AssertionError("the last attempt raises")


@task(name="verify fix", task_run_name="verify the fix", **ON_UNAVAILABLE)
@spoken
def verify_fix(plan: FixPlan, database: Questioned, address: Mapping[str, str] | None = None) -> str:
    """Compare the schema with the rehearsed one and ask the smoke queries, by connections of their own.

    Raises Incomplete, for the fix is applied, when something is not as it was on the clone.
    """
    way = led_to(database, address)
    with session(database, way) as asked:
        applied_at = read_applied(asked, plan.service, plan.script.digest)
        with asked.transaction():
            schema = digest_of(read_schema(asked))
    wrong = list(ask_smoke(database, way))
    if applied_at is None:
        wrong.append(f"{REGISTER} has no row of it")
    if schema != plan.rehearsal.after:
        wrong.append(f"the schema is {schema} and not {plan.rehearsal.after} as on the clone")
    if wrong:
        raise Incomplete(f"{'; '.join(wrong)}: a person must look", (f"fix {plan.name} is applied",))
    return f"the schema is {schema} as rehearsed, and {len(database.smoke)} smoke queries were answered rightly"


def _try(plan: FixPlan, database: Questioned, way: Way, ground: Ground, doubt: list[str]) -> str:
    """One attempt. `doubt` holds what is said of a commit whose answer was lost, until the register has answered."""
    try:
        with session(database, way) as asked:
            prepare_session(asked, ground.settings)
            prepare_register(asked)
            _look_out(asked, plan.rehearsal.held)
            done = run_script(
                asked, plan.service, plan.version, plan.script, doubt.clear, lambda done: _judge(plan, done)
            )
            if done is not None:
                return f"applied the fix {plan.name} of {len(plan.script.steps)} statements in one transaction"
            applied_at = read_applied(asked, plan.service, plan.script.digest)
            return show_applied(applied_at) if applied_at else "skipped: the fix was applied meanwhile"
    except StatementFailed as failed:
        raise _failure(failed, plan, database, way, doubt) from None


def _judge(plan: FixPlan, done: Done) -> None:
    """The last look before the commit. Raises Refused, and everything is rolled back."""
    again = "nothing was changed, run the fix again to rehearse it anew"
    if digest_of(done.before) != plan.rehearsal.before:
        raise Refused(f"the schema has changed since the rehearsal: {again}")
    if digest_of(done.after) != plan.rehearsal.after:
        missing, strange = (len(each) for each in _unlike(plan, done))
        raise Refused(f"the fix left {missing + strange} definitions that it did not leave on the clone: {again}")
    if wrong := judge_changes(plan.rehearsal.changes, done.changes):
        raise Refused(f"{wrong}: {again}")


def _unlike(plan: FixPlan, done: Done) -> tuple[set[str], set[str]]:
    removed, added = difference(done.before, done.after)
    return {*removed} ^ {*plan.rehearsal.removed}, {*added} ^ {*plan.rehearsal.added}


def _look_out(asked: Session, held: Sequence[Held]) -> None:
    """Do not even begin to wait behind a long transaction: all others would queue up behind us. Raises Unavailable."""
    holders = in_the_way(held, _holders(asked, held), LOCK_TIMEOUT)
    if holders:
        raise Unavailable(show_holders(holders))


def _holders(asked: Session, held: Sequence[Held]) -> list[Holder]:
    return [Holder(*row) for row in asked.rows(_HOLDERS, [each.table for each in held])]


def _failure(
    failed: StatementFailed, plan: FixPlan, database: Questioned, way: Way, doubt: list[str]
) -> Refused | Unavailable:
    if failed.lost and failed.committing:
        doubt[:] = ["the answer to the commit was lost"]
        return Unavailable(f"the server went away at the commit: {failed.said}")
    said = show_failure(failed.step, failed.said, failed.position)
    if failed.busy:
        with session(database, way) as asked:
            holders = in_the_way(plan.rehearsal.held, _holders(asked, plan.rehearsal.held), timedelta())
        return Unavailable(f"{said}; {show_holders(holders)}")
    if failed.lost or failed.full:
        return Unavailable(said)
    return Refused(f"the fix failed and was rolled back, nothing was changed: {said}; mend the script")


def _given_up(plan: FixPlan, error: Exception, doubt: list[str]) -> Unavailable | Incomplete:
    if doubt:
        return Incomplete(
            f"{error}; whether the fix {plan.name} is applied says SELECT * FROM {REGISTER} WHERE digest = "
            f"'{plan.script.digest}': run it again, it looks there first",
            tuple(doubt),
        )
    return Unavailable(
        f"the fix was not applied in {ATTEMPTS} tries, nothing was changed: {error}; run it again when that has ended, "
        "or end it"
    )


def _say(sentence: str) -> None:
    get_run_logger().info(sentence)
