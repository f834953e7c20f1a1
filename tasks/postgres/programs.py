"""PostgreSQL's own programs: found, run as an ordinary user, and ended when we end.

PostgreSQL does not run as root. Where ripcord does, `setpriv` drops all rights to the user of RIPCORD_POSTGRES_USER;
for everybody it sees to it that a program dies with the process that started it, kill -9 included.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from recovery.errors import Refused, Unavailable
from tasks.settings import read_settings

_FULL = "No space left on device"


def command(program: str, *arguments: str) -> list[str]:
    """The whole command line of one of PostgreSQL's programs. Raises Refused when it, or a user for it, is missing."""
    return [*_dropping(), _found(program), *arguments]


def helper(program: str, *arguments: str) -> list[str]:
    """The command line of one of the system's programs, with the same rights."""
    return [*_dropping(), program, *arguments]


def run(argv: list[str], place: Path, given: Mapping[str, str] | None = None, output: Path | None = None) -> str:
    """Run to the end; returns what was printed, or leaves it in the file `output`.

    Raises Unavailable when the disk is full, Refused with the program's last words for any other failure.
    """
    with (output or Path(os.devnull)).open("wb") as file:
        done = subprocess.run(
            argv, cwd=place, env=clean(given), stdin=subprocess.DEVNULL, check=False,
            stdout=file if output else subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    if done.returncode != 0:
        raise failure(argv, done.stderr.decode(errors="replace"), place)
    return (done.stdout or b"").decode(errors="replace")


def failure(argv: list[str], said: str, place: Path) -> Refused | Unavailable:
    """One of our errors for a program that failed."""
    name = next(Path(part).name for part in argv[len(_dropping()) :])
    words = " ".join(said.split())
    if _FULL in words:
        return Unavailable(f"{name}: the disk of {place} is full: make room there; nothing of it was kept")
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
