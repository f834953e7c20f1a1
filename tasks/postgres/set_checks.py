"""Whether a set is what its gate has proved: every file of its backup, every record of its WAL.

A bit may turn over while it waits. Without data checksums PostgreSQL restores that without a word.
"""

from prefect import task

from recovery.backups import Flaw, find_flaw, segments
from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint
from recovery.set_checks import Checked
from recovery.sides import TO_BE_LAID
from tasks.postgres.backup import read_backup
from tasks.postgres.building import standing_of
from tasks.postgres.chains import read_chain
from tasks.postgres.engines import engine_of
from tasks.postgres.places import place_of
from tasks.postgres.raising import look
from tasks.retry import LOOKING_AGAIN


@task(name="check set again", **LOOKING_AGAIN)
def check_set_again(database: Database, point: RestorePoint) -> Checked:
    """Check what a restored server is still to be made of, before that makes room for itself: nothing is written.

    Of a set whose server stands beside already nothing is read any more. One that still follows the primary needs the
    set's WAL. What its own files are like, it is asked itself. Raises Unavailable when an engine does not answer.
    """
    side = look(database, point.name)
    laid = side.stage not in TO_BE_LAID
    if laid and not standing_of(database, point.name).follows():
        return Checked(f"skipped: the server of {point.name} stands beside, and needs its set no more")
    try:
        if not laid:
            engine_of(database).verify(place_of(database, point.name))
        count, flaw = check_chain(database, point)
    except Refused as refused:
        return Checked("", str(refused))
    files = "" if laid else "every file of its backup and "
    return Checked(
        f"{files}every record of the {count} segments of {point.name} is as proved", flaw.said if flaw else None
    )


def check_chain(database: Database, point: RestorePoint) -> tuple[int, Flaw | None]:
    """Read a set's WAL from its backup to its point; how many segments it has, and what is wrong with the first."""
    segment_size = engine_of(database).segment_size(place_of(database, point.name))
    backup = read_backup.fn(database, point)
    chain = read_chain.fn(database, point, backup, segment_size)
    wanted = segments(backup.timeline, backup.start, chain.lsn, segment_size)
    return len(wanted), find_flaw(backup, chain, segment_size)
