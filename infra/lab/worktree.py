"""A person's clone: plain git in a directory, with a token that no argv, URL or file ever holds."""

import base64
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parseaddr
from pathlib import Path

from infra.lab.github.bare import clean_environment
from infra.lab.process import LabError


@dataclass(frozen=True)
class Worktree:
    """A clone of one repository, and the token to push with."""

    path: Path
    url: str
    token: str = field(repr=False)

    def git(self, *args: str, who: str = "", when: datetime | None = None) -> str:
        """Run git and return what it said, as `who` ("Name <mail>") at `when` where a commit or tag is made.

        Raises LabError with git's own words.
        """
        env = clean_environment() | self._credentials() | _identity(who, when)
        done = subprocess.run(["git", *args], cwd=self.path, env=env, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise LabError(f"git {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Write files by path, and stage them."""
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self.git("add", "--", *files)

    def _credentials(self) -> dict[str, str]:
        basic = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }


def _identity(who: str, when: datetime | None) -> dict[str, str]:
    env = {}
    for role in ("AUTHOR", "COMMITTER"):
        if who:
            env[f"GIT_{role}_NAME"], env[f"GIT_{role}_EMAIL"] = parseaddr(who)
        if when:
            env[f"GIT_{role}_DATE"] = when.isoformat(timespec="seconds")
    return env
