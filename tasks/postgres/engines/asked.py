"""Archives that give their segments one by one to whoever asks a program for them; and that program."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from recovery.errors import Refused
from tasks.postgres.programs import give

_PLAIN = re.compile(r"[A-Za-z0-9_.@+/-]+")  # PostgreSQL hands it to a shell


class Asking(Protocol):
    """Writes a finished segment into a directory of its own, and answers whether the archive has it."""

    def __call__(self, segment: str, place: Path) -> bool:
        """Raises Refused with the program's last words when it fails for any other reason than that."""


class Asked:
    """Such an archive. A program that fails or is killed leaves no segment under its name."""

    def __init__(self, asking: Asking, scratch: Path) -> None:
        """`scratch` is a directory of ours where segments may be put for a moment."""
        self._asking, self._scratch = asking, scratch

    def holds(self, segment: str, size: int) -> bool:
        """Answer whether it gives a segment of that many bytes."""
        file = self._scratch / f".{segment}.held"
        try:
            return self.fetch(segment, file) and file.stat().st_size == size
        finally:
            file.unlink(missing_ok=True)

    def gather(self, segments: Sequence[str], into: Path) -> Path:
        """Fetch them, each whole or not at all; what is missing is told with all that is."""
        into.mkdir(mode=0o700, exist_ok=True)
        give(into)
        for segment in segments:
            self.fetch(segment, into / segment)
        return into

    def fetch(self, segment: str, file: Path) -> bool:
        """Have it written, and then given its name; answers whether it is there."""
        place = file.with_name(f".{segment}.asked")
        shutil.rmtree(place, ignore_errors=True)
        try:
            if not file.exists():
                place.mkdir(mode=0o700)
                give(place)
                if self._asking(segment, place):
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
