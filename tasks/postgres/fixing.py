"""Read the ground of a fix, and try the fix on a clone of the present database."""

import time
from collections.abc import Mapping
from datetime import datetime

from prefect import task

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.fix_scripts import Script
from recovery.fixes import REGISTER, Ground, Rehearsal, clone_name, show_failure, why_frozen
from recovery.rds_catalog import Questioned, Reached
from tasks.postgres.clones import Clone, clone_of
from tasks.postgres.connection import Session, led_to, session, way_at
from tasks.postgres.reading import read_state
from tasks.postgres.schemas import difference, digest_of
from tasks.postgres.scripts import (
    Done,
    Relation,
    StatementFailed,
    prepare_register,
    prepare_session,
    read_relations,
    run_script,
)
from tasks.postgres.smoke import ask_smoke
from tasks.retry import ON_UNAVAILABLE

# What the meaning of a script may hang on, and every role may set.
_MEANING = (
    "search_path", "TimeZone", "DateStyle", "IntervalStyle", "default_table_access_method", "default_toast_compression",
    "lc_monetary", "lc_numeric", "lc_time", "bytea_output", "xmloption", "default_text_search_config",
    "check_function_bodies", "transform_null_equals", "array_nulls", "backslash_quote", "extra_float_digits",
    "row_security", "work_mem", "maintenance_work_mem",
)  # fmt: skip
_FROZEN = """
SELECT current_setting('default_transaction_read_only') = 'on', datconnlimit, pg_is_in_recovery()
FROM pg_database WHERE datname = current_database()
"""
_CLOSED = ("not currently accepting connections", "too many connections for database")


@task(name="read ground", task_run_name="read the ground of a fix of {service}", **ON_UNAVAILABLE)
def read_ground(
    service: str, database: Reached, digest: str, address: Mapping[str, str] | None = None
) -> Ground:  # fmt: skip
    """Who we are there, how the database reads a script, whether it is frozen, and whether this one was applied.

    Raises Refused when the database is closed to us, Unavailable when it does not answer.
    """
    try:
        with session(database, led_to(database, address)) as asked:
            asked.rows("RESET TIME ZONE")
            found = asked.rows(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name", list(_MEANING)
            )
            settings = tuple((name, asked.value("SELECT current_setting(%s)", name)) for name, _ in found)
            role, applied_at = asked.value("SELECT current_user::text"), read_applied(asked, service, digest)
            return Ground(role, settings, why_frozen(*asked.rows(_FROZEN)[0]), applied_at)
    except Unavailable as error:
        if any(sign in str(error) for sign in _CLOSED):
            raise Refused(f"the database lets nobody in, a restore may have closed it: {error}") from None
        raise


@task(name="rehearse fix", task_run_name="rehearse a fix of {service} {version} on a clone", **ON_UNAVAILABLE)
def rehearse_fix(service: str, version: str, database: Database, script: Script, ground: Ground) -> Rehearsal:
    """Run the fix on a clone of the present database exactly as it will run, and tell what it did; all is thrown away.

    Raises Refused with PostgreSQL's own words, the statement and its line; Unavailable when the disk is full.
    """
    with clone_of(database, clone_name(service)) as clone:
        owner = clone.way | {"user": _owner(database, clone)}
        return _tried(service, version, database, script, ground, clone, owner)


@task(name="rehearse fix on clone", task_run_name="rehearse a fix of {service} {version} on a clone", **ON_UNAVAILABLE)
def rehearse_fix_on(
    service: str, version: str, database: Questioned, script: Script, ground: Ground, address: Mapping[str, str],
    copied: float,
) -> Rehearsal:  # fmt: skip
    """The same on a clone that others have restored, which answers at an address of its own after `copied` seconds."""
    way = way_at(database, address)
    return _tried(service, version, database, script, ground, Clone(way, copied), way)


def _tried(
    service: str, version: str, database: Questioned, script: Script, ground: Ground, clone: Clone,
    owner: Mapping[str, str],
) -> Rehearsal:  # fmt: skip
    counts = _count(database, owner)
    try:
        with session(database, clone.way) as asked:
            prepare_session(asked, ground.settings)
            prepare_register(asked)
            began = time.monotonic()
            done = run_script(asked, service, version, script, lambda: None, lambda done: None)
            ended = time.monotonic()
    except StatementFailed as failed:
        raise _failure(failed) from None
    if done is None:
        raise Refused("the clone has the fix already: somebody applied it meanwhile, run this again")
    return _told(done, clone, (began, ended), _losses(database, owner, done, counts), ask_smoke(database, clone.way))


def read_applied(asked: Session, service: str, digest: str) -> datetime | None:
    """When a script was applied, as the register says; None when it was not."""
    if asked.value("SELECT to_regclass(%s)", REGISTER) is None:
        return None
    found = asked.rows(f"SELECT applied_at FROM {REGISTER} WHERE service = %s AND digest = %s", service, digest)
    applied: datetime | None = found[0][0] if found else None
    return applied


def _owner(database: Database, clone: Clone) -> str:
    """The role that made the cluster: on the clone it may see everything, and its socket lets nobody else in."""
    with session(database, clone.way) as asked:
        return str(asked.value("SELECT rolname FROM pg_roles WHERE oid = 10"))


def _count(database: Reached, owner: Mapping[str, str]) -> dict[str, int]:
    with session(database, owner) as asked:
        return dict(read_state(asked).counts)


def _failure(failed: StatementFailed) -> Refused | Unavailable:
    if failed.full:
        return Unavailable(f"the clone's disk is full: {failed.said}; make room for what the fix writes")
    said = show_failure(failed.step, failed.said, failed.position)
    return Refused(f"the fix failed on a clone, nothing was changed: {said}; mend the script and run it again")


def _losses(
    database: Reached, owner: Mapping[str, str], done: Done, counts: Mapping[str, int]
) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    """The tables that are no more or lost rows unseen, with the rows before; and those that were written anew."""
    with session(database, owner) as asked:
        now = read_relations(asked)
        changed = {change.table: change.inserted - change.deleted for change in done.changes}
        gone, rewritten = [], []
        for oid, was in sorted(done.relations.items(), key=lambda each: each[1].name):
            if oid not in now:
                gone.append((was.name, counts.get(was.name, 0)))
            elif now[oid].filenode != was.filenode:
                lost = counts.get(was.name, 0) + changed.get(was.name, 0) - _rows(asked, now[oid])
                if lost > 0 and was.name in counts:
                    gone.append((was.name, lost))
                else:
                    rewritten.append(was.name)
    return tuple(gone), tuple(rewritten)


def _rows(asked: Session, relation: Relation) -> int:
    return int(asked.value(f"SELECT count(*) FROM {relation.name}"))


def _told(
    done: Done,
    clone: Clone,
    times: tuple[float, float],
    losses: tuple[tuple[tuple[str, int], ...], tuple[str, ...]],
    smoke: tuple[str, ...],
) -> Rehearsal:
    began, ended = times
    removed, added = difference(done.before, done.after)
    return Rehearsal(
        before=digest_of(done.before), after=digest_of(done.after), copied=clone.seconds, seconds=ended - began,
        held=done.held(ended), changes=done.changes, gone=losses[0], rewritten=losses[1], removed=removed, added=added,
        unsound=done.unsound, smoke=smoke,
    )  # fmt: skip
