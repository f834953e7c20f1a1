"""The sets on disk: `<backups>/<point>/` with `data/`, `wal/`, `then.json` and `proof.json`.

A set appears by one rename, when its backup is complete and verified; what begins with a dot is unfinished.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from prefect import task

from recovery.backups import Room
from recovery.bridging import ENDING, Bridge, plan_bridges
from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint, Then, is_point_of, point_name
from recovery.sets import Spare, StoredSet, plan_expiry
from tasks.postgres.connection import session
from tasks.postgres.engines import engine_of
from tasks.postgres.notes import read_note
from tasks.postgres.places import Place, place_of, read_then
from tasks.retry import LOOKING_AGAIN, ON_UNAVAILABLE, spoken


@task(name="read names", **LOOKING_AGAIN)
def read_names(database: Database) -> frozenset[str]:
    """The names of the points that a set records, whether or not the register knows them."""
    return frozenset(path.parent.name for path in Path(database.backups).glob("[!.]*/then.json"))


@task(name="read spare", **LOOKING_AGAIN)
def read_spare(database: Database) -> Spare:
    """What is free where the sets are kept, and where a restored server would lie."""
    sides = Path(database.restore.sides) if database.restore else None
    free = shutil.disk_usage(sides).free if sides and sides.is_dir() else None
    return Spare(shutil.disk_usage(database.backups).free, free)


@task(name="read set", **LOOKING_AGAIN)
def read_set(database: Database, found: RestorePoint | None) -> Then | None:
    """What the set of a registered point records; None where there is no such set, or it lost its backup."""
    if found is None:
        return None
    place = place_of(database, found.name)
    return read_then(place) if place.set.is_dir() and engine_of(database).has_backup(place) else None


@task(name="read room", **LOOKING_AGAIN)
def read_room(database: Database, name: str) -> Room:
    """What is free where the sets are kept. Raises Refused when a directory is missing or closed."""
    if not os.access(database.backups, os.R_OK | os.X_OK):
        raise Refused(f"{database.backups} is not there, or closed to us: make it, owned by the user of the programs")
    engine, place = engine_of(database), place_of(database, name)
    engine.check()
    return Room(
        shutil.disk_usage(database.backups).free,
        place.set.is_dir() and engine.has_backup(place),
        os.path.realpath(database.backups),
        engine.directory(),
    )


def clear_leftovers(service: str, version: str, database: Database, point: RestorePoint) -> None:
    """Remove what attempts that were killed have left: the unfinished, and sets that never got their point."""
    root = Path(database.backups)
    ours = {point_name(service, version, attempt) for attempt in range(1, point.attempt + 1)}
    for path in [*root.glob(".*.part"), *root.glob(".*.copy")]:
        name = path.name[1:].rpartition(".")[0].removesuffix(ENDING)
        if name in ours or is_point_of(service, name):  # of a release that was given up, too: no gate of it comes
            _remove(path)
    for path in root.glob("[!.]*"):
        known = path.name in ours or is_point_of(service, path.name)
        if known and path.name != point.name and path.is_dir() and not (path / "then.json").exists():
            _retire(database, Place(root, path.name))
    engine_of(database).sweep(lambda name: name != point.name and (name in ours or is_point_of(service, name)))
    for gone in root.glob(".*.gone"):
        _forget(database, gone)


@task(name="expire sets", task_run_name="expire sets of {service}", **ON_UNAVAILABLE)
@spoken
def expire_sets(service: str, database: Database) -> str:
    """Remove the service's sets that are neither locked nor among those to keep; says which.

    One whose record cannot be read is left alone. Raises Refused when one cannot be removed.
    """
    sets = []
    for path in sorted(Path(database.backups).glob("[!.]*/then.json")):
        with suppress(Refused):
            then = read_note(path, Then)
            if then and then.service == service:
                sets.append(StoredSet(then, (path.parent / "proof.json").exists()))
    with session(database) as database_session:
        now = database_session.value("SELECT clock_timestamp()")
    gone = plan_expiry(sets, database.keep, database.locked, now)
    proved = [each.then for each in sets if each.proved]
    gone += plan_bridges(_bridges(service, database), proved, database.locked, now)
    for name in gone:
        _retire(database, place_of(database, name))
    return f"removed the sets {', '.join(gone)}" if gone else f"kept all {len(sets)} sets of {service}"


def _bridges(service: str, database: Database) -> list[Bridge]:
    """The backups of restored servers of a service."""
    found = []
    for path in sorted(Path(database.backups).glob("[!.]*/restored.json")):
        with suppress(Refused):
            bridge = read_note(path, Bridge)
            found += [bridge] if bridge and bridge.service == service else []
    return found


def _retire(database: Database, place: Place) -> None:
    """Out of sight by one rename first: a set that is half removed must not be taken for one."""
    gone = place.root / f".{place.name}.gone"
    try:
        place.set.rename(gone)
    except OSError as error:
        raise Refused(f"{place.set} cannot be removed: {error.strerror}; see whose it is") from None
    _forget(database, gone)


def _forget(database: Database, gone: Path) -> None:
    """Its engine first: what names the backup goes last."""
    engine_of(database).forget(Place(gone.parent, gone.name))
    _remove(gone)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
