"""Git without a checkout: an ephemeral bare repository, fixed argv, full ref names, nothing of the machine's config."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from git import Git
from git.exc import GitCommandError

from recovery.errors import Refused, Unavailable
from tasks.settings import read_settings

FETCH_SECONDS = 120.0
THERE = "refs/there"  # where the remote's refs are kept: the ephemeral repository has none of its own
_ASKPASS = """#!/bin/sh
case "$1" in
  Username*) echo x-access-token ;;
  *) printf '%s\\n' "$RIPCORD_GIT_PASSWORD" ;;
esac
"""
# "403" alone would also be found in a port or a repository's name.
_REFUSALS = ("Authentication failed", "could not read Username", "error: 403", "Repository not found", "not found")


@dataclass(frozen=True)
class Repository:
    """A bare repository that lives as long as the task that made it."""

    path: Path
    url: str
    env: dict[str, str]

    def git(self, *arguments: str, timeout: float = FETCH_SECONDS, env: dict[str, str] | None = None) -> str:
        """Run git and return what it printed. Raises Unavailable or Refused, by what git said."""
        status, out, err = self.answer(*arguments, timeout=timeout, env=env)
        if status != 0:
            raise failure(self.url, arguments[0], status, err)
        return out

    def answer(
        self, *arguments: str, timeout: float = FETCH_SECONDS, env: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run git and return exit status, output and messages, whatever the status."""
        ours = self.env | (env or {})
        # What we set ourselves wins over the shell's anyway; unset is only the rest of it.
        inherited = [f"--unset={name}" for name in os.environ if name.startswith("GIT_") and name not in ours]
        command = ["git", f"--git-dir={self.path}", *arguments]
        try:
            status, out, err = Git(self.path).execute(
                ["env", *inherited, *command] if inherited else command,
                with_extended_output=True,
                with_exceptions=False,
                kill_after_timeout=timeout,
                env=ours,
            )
        except GitCommandError as error:
            raise Unavailable(f"git {arguments[0]} on {self.url} could not run: {error.stderr}") from error
        return int(status), str(out), str(err)

    def commit_of(self, revision: str) -> str:
        """The commit that a full ref name or object id stands for, tags peeled."""
        return self.git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")

    def tree_of(self, revision: str) -> str:
        """The tree of a commit or tag."""
        return self.git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{tree}}")


_PUBLIC = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ALLOW_PROTOCOL": "https:http:file",
    "LC_ALL": "C",
}


@contextmanager
def ephemeral(repository: str, refspecs: Sequence[str]) -> Iterator[Repository]:
    """A bare repository holding the remote's refs, its commits and trees; blobs come when they are needed.

    Raises Unavailable when the Git host does not answer, Refused when it does not let us in.
    """
    settings = read_settings()
    url = f"{settings.github_git_url.rstrip('/')}/{repository}.git"
    directory = Path(tempfile.mkdtemp(prefix="ripcord-git-"))
    try:
        askpass = directory / "askpass"
        askpass.write_text(_ASKPASS)
        askpass.chmod(0o700)
        env = _PUBLIC | {
            "GIT_ASKPASS": str(askpass),
            "RIPCORD_GIT_PASSWORD": settings.github_token.get_secret_value(),
            "HOME": str(directory),
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "core.hooksPath",
            "GIT_CONFIG_VALUE_0": os.devnull,
            "GIT_CONFIG_KEY_1": "credential.helper",
            "GIT_CONFIG_VALUE_1": "",
        }
        path = directory / "bare"
        path.mkdir()
        bare = Repository(path, url, env)
        bare.git("init", "--quiet", "--bare")
        bare.git("config", "remote.origin.url", url)
        bare.git("config", "remote.origin.promisor", "true")
        bare.git("config", "remote.origin.partialclonefilter", "blob:none")
        bare.git("fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", *refspecs)
        yield bare
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def failure(url: str, verb: str, status: int, err: str) -> Refused | Unavailable:
    """What git's messages mean: a right or a thing that is missing is Refused, all else Unavailable."""
    said = " ".join(err.split())[-400:] or f"exit status {status}"
    if any(sign in err for sign in _REFUSALS):
        return Refused(f"{url} does not let us {verb}: {said}; check RIPCORD_GITHUB_TOKEN and its permissions")
    return Unavailable(f"git {verb} on {url} failed: {said}")
