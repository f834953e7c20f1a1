"""A bare repository on the disk that serves as the Git host, and what plain git reads in it."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

from infra.lab.github.bare import clean_environment

NAMES = ("AUTHOR", "COMMITTER")
ADA = {f"GIT_{who}_{what}": value for who in NAMES for what, value in (("NAME", "Ada"), ("EMAIL", "ada@lab"))}
NOON = {f"GIT_{who}_DATE": "2026-01-01T12:00:00Z" for who in NAMES}
ENVIRONMENT = clean_environment() | ADA | NOON | {"GIT_ALLOW_PROTOCOL": "file"}

Files = dict[bytes, tuple[str, str]]  # path: mode, object id


@dataclass(frozen=True, slots=True)
class Tip:
    """What a ref points to: an object, and the commit that this is or that this tag stands for."""

    object: str
    commit: str
    tree: str
    parents: tuple[str, ...]


def attempt(
    at: Path, *args: str | bytes, given: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run plain git and say how it went."""
    return subprocess.run(
        ["git", *args], cwd=at, env={**ENVIRONMENT, **(env or {})}, input=given, capture_output=True, timeout=120
    )


def git(at: Path, *args: str | bytes, given: bytes = b"", env: Mapping[str, str] | None = None) -> str:
    """Run plain git, which must succeed, and return what it printed."""
    done = attempt(at, *args, given=given, env=env)
    assert done.returncode == 0, f"git {args!r}: {done.stderr!r} {done.stdout!r}"
    return done.stdout.decode(errors="surrogateescape").strip()


def shell(at: Path, command: str) -> str:
    """Run a line of shell as anybody may, who need not have told git a name, and return what it printed."""
    env = {**clean_environment(), "HOME": "/nowhere"}
    done = subprocess.run(["sh", "-c", command], cwd=at, env=env, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b""), f"{command}: {done.stderr!r} {done.stdout!r}"
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def files_of(at: Path, revision: str) -> Files:
    """Every file that plain git lists of a revision: its mode and its blob."""
    listed = attempt(at, "ls-tree", "-r", "-z", "--end-of-options", revision)
    assert listed.returncode == 0, listed.stderr
    found = {}
    for row in listed.stdout.split(b"\0")[:-1]:
        entry, _, path = row.partition(b"\t")
        mode, _, name = entry.decode().split()
        found[path] = (mode, name)
    return found


def blob(content: bytes) -> str:
    """The object id that git gives to a content."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Remote:
    """One bare repository below a directory that stands for the Git host."""

    root: Path
    repository: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.root / f"{self.repository}.git"

    def make(self, *, partial: bool = True) -> "Remote":
        """Create it as a Git host keeps it: partial clones are served, if it can, and whole objects are checked."""
        self.path.mkdir(parents=True)
        git(self.path, "init", "--quiet", "--bare", "--initial-branch=main")
        config = self.path / "config"
        config.write_text(
            config.read_text() + f"[uploadpack]\n\tallowFilter = {str(partial).lower()}\n"
            "\tallowAnySHA1InWant = true\n[receive]\n\tfsckObjects = true\n\tautogc = false\n[gc]\n\tauto = 0\n"
        )
        return self

    def git(self, *args: str | bytes, given: bytes = b"") -> str:
        """Run plain git in it."""
        return git(self.path, *args, given=given)

    def refs(self) -> str:
        """Every ref and what it points to."""
        return self.git("for-each-ref", "--format=%(refname) %(objectname)")

    def tips(self) -> dict[str, Tip]:
        """Every ref and what it points to, with the tree and the parents of that commit."""
        asked = ("objecttype", "refname", "objectname", "tree", "parent", "*objectname", "*tree", "*parent")
        listed = self.git("for-each-ref", "--format=" + "".join(f"%({each})%09" for each in asked) + "end")
        found = {}
        for kind, name, thing, *own, tagged, tree, parents, _ in (line.split("\t") for line in listed.split("\n")):
            commit, tree, parents = (tagged, tree, parents) if kind == "tag" else (thing, *own)
            found[name] = Tip(thing, commit, tree, tuple(parents.split()))
        return found

    def files(self, revision: str) -> Files:
        """Every file of a revision: its mode and its blob."""
        return files_of(self.path, revision)

    def clone(self, directory: Path) -> Path:
        """A fresh clone, as anybody makes it, without files: histories hold names that a disk may not take."""
        plain = ("-c", "core.protectNTFS=false")  # which declines a backslash in a name
        git(self.root, "clone", "--quiet", "--no-checkout", *plain, str(self.path), str(directory))
        return directory
