"""Git without a checkout: an ephemeral bare repository, fixed argv, full ref names, nothing of the machine's config."""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from git import Git
from git.exc import GitCommandError

from recovery.errors import Refused, Unavailable
from tasks.credentials import declined, named, way_to_another
from tasks.settings import read_settings

CALL_SECONDS = 120.0  # of one call of git: a repository that makes it spin must not keep a recovery
TRANSFER_SECONDS = (
    3600.0  # of one that fetches or pushes: the first one of a large repository begins anew when it is cut
)
_TRANSFERS = ("fetch", "push")
THERE = "refs/there"  # where the remote's refs are kept: the ephemeral repository has none of its own
_OBJECT = re.compile(r"[0-9a-f]{40}(\^|$)")
_RANGE = re.compile(r"[0-9a-f]{40}\.\.[0-9a-f]{40}")
_OF_OBJECTS = ("commit-tree", "diff-tree", "merge-tree", "merge-base")  # which we only ever name by their ids
_Asked = tuple[tuple[str, ...], tuple[tuple[str, str], ...], str]  # arguments, environment, standard input
# They make no object, and another copy of that extent says the same.
_OF_CONTENTS = ("rev-parse", "diff-tree", "log")
_OF_REFS = "for-each-ref"  # the same where the same refs are there, too
_PARSED = ("rev-parse", "--verify", "--end-of-options")
MOST_KNOWN = 500
_known: dict[tuple[object, ...], tuple[int, str, str]] = {}  # what copies of before said, by the remote and the command
# A name that is not resolved may be "not found", too; "403" alone would also be found in a port or a repository's name.
_UNRESOLVED = re.compile(r"[Cc]ould ?n[o']t resolve|[Nn]ame or service not known|[Nn]ame resolution")
_UNKNOWN = re.compile(r"Authentication failed|could not read (Username|Password)|error: 401\b")
_REFUSED = re.compile(r"error: 403\b|Repository not found|repository '[^']*' not found")
_DAMAGE = (") is corrupt", "inflate: data stream error", "object corrupt or missing")
_TOO_LONG = "Timeout: the command"  # GitPython's words
_UNSIGNED = re.compile(r"failed to sign|unable to sign|Couldn't load public key|No private key found|[Nn]o secret key")


