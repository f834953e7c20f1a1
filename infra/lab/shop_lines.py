"""A file of JSON lines that one process appends to and others read while it grows."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Lines:
    """Appends values as lines; each is one write(2), so that a reader sees whole lines at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def append(self, value: dict[str, Any]) -> None:
        """Add one value at the end of the file."""
        os.write(self._file, (json.dumps(value, ensure_ascii=False) + "\n").encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All values so far; none when the file is not there yet. An unfinished last line is left out."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.split("\n") if line]


def stamp() -> str:
    """The time now, in ISO 8601, UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
