"""Git without a checkout: an ephemeral bare repository, fixed argv, full ref names, nothing of the machine's config."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from git import Git
from git.exc import GitCommandError

from recovery.errors import Refused, Unavailable
from tasks.settings import Settings, read_settings

FETCH_SECONDS = 120.0
THERE = "refs/there"  # where the remote's refs are kept: the ephemeral repository has none of its own
ALL = (f"+refs/heads/*:{THERE}/heads/*", f"+refs/tags/*:{THERE}/tags/*")
_OBJECT = re.compile(r"[0-9a-f]{40}(\^|$)")
_OF_OBJECTS = ("commit-tree", "diff-tree", "merge-tree", "merge-base")  # which we only ever name by their ids
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
    _answered: dict[tuple[object, ...], tuple[int, str, str]] = field(default_factory=dict)

    def git(
        self, *arguments: str, timeout: float = FETCH_SECONDS, env: dict[str, str] | None = None, given: str = ""
    ) -> str:
        """Run git and return what it printed; `given` is its standard input. Raises Unavailable or Refused."""
        status, out, err = self.answer(*arguments, timeout=timeout, env=env, given=given)
        if status != 0:
            raise failure(self.url, arguments[0], status, err)
        return out

    def answer(
        self, *arguments: str, timeout: float = FETCH_SECONDS, env: dict[str, str] | None = None, given: str = ""
    ) -> tuple[int, str, str]:
        """Run git and return exit status, output and messages, whatever the status."""
        asked = (arguments, tuple((env or {}).items()), given)
        if not _lasting(arguments):
            return self._run(arguments, timeout, env, given)
        if asked not in self._answered:
            self._answered[asked] = self._run(arguments, timeout, env, given)
        return self._answered[asked]

    def _run(
        self, arguments: Sequence[str], timeout: float, env: dict[str, str] | None, given: str
    ) -> tuple[int, str, str]:
        ours = self.env | (env or {})
        # What we set ourselves wins over the shell's anyway; unset is only the rest of it.
        inherited = [f"--unset={name}" for name in os.environ if name.startswith("GIT_") and name not in ours]
        command = ["git", f"--git-dir={self.path}", *arguments]
        try:
            # Paths need not be text: bytes that are none come from git and go back as they were.
            with tempfile.TemporaryFile(dir=self.path) as stdin:
                stdin.write(given.encode("utf-8", errors="surrogateescape"))
                stdin.seek(0)
                status, out, err = Git(self.path).execute(
                    ["env", *inherited, *command] if inherited else command,
                    istream=stdin.fileno(),
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
    "GIT_NO_REPLACE_OBJECTS": "1",
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
            **_configuration(settings),
        }
        path = directory / "bare"
        path.mkdir()
        bare = Repository(path, url, env)
        bare.git("init", "--quiet", "--bare")
        bare.git("config", "remote.origin.url", url)
        bare.git("config", "remote.origin.promisor", "true")
        bare.git("config", "remote.origin.partialclonefilter", "blob:none")
        _fetch(bare, refspecs)
        if bare.git("rev-parse", "--is-shallow-repository") != "false":
            raise Refused(
                f"{url} is a shallow repository, its history ends before it began: name the full one in "
                "RIPCORD_GITHUB_GIT_URL"
            )
        yield bare
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _fetch(bare: Repository, refspecs: Sequence[str]) -> None:
    """Fetch refs, commits and trees; all files, too, where a tag names a file, which git does not get past.

    All the depth there is, said aloud: only then does a shallow remote say that it is one. Otherwise git asks it for
    the commit it lacks, again for that question's answer, and so on, a process each, without an end.
    """
    fetch = ("fetch", "--quiet", "--no-tags", "--depth=2147483647")
    status, _, err = bare.answer(*fetch, "--filter=blob:none", "origin", *refspecs)
    if status != 0 and "bad revision" in err:
        status, _, err = bare.answer(*fetch, "--no-filter", "origin", *refspecs)
    if status != 0 and not err and bare.git("ls-remote", "origin") == "":
        return  # a repository without a single ref, of which git has no depth to fetch
    if status != 0:
        raise failure(bare.url, "fetch", status, err)


def _configuration(settings: Settings) -> dict[str, str]:
    """All the configuration there is: no hooks, no helpers, and the key that signs, if there is one."""
    pairs = {"core.hooksPath": os.devnull, "credential.helper": "", "core.quotePath": "true"}
    pairs["maintenance.auto"] = "false"  # else every fetch starts two processes more, for a repository of seconds
    if settings.signing_key:
        pairs |= {"user.signingKey": settings.signing_key, "gpg.format": settings.signing_format}
    made = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs.items()):
        made |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return made


def _lasting(arguments: Sequence[str]) -> bool:
    """Answer whether git will say the same whenever it is asked: objects never change, refs may."""
    return arguments[0] in _OF_OBJECTS or (arguments[0] == "rev-parse" and bool(_OBJECT.match(arguments[-1])))


def rows(printed: str) -> list[str]:
    """The lines of what git printed; names and titles may hold what Python takes for the end of a line."""
    return printed.split("\n") if printed else []


def failure(url: str, verb: str, status: int, err: str) -> Refused | Unavailable:
    """What git's messages mean: a right or a thing that is missing is Refused, all else Unavailable."""
    said = " ".join(err.split())[-400:] or f"exit status {status}"
    if any(sign in err for sign in _REFUSALS):
        return Refused(f"{url} does not let us {verb}: {said}; check RIPCORD_GITHUB_TOKEN and its permissions")
    return Unavailable(f"git {verb} on {url} failed: {said}")
