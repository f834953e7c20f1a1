"""A Barman of our own, for one of the lab's PostgreSQL servers and on its machine.

It is the server's user: what it keeps and what it restores belongs to whom the server runs as. WAL comes to it by the
server's archive_command, backups by pg_basebackup.
"""

import configparser
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from infra.lab import debian
from infra.lab.archiving import archiving_by
from infra.lab.barman_home import find_barman, find_rsync
from infra.lab.postgres import Postgres
from infra.lab.postgres_home import Home, give, home
from infra.lab.process import LabError, wait_until

NAME = "main"
SECONDS = 120.0
READY_SECONDS = 20.0


@dataclass(frozen=True)
class Barman:
    """A Barman that has received its server's first WAL."""

    programs: Path
    """The directory of `barman`."""
    configuration: Path
    """Its barman.conf, which everything it keeps lies beside."""
    server: str
    """The server's name in the configuration."""
    incoming: Path
    """Where the server's finished WAL arrives."""
    path: str
    """Where it finds rsync and PostgreSQL's programs: its PATH."""
    library_path: str
    """Where rsync finds its libraries, LD_LIBRARY_PATH; empty where the machine has them."""
    runs_as: str | None
    """Whose rights it has to have; None means our own."""

    def environment(self) -> dict[str, str]:
        """The environment it is run with."""
        libraries = {"LD_LIBRARY_PATH": self.library_path} if self.library_path else {}
        return {**os.environ, "HOME": str(self.configuration.parent), "PATH": self.path, "LC_ALL": "C", **libraries}

    def run(self, *arguments: str | Path) -> str:
        """Run `barman` with these arguments, as its user, and answer what it printed.

        Raises LabError with what it said when its exit code is not 0.
        """
        done = subprocess.run(
            [self.programs / "barman", "-c", self.configuration, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env=self.environment(),
            cwd=self.configuration.parent,
            user=self.runs_as,
            group=pwd.getpwnam(self.runs_as).pw_gid if self.runs_as else None,
            extra_groups=[] if self.runs_as else None,
        )
        if done.returncode:
            # It complains of many things on its standard output.
            raise LabError(f"barman {arguments[0]} ended with {done.returncode}: {done.stderr}{done.stdout}".strip())
        return done.stdout


@contextmanager
def barman(server: Postgres, directory: Path) -> Iterator[Barman]:
    """Have a Barman receive a server's WAL for the time of the block; its log lies beside its configuration.

    The server must archive (`archive_mode`). When its archive_command is on its command line, where nothing overrides
    it, the server is restarted once without; afterwards it archives as it did before.

    Raises LabError when there is no Barman to be had or when no WAL comes to it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with home(directory, find_barman()) as where:
        ours = _set_up(server, where)
        # Under a name that Barman overlooks until it is complete.
        command = f"cp '%p' '{ours.incoming}/.%f' && mv '{ours.incoming}/.%f' '{ours.incoming}/%f'"
        with _ending(ours.configuration.parent), archiving_by(server, command):
            ours.run("switch-wal", "--force", "--archive", "--archive-timeout", f"{READY_SECONDS:g}", ours.server)
            yield ours


def _set_up(server: Postgres, where: Home) -> Barman:
    place = where.place / "barman"
    incoming = place / "home" / NAME / "incoming"
    for each in (place, place / "home", place / "home" / NAME, incoming, place / "conf.d", place / "cs"):
        each.mkdir(mode=0o700)
        give(each, where.user)
    passwords = f"127.0.0.1:{server.port}:*:{server.user}:{server.password}\n"
    _write(place / "passwords", passwords, where.user)
    configuration = place / "barman.conf"
    with configuration.open("w") as file:
        _configuration(server, place, where.user).write(file)
    give(configuration, where.user)
    rsync = _rsync(where)
    path = ":".join((str(rsync), str(server.binaries), os.environ.get("PATH", os.defpath)))
    return Barman(where.binaries, configuration, NAME, incoming, path, debian.library_path(rsync), where.user)


def _configuration(server: Postgres, place: Path, user: str | None) -> configparser.ConfigParser:
    reached = make_conninfo(host="127.0.0.1", port=server.port, user=server.user, passfile=str(place / "passwords"))
    settings = configparser.ConfigParser(interpolation=None)
    settings["barman"] = {
        "barman_user": user or pwd.getpwuid(os.geteuid()).pw_name,
        "barman_home": str(place / "home"),
        "configuration_files_directory": str(place / "conf.d"),
        "log_file": str(place / "barman.log"),
    }
    settings[NAME] = {
        "description": "the lab's server",
        "conninfo": f"{reached} dbname=postgres",
        "streaming_conninfo": reached,
        "backup_method": "postgres",
        "archiver": "on",
        "path_prefix": str(server.binaries),
        # Its own place is below /tmp, where `barman check` finds what is not its own.
        "cloud_staging_directory": str(place / "cs"),
    }
    return settings


def _rsync(where: Home) -> Path:
    """The directory of an rsync that Barman's user can run: what was fetched lies in a home that is closed to it."""
    programs = find_rsync()
    if where.user is None or programs.is_relative_to("/usr"):
        return programs
    shutil.copytree(programs.parent, where.place / "rsync" / "usr", symlinks=True)
    return where.place / "rsync" / "usr" / programs.name


@contextmanager
def _ending(place: Path) -> Iterator[None]:
    """End in the end what has to do with this place, by whomever started: Barman leaves work in the background."""
    try:
        yield
    finally:
        wait_until(lambda: not _kill(place), what="the end of Barman", seconds=READY_SECONDS)


def _kill(place: Path) -> int:
    """Kill every process that has the place in its arguments, and answer how many there were."""
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended in the meantime, or another user's
            if int(process.name) != os.getpid() and os.fsencode(place) in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
    return killed


def _write(path: Path, text: str, user: str | None) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    give(path, user)
