"""Where a set lies and what it records: `<backups>/<point>/` with its backup, its WAL, `then.json` and `proof.json`."""

from dataclasses import dataclass
from pathlib import Path

from recovery.databases import Database
from recovery.restore_points import Then, WayBack
from tasks.postgres.notes import read_note, write_note


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
