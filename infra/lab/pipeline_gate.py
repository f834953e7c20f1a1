"""The question the pipeline asks before it applies a release: is there a way back for the database?"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.lab.process import LabError

ANSWER_SECONDS = 300.0


@dataclass(frozen=True)
class Gate:
    """A command in a file, `gate.json`, that the pipeline looks for each time: it is set up while all runs."""

    file: Path

    def open(self, command: Sequence[str], environment: Mapping[str, str], services: Sequence[str]) -> None:
        """Have the command asked for these services, with the service and the tag as its last two words."""
        fresh = self.file.with_suffix(".new")
        fresh.touch(mode=0o600)  # it holds secrets
        fresh.write_text(
            json.dumps({"command": list(command), "environment": dict(environment), "services": list(services)})
        )
        fresh.replace(self.file)

    def ask(self, service: str, tag: str) -> str | None:
        """What the gate said yes with; None where no gate is asked. Raises LabError with its no."""
        if not self.file.exists():
            return None
        asked = json.loads(self.file.read_text())
        if service not in asked["services"]:
            return None
        done = subprocess.run(
            [*asked["command"], service, tag],
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **asked["environment"]},
            cwd=self.file.parent, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False,
        )  # fmt: skip
        said = " ".join((done.stdout if done.returncode == 0 else done.stderr or done.stdout).split())
        if done.returncode:
            raise LabError(f"the gate said no: {said}")
        return said
