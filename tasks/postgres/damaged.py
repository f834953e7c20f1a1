"""What is seen before a restore: the sets on disk, the damaged server as far as it answers, and the side."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from prefect import task

from recovery.databases import Database
from recovery.errors import RecoveryError, Refused, Unavailable
from recovery.rds_catalog import Reached
from recovery.restore_points import Then, WayBack
from recovery.restores import Begun, Damaged, PointSet, Sight
from recovery.sides import TO_BE_LAID, restore_of
from tasks.postgres.connection import Session, session
from tasks.postgres.consoles import is_gone
from tasks.postgres.engines import engine_of
from tasks.postgres.freezing import DEAD, ITSELF, database_name, elsewhere, standing
from tasks.postgres.notes import read_note
from tasks.postgres.places import Place, place_of
from tasks.postgres.raising import begun_file
from tasks.postgres.sides import read_side
from tasks.retry import LOOKING_AGAIN

COUNT_SECONDS = 30  # per table: people wait for the question, and an unknown number is an answer
_RIGHTS = """
SELECT rolsuper OR pg_has_role(current_user, datdba, 'MEMBER'),
       rolsuper OR pg_has_role(current_user, 'pg_signal_backend', 'MEMBER'), pg_get_userbyid(datdba)
FROM pg_database, pg_roles WHERE datname = %s AND rolname = current_user
"""
_TABLES = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema', 'ripcord')
  AND nspname !~ '^pg_(toast|temp)' ORDER BY 1
"""


@task(name="read sets", **LOOKING_AGAIN)
def read_sets(database: Database) -> tuple[PointSet, ...]:
    """Every set on disk. The register is not asked: it lies in the database that is damaged."""
    root = Path(database.backups)
    if not root.is_dir():
        raise Refused(f"{root} is not there: mount it, the sets lie in it")
    sets = []
    for path in sorted(root.glob("[!.]*/then.json")):
        then = None
        with suppress(Refused):  # one that cannot be read serves nobody, and must not hide the others
            then = read_note(path, Then)
        place = Place(root, path.parent.name)
        if then is not None and place.wal.is_dir() and _may_have_backup(database, place):
            proof = None
            with suppress(Refused):
                proof = read_note(path.parent / "proof.json", WayBack)
            sets.append(PointSet(then, bool(proof and proof.proved), proof.seconds if proof else None))
    return tuple(sets)


@task(name="read what there is", **LOOKING_AGAIN)
def read_sight(database: Database, chosen: PointSet) -> Sight:
    """The damaged server, the side of the point, and the room for it.

    A damaged server that does not answer is no failure: it is what the restore is for.
    """
    sides = Path(restore_of(database).sides)
    if not sides.is_dir():
        raise Refused(f"{sides} is not there: make it, owned by the user of PostgreSQL's programs")
    side = read_side.fn(database, chosen.point)
    return Sight(
        damaged=_read_damaged(database, chosen.then),
        side=side,
        free=shutil.disk_usage(sides).free,
        needed=engine_of(database).size(place_of(database, chosen.then.name)) if side.stage in TO_BE_LAID else 0,
        begun=read_note(begun_file(database, chosen.then.name), Begun),
        now=datetime.now(UTC),
    )


def _may_have_backup(database: Database, place: Place) -> bool:
    """Answer whether a set has its backup; whoever keeps it may be silent, and what stands beside needs it no more."""
    try:
        return engine_of(database).has_backup(place)
    except RecoveryError:
        return True


def _read_damaged(database: Database, then: Then) -> Damaged:
    name = database_name(database)
    try:
        with elsewhere(database) as asked:
            [(system_id, standby, timeline)] = asked.rows(ITSELF)
            allowed, kept = standing(asked, name)
            lacking = lacking_rights(asked, name)
    except Unavailable as unavailable:
        return Damaged(f"{DEAD}: {unavailable}", silent=not is_gone(database))
    except Refused as refused:
        return Damaged("the damaged server does not let us in", lacking=(str(refused),))
    counts = count_rows(database, then.after.counts) if allowed else {}
    said = "kept, for superusers alone" if kept else "it answers" if allowed else "fenced"
    said = f"{said}, on timeline {timeline}"
    return Damaged(said, True, system_id, timeline, standby, allowed, kept, lacking, counts)


def lacking_rights(asked: Session, name: str) -> tuple[str, ...]:
    """The rights without which a database cannot be fenced, in sentences with the grant."""
    found = asked.rows(_RIGHTS, name)
    if not found:
        return (f"the server has no database {name}: check its name in the conninfo",)
    owns, signals, owner = found[0]
    wrong = []
    if not owns:
        wrong.append(f"the role cannot close {name}: GRANT {owner} TO it, or name a superuser in the conninfo")
    if not signals:
        wrong.append("the role cannot end what is connected: GRANT pg_signal_backend TO it")
    return tuple(wrong)


def count_rows(
    database: Reached, then: Mapping[str, int], way: Mapping[str, str] | None = None
) -> dict[str, int | None]:
    """Rows per table now, None for a table that is damaged, or takes too long; each try goes on behind the last one."""
    counts: dict[str, int | None] = {}
    with suppress(RecoveryError), session(database, way) as asked:
        counts = dict.fromkeys([*then, *(str(row[0]) for row in asked.rows(_TABLES))])
    left = list(counts)
    while left:
        before = len(left)
        with suppress(RecoveryError):
            _count_on(database, left, counts, way)
        if len(left) == before:  # not one table was tried: it lets us in no more
            break
    return counts


def _count_on(database: Reached, left: list[str], counts: dict[str, int | None], way: Mapping[str, str] | None) -> None:
    with session(database, way) as asked:
        asked.rows(f"SET statement_timeout = '{COUNT_SECONDS}s'")
        while left:
            table = left.pop()
            counts[table] = int(asked.value(f"SELECT count(*) FROM {table}"))
