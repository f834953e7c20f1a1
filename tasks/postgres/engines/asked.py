"""Archives that give their segments one by one to whoever asks a program for them; and that program."""

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused
from tasks.postgres.programs import give

_PLAIN = re.compile(r"[A-Za-z0-9_.@+/-]+")  # PostgreSQL hands it to a shell


class Asked(ABC):
    """The part of such an archive. A program that fails or is killed leaves no segment under its name."""

    _database: Database

    @property
    @abstractmethod
    def archive(self) -> str:
        """Where finished WAL goes, in the words of a sentence."""

    @abstractmethod
    def _ask(self, segment: str, place: Path) -> bool:
        """Have a segment written into a directory of its own; answer whether the archive has it.

        Raises Refused with the program's last words when it fails for any other reason than that.
        """

    def holds(self, segment: str, size: int) -> bool:
        """Answer whether it gives a segment of that many bytes."""
        file = Path(self._database.backups, f".{segment}.held")
        try:
            return self._fetched(segment, file) and file.stat().st_size == size
        finally:
            file.unlink(missing_ok=True)

    def gather(self, segments: Sequence[str], into: Path) -> Path:
        """Fetch them, each whole or not at all; what is missing is told with all that is."""
        into.mkdir(mode=0o700, exist_ok=True)
        give(into)
        for segment in segments:
            self._fetched(segment, into / segment)
        return into

    def fetch(self, segment: str, file: Path) -> None:
        """Ask for it."""
        if not self._fetched(segment, file):
            raise Refused(f"{segment} is not in {self.archive}")

    def _fetched(self, segment: str, file: Path) -> bool:
        place = file.with_name(f".{segment}.asked")
        shutil.rmtree(place, ignore_errors=True)
        try:
            if not file.exists():
                place.mkdir(mode=0o700)
                give(place)
                if self._ask(segment, place):
                    (place / segment).rename(file)
            return file.exists()
        finally:
            shutil.rmtree(place, ignore_errors=True)


def find(program: str, directory: str | None) -> str:
    """Where a program is that PostgreSQL is to call, too. Raises Refused when it is not there or cannot be called."""
    found = shutil.which(program, path=directory)
    if found is None:
        where = f"in {directory}" if directory else "on PATH"
        raise Refused(f"{program} is not {where}: install it, or name its directory in the catalogue, `programs`")
    if not _PLAIN.fullmatch(found):
        raise Refused(f"{found} cannot stand in a restore_command: install {program} where no blank is in its path")
    return found
