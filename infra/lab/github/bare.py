"""Read a bare repository with plain git."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FULL_SHA = re.compile(r"[0-9a-f]{40}")
SHORT_SHA = re.compile(r"[0-9a-f]{7,40}")
REF = re.compile(r"refs/[A-Za-z0-9][A-Za-z0-9._/+@-]*")
_COMMIT = "%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%cn%x1f%ce%x1f%cI%x1f%B"


class GitError(Exception):
    """git refused; the message is what it said."""


@dataclass(frozen=True)
class Signature:
    """Who and when (ISO 8601), as Git keeps it."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class Commit:
    """One commit."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


def clean_environment() -> dict[str, str]:
    """An environment for git that no configuration of this machine or user reaches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


@dataclass(frozen=True)
class Bare:
    """One bare repository on the disk."""

    path: Path

    def git(self, *args: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run git here and return what it said; raises GitError when it refuses."""
        environment = clean_environment() | dict(env or {})
        done = subprocess.run(
            ["git", *args], cwd=self.path, env=environment, input=stdin, capture_output=True, text=True
        )
        if done.returncode:
            raise GitError(f"git {args[0]}: {done.stderr.strip()}")
        return done.stdout

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """The object of each ref under a prefix; an annotated tag's is the tag object."""
        listing = self.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        pairs = (line.split(" ", 1) for line in listing)
        return {name: sha for sha, name in pairs if name.startswith(prefix)}

    def kind(self, sha: str) -> str | None:
        """`commit`, `tag`, `tree`, `blob`, or None for an object that is not here."""
        if not FULL_SHA.fullmatch(sha):
            return None
        answer = self.git("cat-file", "--batch-check=%(objecttype)", stdin=f"{sha}\n").strip()
        return None if answer.endswith("missing") else answer

    def commit_of(self, revision: str) -> str | None:
        """The commit that a branch, tag, `heads/...`, `tags/...`, full or short sha stands for."""
        names = [f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/{revision}", revision]
        fitting = [name for name in names if REF.fullmatch(name)]
        if SHORT_SHA.fullmatch(revision):
            fitting.append(revision)
        for name in fitting:
            try:
                return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
            except GitError:
                continue
        return None

    def commits(self, *revisions: str, limit: int | None = None) -> list[Commit]:
        """The commits that `git log` walks for these revisions (shas, `a..b`), newest first."""
        bound = [f"--max-count={limit}"] if limit is not None else []
        answer = self.git("log", "-z", f"--format={_COMMIT}", *bound, "--end-of-options", *revisions, "--")
        return [_parse(record) for record in answer.split("\0") if record]

    def commit(self, sha: str) -> Commit:
        """One commit; raises GitError when there is none."""
        return self.commits(sha, limit=1)[0]

    def contains(self, commit: str, ancestor: str) -> bool:
        """Answer whether a commit has another one in its history (or is it)."""
        return not self.git("rev-list", "--max-count=1", ancestor, f"^{commit}").strip()


def _parse(record: str) -> Commit:
    sha, tree, parents, *people, message = record.split("\x1f", 9)
    author, committer = Signature(*people[:3]), Signature(*people[3:])
    return Commit(sha, tree, tuple(parents.split()), author, committer, message.rstrip("\n"))