@dataclass(frozen=True)
class Repository:
    """A bare repository that lives as long as the task that made it, with some or all of the remote's refs."""

    path: Path
    url: str
    env: dict[str, str]
    name: str = ""  # owner and repository, as the catalogue names it
    listed: dict[str, str] = field(default_factory=dict)  # every branch and tag of the remote, and its object
    peeled: dict[str, str] = field(default_factory=dict)  # what the annotated tags among them stand for
    fresh: bool = False  # believes nothing that was read before
    since: str = ""  # the commit without whose history this copy is; empty: nothing was left out
    refs: str = ""  # which refs were put into it, and their objects, as a digest
    login: Callable[[], dict[str, str]] = dict  # what else git is told each time, with the token of that moment
    work_tree: Path | None = None  # what git takes for it: merges follow the .gitattributes that lie there
    heeds: str = ""  # of which commit or tree those are
    _answered: dict[_Asked, tuple[int, str, str]] = field(default_factory=dict)

    def git(self, *arguments: str, env: dict[str, str] | None = None, given: str = "") -> str:
        """Run git and return what it printed; `given` is its standard input. Raises Unavailable or Refused."""
        status, out, err = self.answer(*arguments, env=env, given=given)
        if status != 0:
            raise failure(self.url, arguments[0], status, err)
        return out

    def answer(self, *arguments: str, env: dict[str, str] | None = None, given: str = "") -> tuple[int, str, str]:
        """Run git and return exit status, output and messages, whatever the status."""
        asked = (arguments, tuple((env or {}).items()), given)
        if not _lasting(arguments):
            return self._run(arguments, env, given)
        answered = self._said(asked) or self._run(arguments, env, given)
        self._remember(asked, answered)
        return answered

    def _said(self, asked: _Asked) -> tuple[int, str, str] | None:
        said = self._answered.get(asked)
        return said if said or self.fresh else _known.get(self._key(asked))

    def _remember(self, asked: _Asked, answered: tuple[int, str, str]) -> None:
        self._answered[asked] = answered
        if asked[0][0] in (*_OF_CONTENTS, _OF_REFS) and answered[0] == 0:
            if len(_known) >= MOST_KNOWN:
                _known.clear()
            _known[self._key(asked)] = answered

    def _key(self, asked: _Asked) -> tuple[object, ...]:
        return (self.url, self.since, self.refs if asked[0][0] == _OF_REFS else "", *asked)

    def _run(self, arguments: Sequence[str], env: dict[str, str] | None, given: str) -> tuple[int, str, str]:
        login = self.login()
        status, out, err = self._execute(arguments, login | (env or {}), given)
        if status != 0 and _UNKNOWN.search(err) and declined(self.name, login.get("RIPCORD_GIT_PASSWORD", "")):
            return self._execute(arguments, self.login() | (env or {}), given)  # nothing was done without being let in
        return status, out, err

    def _execute(self, arguments: Sequence[str], env: dict[str, str], given: str) -> tuple[int, str, str]:
        ours = self.env | ({"GIT_WORK_TREE": str(self.work_tree)} if self.work_tree else {}) | env
        # What we set ourselves wins over the shell's anyway; unset is only the rest of it.
        inherited = [f"--unset={name}" for name in os.environ if name.startswith("GIT_") and name not in ours]
        command = ["git", f"--git-dir={self.path}", *arguments]
        try:
            # Paths need not be text: bytes that are none come from git and go back as they were.
            with tempfile.TemporaryFile(dir=self.path) as stdin:
                stdin.write(given.encode("utf-8", errors="surrogateescape"))
                stdin.seek(0)
                status, out, err = Git(self.work_tree or self.path).execute(
                    ["env", *inherited, *command] if inherited else command,
                    istream=stdin.fileno(),
                    with_extended_output=True,
                    with_exceptions=False,
                    kill_after_timeout=TRANSFER_SECONDS if {*arguments} & {*_TRANSFERS} else CALL_SECONDS,
                    env=ours,
                )
        except GitCommandError as error:
            raise Unavailable(f"git {arguments[0]} on {self.url} could not run: {error.stderr}") from error
        return int(status), str(out), str(err)

    def learn_trees(self, *revisions: str) -> None:
        """Ask for the trees of object ids at once, so that none of them costs a process of its own afterwards."""
        asked = [((*_PARSED, f"{each}^{{tree}}"), (), "") for each in revisions]
        missing = [each for each in asked if not self._said(each)]
        if not missing:
            return
        status, out, _ = self._run(("rev-parse", *(each[0][-1] for each in missing)), None, "")
        for each, tree in zip(missing, rows(out), strict=True) if status == 0 else ():
            self._remember(each, (0, tree, ""))

    def learn_differences(self, options: Sequence[str], pairs: Sequence[tuple[str, str]]) -> None:
        """Ask for the differences of some trees at once, so that none of them costs a `diff-tree` of its own.

        With --stdin git prints the two ids before each difference, whose own lines begin with a colon.
        """
        asked = {pair: (("diff-tree", *options, *pair), (), "") for pair in pairs}
        missing = [pair for pair in dict.fromkeys(pairs) if not self._said(asked[pair])]
        if len(missing) < len("it"):
            return
        given = "".join(f"{one} {other}\n" for one, other in missing)
        status, out, _ = self._run(("diff-tree", *options, "--stdin"), None, given)
        printed: list[list[str]] = []
        for line in rows(out):
            if line.startswith(":"):
                printed[-1].append(line)
            else:
                printed.append([])
        for pair, lines in zip(missing, printed, strict=True) if status == 0 else ():
            self._remember(asked[pair], (0, "\n".join(lines), ""))

    def commit_of(self, revision: str) -> str:
        """The commit that a full ref name or object id stands for, tags peeled."""
        return self.git(*_PARSED, f"{revision}^{{commit}}")

    def tree_of(self, revision: str) -> str:
        """The tree of a commit or tag."""
        return self.git(*_PARSED, f"{revision}^{{tree}}")


def _lasting(arguments: Sequence[str]) -> bool:
    """Answer whether git will say the same whenever it is asked: objects never change, refs may."""
    if arguments[0] == _OF_REFS:
        return arguments[-1].startswith(THERE)  # written once, when the copy is filled
    if arguments[0] == "log":
        return bool(_RANGE.fullmatch(arguments[-1]))
    return arguments[0] in _OF_OBJECTS or (arguments[0] == "rev-parse" and bool(_OBJECT.match(arguments[-1])))


def rows(printed: str) -> list[str]:
    """The lines of what git printed; names and titles may hold what Python takes for the end of a line."""
    return printed.split("\n") if printed else []


def failure(url: str, verb: str, status: int, err: str) -> Refused | Unavailable:
    """What git's messages mean: a right, a key, a thing that is missing or damaged is Refused, all else Unavailable."""
    said = " ".join(err.split())[-400:] or f"exit status {status}"
    if any(sign in err for sign in _DAMAGE):  # which no waiting mends
        return Refused(
            f"git {verb} on {url} met a damaged object: {said}; have the repository checked by 'git fsck', then retry"
        )
    if _TOO_LONG in err:  # what follows is our command
        return Unavailable(f"git {verb} on {url} did not end in time")
    if _UNSIGNED.search(err):
        return unsigned(url, said)
    if _UNRESOLVED.search(err):
        return Unavailable(f"git {verb} on {url} failed: {said}")
    if _UNKNOWN.search(err):
        return Refused(f"{url} does not let us {verb}, it does not know the token: {said}; {way_to_another()}")
    if _REFUSED.search(err):
        return Refused(f"{url} does not let us {verb}: {said}; check {named()} and its permissions")
    return Unavailable(f"git {verb} on {url} failed: {said}")


def unsigned(url: str, said: str) -> Refused:
    """The sentence for a key that does not sign: trying again would not help."""
    where = "GNUPGHOME" if read_settings().signing_format == "openpgp" else "whether it can be read here"
    return Refused(f"nothing can be signed for {url}: {said}; check RIPCORD_SIGNING_KEY and {where}")
