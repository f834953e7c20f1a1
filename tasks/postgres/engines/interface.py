"""What one program or another does for a way back; all else is PostgreSQL's own, and the same for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recovery.backups import Backup
from tasks.postgres.places import Place


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored server, which neither the conninfo nor an engine's own configuration leads to yet."""

    data: Path
    way: Mapping[str, str]  # to its socket, by which every role is let in
    address: str  # where others reach it
    timeline: int


class Engine(Protocol):
    """Keeps base backups and finished WAL. What is said here of a set is said of the backup that the set names.

    Every method raises Refused with the engine's last words when it fails, Unavailable when a disk is full or the
    server goes away.
    """

    @property
    def archive(self) -> str:
        """Where finished WAL goes, in the words of a sentence."""

    def directory(self) -> str:
        """Where the archive really lies, without symbolic links; empty where that is the engine's own affair."""

    def check(self) -> None:
        """Whether it can take a backup now. Raises Refused with what stands against it."""

    def has_backup(self, place: Place) -> bool:
        """Answer whether a set has its backup."""

    def take(self, place: Place, name: str, of: Restored | None = None) -> None:
        """Take the backup that is to have a name, or find it, verify it, and name it in the unfinished set.

        It is of the server that the conninfo leads to, or `of` one that was restored. Raises Refused where the engine
        would take it of another one.
        """

    def verify(self, place: Place) -> None:
        """Check every file of a set's backup against its manifest."""

    def describe(self, place: Place) -> Backup:
        """What a set's backup tells of itself."""

    def segment_size(self, place: Place) -> int:
        """The bytes of one segment of the WAL of a set."""

    def size(self, place: Place) -> int:
        """The bytes that a copy of a set's backup takes."""

    def lay(self, place: Place, data: Path) -> None:
        """Copy a set's backup to a data directory that is not there yet, and start nothing.

        Raises Refused for one with tablespaces, which would lie where those of the original lie.
        """

    def holds(self, segment: str, size: int) -> bool:
        """Answer whether a finished segment is in the archive, whole."""

    def gather(self, segments: Sequence[str], into: Path) -> Path:
        """Where those of some segments lie that are in the archive: there itself, or fetched `into` a directory."""

    def fetch(self, segment: str, file: Path) -> None:
        """Copy a segment out of the archive; one that was gathered there is there already."""

    def fetching(self) -> str:
        """The shell command that does it for a server, with %f and %p as in its restore_command."""

    def archiving(self) -> str:
        """The archive_command of a restored server; empty where the original's will do for it."""

    def forget(self, place: Place) -> None:
        """The set is not needed any more: give up the backup that was taken for it."""

    def sweep(self, ours: Callable[[str], bool]) -> None:
        """Give up backups that were begun under some names and never became whole."""
