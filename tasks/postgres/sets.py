"""The sets on disk: `<backups>/<point>/` with `data/`, `wal/`, `then.json` and `proof.json`.

A set appears by one rename, when its backup is complete and verified; what begins with a dot is unfinished.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from prefect import task

from recovery.backups import Room, StoredSet, plan_expiry
from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint, Then, WayBack, is_point_of, point_name
from tasks.postgres.connection import session
from tasks.postgres.notes import read_note, write_note
from tasks.retry import ON_UNAVAILABLE, spoken


@dataclass(frozen=True, slots=True)
class Place:
    """Where one set lies, and where it is while it is not finished."""

    root: Path
    name: str

    @property
    def set(self) -> Path:
        """The complete set."""
        return self.root / self.name

    @property
    def data(self) -> Path:
        """Its base backup, never touched again."""
        return self.set / "data"

    @property
    def wal(self) -> Path:
        """Its own copy of the WAL from the backup to the point: the archive may be tidied."""
        return self.set / "wal"

    @property
    def part(self) -> Path:
        """The backup while it is taken."""
        return self.root / f".{self.name}.part"

    @property
    def copy(self) -> Path:
        """The copy that is booted to prove the way back, and thrown away."""
        return self.root / f".{self.name}.copy"


def place_of(database: Database, name: str) -> Place:
    """Where the set of a point lies."""
    return Place(Path(database.backups), name)


def read_then(place: Place) -> Then | None:
    """What a set recorded of its point; None when it did not come to it."""
    return read_note(place.set / "then.json", Then)


def write_then(place: Place, then: Then) -> None:
    """Record what the database was like at the set's point."""
    write_note(place.set / "then.json", then)


def write_proof(place: Place, way: WayBack) -> None:
    """Record that a set was proved, for those who look into its directory."""
    write_note(place.set / "proof.json", way)


@task(name="read set", **ON_UNAVAILABLE)
def read_set(database: Database, found: RestorePoint | None) -> Then | None:
    """What the set of a registered point records; None where there is no such set, or it lost its backup."""
    if found is None:
        return None
    place = place_of(database, found.name)
    return read_then(place) if place.data.is_dir() else None


@task(name="read room", **ON_UNAVAILABLE)
def read_room(database: Database, name: str) -> Room:
    """What is free where the sets are kept. Raises Refused when a directory is missing or closed."""
    for directory in (database.backups, database.archive):
        if not os.access(directory, os.R_OK | os.X_OK):
            raise Refused(f"{directory} is not there, or closed to us: make it, owned by the user of the programs")
    return Room(
        shutil.disk_usage(database.backups).free,
        place_of(database, name).data.is_dir(),
        os.path.realpath(database.backups),
        os.path.realpath(database.archive),
    )


def clear_leftovers(service: str, version: str, database: Database, point: RestorePoint) -> None:
    """Remove what attempts that were killed have left: the unfinished, and sets that never got their point."""
    root = Path(database.backups)
    ours = {point_name(service, version, attempt) for attempt in range(1, point.attempt + 1)}
    for path in [*root.glob(".*.part"), *root.glob(".*.copy")]:
        name = path.name[1:].rpartition(".")[0]
        if name in ours or is_point_of(service, name):  # of a release that was given up, too: no gate of it comes
            _remove(path)
    for path in root.glob("[!.]*"):
        known = path.name in ours or is_point_of(service, path.name)
        if known and path.name != point.name and path.is_dir() and not (path / "then.json").exists():
            _retire(Place(root, path.name))
    for gone in root.glob(".*.gone"):
        _remove(gone)


@task(name="expire sets", task_run_name="expire sets of {service}", **ON_UNAVAILABLE)
@spoken
def expire_sets(service: str, database: Database) -> str:
    """Remove the service's sets that are neither locked nor among those to keep; says which."""
    sets = []
    for path in sorted(Path(database.backups).glob("[!.]*/then.json")):
        then = read_note(path, Then)
        if then and then.service == service:
            sets.append(StoredSet(then.name, then.made_at, (path.parent / "proof.json").exists()))
    with session(database) as database_session:
        now = database_session.value("SELECT clock_timestamp()")
    gone = plan_expiry(sets, database.keep, database.locked, now)
    for name in gone:
        _retire(place_of(database, name))
    return f"removed the sets {', '.join(gone)}" if gone else f"kept all {len(sets)} sets of {service}"


def _retire(place: Place) -> None:
    """Out of sight by one rename first: a set that is half removed must not be taken for one."""
    gone = place.root / f".{place.name}.gone"
    place.set.rename(gone)
    _remove(gone)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
