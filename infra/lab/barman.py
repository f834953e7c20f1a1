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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infra.lab import debian
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
        with _ending(ours.configuration.parent), _archiving_into(server, ours.incoming):
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
def _archiving_into(server: Postgres, incoming: Path) -> Iterator[None]:
    before = _show(server)
    if before["archive_mode"][0] != "on":
        raise LabError("a server that does not archive cannot have a Barman: start it with archiving=True")
    command, source = before["archive_command"]
    # PostgreSQL takes a setting of its command line before any other.
    fixed = {"archive_command": server.settings.pop("archive_command")} if source == "command line" else {}
    try:
        if fixed:
            server.restart()
        # Under a name that Barman overlooks until it is complete.
        _archive_by(server, f"cp '%p' '{incoming}/.%f' && mv '{incoming}/.%f' '{incoming}/%f'")
        yield
    finally:
        server.settings.update(fixed)
        with suppress(psycopg.OperationalError, LabError):  # it may be dead
            _archive_by(server, command)


def _archive_by(server: Postgres, command: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER SYSTEM SET archive_command = {}").format(sql.Literal(command)))
        connection.execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: _show(server)["archive_command"][0] == command, what="the archive_command", seconds=READY_SECONDS
    )


def _show(server: Postgres) -> Mapping[str, tuple[str, str]]:
    """How the server archives, and where each setting comes from."""
    with psycopg.connect(server.dsn()) as connection:
        rows = connection.execute("SELECT name, setting, source FROM pg_settings WHERE name LIKE 'archive_%'")
        return {name: (setting, source) for name, setting, source in rows}


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
