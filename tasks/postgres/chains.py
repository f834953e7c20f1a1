"""Check the WAL from a backup to its point ourselves, and take a copy of it into the set."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from prefect import task

from recovery.backups import Backup, Chain, segments
from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.restore_points import RestorePoint, Then
from tasks.postgres.engines import engine_of
from tasks.postgres.notes import settle
from tasks.postgres.places import Place, place_of
from tasks.postgres.points import recorded
from tasks.postgres.programs import command, give, search
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE, spoken


@task(name="read chain", **LOOKING_AGAIN)
def read_chain(database: Database, point: RestorePoint, backup: Backup, segment_size: int) -> Chain:
    """What lies between the backup and its point: in the set where it has its own copy, else in the archive."""
    then = recorded(database, point)
    place = place_of(database, point.name)
    wanted = segments(then.timeline, backup.start, then.lsn, segment_size)
    own, engine = place.wal.is_dir(), engine_of(database)
    source = place.wal if own else engine.gather(wanted, _part(place))
    found = {name: (source / name).stat().st_size for name in wanted if (source / name).is_file()}
    whole = len(found) == len(wanted) and set(found.values()) <= {segment_size}
    unreadable, names = _walk(source, backup, then) if whole else (None, ())
    return Chain(point.name, then.lsn, found, unreadable, names, str(place.wal) if own else "the archive")


@task(name="keep chain", **ON_UNAVAILABLE)
@spoken
def keep_chain(database: Database, point: RestorePoint, wanted: Sequence[str]) -> str:
    """Copy the checked segments into the set, which needs the archive no more; it appears by one rename."""
    place = place_of(database, point.name)
    if place.wal.is_dir():
        return f"skipped: {place.wal} is there"
    fresh, engine = _part(place), engine_of(database)
    try:
        fresh.mkdir(mode=0o700, exist_ok=True)
        for left in {path.name for path in fresh.iterdir()} - {*wanted}:
            (fresh / left).unlink()
        for name in wanted:
            engine.fetch(name, fresh / name)
            give(fresh / name)
            settle(fresh / name)
        give(fresh)
        settle(fresh)
        fresh.rename(place.wal)
        settle(place.set)
    except PermissionError as error:
        raise Refused(f"{error.filename} is closed to us: run ripcord as the user who archives") from None
    except OSError as error:
        raise Unavailable(f"{place.wal} cannot be written: {error.strerror}; make room there") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return f"copied {len(wanted)} segments into {place.wal}"


def _part(place: Place) -> Path:
    """The set's WAL while it is not all there."""
    return place.set / ".wal.part"


def _walk(source: Path, backup: Backup, then: Then) -> tuple[str | None, tuple[str, ...]]:
    """Read every record with its checksum; returns what stopped us, and the restore points on the way."""
    way = (f"--path={source}", f"--timeline={then.timeline}", f"--start={backup.start}", f"--end={then.lsn}")
    try:
        found = search(command("pg_waldump", *way, "--rmgr=XLOG"), Path("/"), r"desc: RESTORE_POINT (\S+)")
    except Refused as refused:
        return str(refused), ()
    return None, tuple(found)
