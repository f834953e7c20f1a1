"""What GitHub's own description has against the calls of a test: none must be left when the test ends."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Objections:
    """The file that the lab's GitHub writes them to, and how far it was read."""

    file: Path
    read: int = 0

    def take(self) -> list[str]:
        """The sentences that nobody has taken yet: who meant a call to be wrong takes what was said of it."""
        if not self.file.exists():
            return []
        with self.file.open() as file:
            file.seek(self.read)
            lines = file.readlines()
            self.read = file.tell()
        return list(dict.fromkeys(json.loads(line) for line in lines))

    def must_be_none(self) -> None:
        """Fail with what is left of them."""
        if found := self.take():
            pytest.fail("not as GitHub describes its API:\n" + "\n".join(found), pytrace=False)
