"""The restored server on its way into use: raised, compared, promoted, archiving.

Each is one step of `sides.py` that is looked at anew whenever a run goes on: a server that died meanwhile is not up
because a result of an hour ago says so.
"""

from prefect import task

from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint
from recovery.sides import Stage
from tasks.postgres.building import standing_of
from tasks.postgres.damage import look_for_damage
from tasks.postgres.sides import open_archive, promote_side, raise_side, read_side, read_side_state
from tasks.retry import LOOKING_AGAIN, spoken


@task(name="ready side", **LOOKING_AGAIN)
@spoken
def ready_side(database: Database, point: RestorePoint) -> str:
    """Have the restored server stand at the point, be what was and have no damage; one that takes writes is left alone.

    A parachute is looked into again: it has stood since its gate, and the comparison has it read all of its tables
    anyway. Raises Refused when it is not what was, or damaged: nobody is led to it; Unavailable when there is no room.
    """
    before = read_side.fn(database, point)
    if before.stage is Stage.PROMOTED and before.running:
        return f"skipped: the server restored to {point.name} takes writes already"
    said = raise_side.fn(database, point)
    if before.stage is Stage.PROMOTED:
        return said
    way = read_side_state.fn(database, point)
    if not way.proved:
        raise Refused(f"{way.reason}: nobody is led to it, look at the set")
    standing_of(database, point.name).judge_room()  # now, while nobody is held back: it writes as it is promoted
    return f"{said}; {way.reason}; {_look_into(database, point)}"


@task(name="promote restored", **LOOKING_AGAIN)
@spoken
def promote_restored(database: Database, point: RestorePoint) -> str:
    """Let the restored server take writes, once."""
    return promote_side.fn(database, point)


@task(name="archive restored", **LOOKING_AGAIN)
@spoken
def archive_restored(database: Database, point: RestorePoint) -> str:
    """Let the restored server archive as the damaged one did, and see the first segment arrive."""
    return open_archive.fn(database, point)


def _look_into(database: Database, point: RestorePoint) -> str:
    """Look for damage in its tables and indexes; says that it was looked for, or why not."""
    standing = standing_of(database, point.name)
    damage, said = look_for_damage(database, standing.way, standing.place, writable=False)
    if damage:
        raise Refused(
            f"the server restored to {point.name} is damaged: {damage}; nobody is led to it and its set is left as it "
            f"is: stop it, move {standing.place} away, and run this again, which makes another one from the set"
        )
    return said
