"""PostgreSQL's own programs: found, run as an ordinary user, and ended when we end.

PostgreSQL does not run as root. Where ripcord does, `setpriv` drops all rights to the user of RIPCORD_POSTGRES_USER;
for everybody it sees to it that a program dies with the process that started it, kill -9 included; `run` sees to that
for whatever the program has started itself.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recovery.errors import Refused, Unavailable
from tasks.settings import read_settings

_FULL = "No space left on device"
# pg_basebackup forks a second process that streams WAL, holds a slot on the server and outlives its parent's death
# by kill -9, for ever. So a program has a process group of its own, which goes when the pipe on descriptor $1 ends.
_LEASH = """
leash=$1; shift
(exec >/dev/null 2>&1 </dev/null; read _ <&"$leash"; kill -KILL 0) & watching=$!
"$@"; status=$?
{ kill "$watching"; wait "$watching"; } 2>/dev/null
exit "$status"
"""
# What libpq says where a server is away, or goes away in the middle.
_AWAY = (
    "Connection refused",
    "server closed the connection unexpectedly",
    "the database system is",  # starting up, shutting down, in recovery mode, not yet accepting connections
    "terminating connection",
    "Connection reset by peer",
    "timeout expired",
)


def command(program: str, *arguments: str) -> list[str]:
    """The whole command line of one of PostgreSQL's programs. Raises Refused when it, or a user for it, is missing."""
    return [*_dropping(), _found(program), *arguments]


def helper(program: str, *arguments: str) -> list[str]:
    """The command line of another program, on PATH or at its place, with the same rights."""
    return [*_dropping(), program, *arguments]


def run(argv: list[str], place: Path, given: Mapping[str, str] | None = None) -> str:
    """Run to the end; returns what was printed.

    Raises Unavailable when the disk is full or the server goes away, Refused with the program's last words for any
    other failure.
    """
    with _leash() as leash:
        done = subprocess.run(
            _leashed(argv, leash), cwd=place, env=clean(given), stdin=subprocess.DEVNULL, check=False,
            capture_output=True, start_new_session=True, pass_fds=(leash,),
        )  # fmt: skip
    if done.returncode != 0:
        # pg_amcheck, pg_verifybackup and the like tell their findings where others print.
        said = (done.stderr.strip() or done.stdout or b"").decode(errors="replace")
        raise failure(argv, said or (f"it died of signal {-done.returncode}" if done.returncode < 0 else ""), place)
    return (done.stdout or b"").decode(errors="replace")


def search(argv: list[str], place: Path, pattern: str) -> list[str]:
    """Run to the end; returns the first group of each printed line that matches, however much is printed.

    Raises like `run`.
    """
    with _leash() as leash, tempfile.TemporaryFile() as said:  # without a name: a killed process leaves nothing
        with subprocess.Popen(
            _leashed(argv, leash), cwd=place, env=clean(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=said, start_new_session=True, pass_fds=(leash,), text=True, errors="replace",
        ) as process:  # fmt: skip
            printed = process.stdout or ()
            found = [each[1] for line in printed if (each := re.search(pattern, line))]
        said.seek(0)
        if process.returncode != 0:
            raise failure(argv, said.read().decode(errors="replace"), place)
    return found


def failure(argv: list[str], said: str, place: Path) -> Refused | Unavailable:
    """One of our errors for a program that failed."""
    name = next(Path(part).name for part in argv[len(_dropping()) :])
    words = " ".join(said.split())
    if _FULL in words:
        return Unavailable(f"{name}: the disk of {place} is full: make room there; nothing of it was kept")
    if any(sign in words for sign in _AWAY):
        return Unavailable(f"{name}: the server did not answer to the end: {words[-300:]}")
    return Refused(f"{name} failed: {words[-400:] or 'it said nothing'}")


def clean(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without anything of ours: no secret but those given, no local words, no naive times."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **(given or {})}


def give(path: Path) -> None:
    """Make a directory of ours the property of the user whom the programs run as."""
    user = _user()
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


@contextmanager
def _leash() -> Iterator[int]:
    """The reading end of a pipe whose writing end is ours alone: it ends with the block, and with us."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


def _leashed(argv: list[str], leash: int) -> list[str]:
    begins = argv.index("--") + 1
    return [*argv[:begins], "sh", "-c", _LEASH, "sh", str(leash), *argv[begins:]]


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    user = read_settings().postgres_user
    if not user:
        raise Refused(
            "PostgreSQL does not run as root and ripcord does: name an ordinary user in RIPCORD_POSTGRES_USER, or "
            "start ripcord as one"
        )
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"RIPCORD_POSTGRES_USER names {user}, whom this machine does not know") from None
    if entry.pw_uid == 0:
        raise Refused("RIPCORD_POSTGRES_USER names root, as whom PostgreSQL does not run: name an ordinary user")
    return user


def _dropping() -> list[str]:
    if shutil.which("setpriv") is None:
        raise Refused("setpriv is not on PATH: install util-linux, it ties PostgreSQL's programs to ripcord's life")
    user = _user()
    rights = [f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--init-groups"] if user else []
    return ["setpriv", *rights, "--pdeathsig=KILL", "--"]


def _found(program: str) -> str:
    directory = read_settings().postgres_bin
    found = shutil.which(program, path=str(directory) if directory else None)
    if found is None:
        where = f"in {directory}" if directory else "on PATH"
        raise Refused(f"{program} is not {where}: install PostgreSQL's programs or set RIPCORD_POSTGRES_BIN")
    return str(Path(found).absolute())
