"""A pgBackRest of our own, for one of the lab's PostgreSQL servers and on its machine.

It is the server's user, whom the server lets in by its socket, as Debian's does. WAL comes to it by archive_command.
`python -m infra.lab.pgbackrest` fetches the program, out of Debian's package where the machine has none.
"""

import configparser
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from infra.lab import debian
from infra.lab.archiving import archiving_by
from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from infra.lab.process import LabError

STANZA = "main"
SECONDS = 120.0
PGBACKREST = debian.Package("pgbackrest", "pgBackRest", "usr/bin", r"lib(?:pq5|lz4-1|zstd1|xml2|ssh2-1)\S*")


@dataclass(frozen=True)
class PgBackRest:
    """A pgBackRest to which its server's WAL comes."""

    programs: Path
    """The directory of `pgbackrest`, which everybody can run."""
    configuration: Path
    """Its configuration, which the repository lies beside."""
    stanza: str
    """The server's name in the configuration."""
    repository: Path
    """Where it keeps backups and WAL."""
    runs_as: str | None
    """Whose rights it has to have; None means our own."""

    def run(self, *arguments: str | Path) -> str:
        """Run `pgbackrest` with these arguments, as its user, and answer what it printed.

        Raises LabError with what it said when its exit code is not 0.
        """
        done = subprocess.run(
            [self.programs / "pgbackrest", f"--config={self.configuration}", f"--stanza={self.stanza}", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            cwd=self.repository,
            user=self.runs_as,
            group=pwd.getpwnam(self.runs_as).pw_gid if self.runs_as else None,
            extra_groups=[] if self.runs_as else None,
        )
        if done.returncode:
            raise LabError(f"pgbackrest {arguments} ended with {done.returncode}: {done.stderr}{done.stdout}".strip())
        return done.stdout


@contextmanager
def pgbackrest(server: Postgres) -> Iterator[PgBackRest]:
    """Have a pgBackRest keep a server's WAL for the time of the block.

    The server must archive (`archive_mode`); it is restarted once, and afterwards archives as it did before.

    Raises LabError when there is no pgBackRest to be had, or none for this PostgreSQL.
    """
    with _place(server) as place:
        ours = _set_up(server, place)
        push = f"{ours.programs}/pgbackrest --config={ours.configuration} --stanza={STANZA} archive-push %p"
        _let_in(server)
        with archiving_by(server, push, unix_socket_directories=str(place / "socket")):
            ours.run("stanza-create")
            ours.run("check")
            yield ours


@contextmanager
def _place(server: Postgres) -> Iterator[Path]:
    # A socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ripcord-pgb-", ignore_cleanup_errors=True) as made:
        give(Path(made), server.runs_as)
        yield Path(made)


def _set_up(server: Postgres, place: Path) -> PgBackRest:
    for each in ("socket", "repository", "log", "lock", "spool", "bin"):
        (place / each).mkdir(mode=0o700)
        give(place / each, server.runs_as)
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {
        "repo1-path": str(place / "repository"),
        "log-path": str(place / "log"),
        "lock-path": str(place / "lock"),
        "spool-path": str(place / "spool"),
        "log-level-console": "warn",
        "compress-type": "lz4",
        "job-retry": "0",  # what is damaged in a test is damaged after 15 seconds, too
    }
    settings[STANZA] = {
        "pg1-path": str(server.data),
        "pg1-port": str(server.port),
        "pg1-socket-path": str(place / "socket"),
    }
    configuration = place / "pgbackrest.conf"
    with configuration.open("w") as file:
        settings.write(file)
    give(configuration, server.runs_as)
    _wrap(place / "bin" / "pgbackrest", find_pgbackrest(), place)
    give(place / "bin" / "pgbackrest", server.runs_as)
    return PgBackRest(place / "bin", configuration, STANZA, place / "repository", server.runs_as)


def _wrap(wrapper: Path, programs: Path, place: Path) -> None:
    """What was fetched lies in a home that may be closed to the server's user, beside libraries of its own."""
    libraries = debian.library_path(programs)
    if libraries:
        programs = shutil.copytree(programs.parent, place / "usr", symlinks=True) / programs.name
        libraries = debian.library_path(programs)
    path = f'LD_LIBRARY_PATH="{libraries}" ' if libraries else ""
    wrapper.write_text(f'#!/bin/sh\n{path}exec {programs}/pgbackrest "$@"\n')
    wrapper.chmod(0o755)


def _let_in(server: Postgres) -> None:
    """By its socket the server's own user alone, under that name."""
    name = server.runs_as or pwd.getpwuid(os.geteuid()).pw_name
    rules = server.data / "pg_hba.conf"
    if "local all all peer" not in rules.read_text():
        rules.write_text(f"local all all peer\n{rules.read_text()}")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(sql.Identifier(name)))


def find_pgbackrest() -> Path:
    """The program's directory. Raises LabError when there is none to be had."""
    return debian.find(PGBACKREST)


def main() -> int:
    """Fetch it where need be; the exit code is 1 when it cannot be had."""
    try:
        sys.stdout.write(f"{find_pgbackrest()}\n")
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
