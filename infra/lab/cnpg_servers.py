"""The servers and the object store behind the stand-in of CloudNativePG: real PostgreSQL, real recovery, a directory.

A Cluster is one server here, whatever its number of instances. As the operator's own instances do, it archives into
`<serverName>/wals`, is backed up into `<serverName>/base/<backupID>` and recovers from both.
"""

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from infra.lab.postgres import Postgres
from infra.lab.postgres_home import Home, find_binaries, give, home
from infra.lab.process import LabError, wait_until

RECOVERY_SECONDS = 60.0
EMPTY_EXPECTED = "WAL archive check failed for server {}: Expected empty archive"


@dataclass(frozen=True)
class Recovery:
    """From where, and up to which named point, a server recovers."""

    server_name: str
    backup_id: str
    target: str


@dataclass
class Store:
    """The object store, and the password of the role that every server of it has."""

    place: Path
    user: str | None
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    def wals(self, server_name: str) -> Path:
        """Where a server's WAL goes."""
        return self.place / server_name / "wals"

    def base(self, server_name: str, backup_id: str) -> Path:
        """Where a backup lies."""
        return self.place / server_name / "base" / backup_id

    def is_empty(self, server_name: str) -> bool:
        """Whether no WAL was ever archived under a name."""
        return not self.wals(server_name).is_dir() or not any(self.wals(server_name).iterdir())

    def open(self, server_name: str) -> Path:
        """Make the place of a server's WAL."""
        wals = self.wals(server_name)
        for path in (wals.parent, wals):
            path.mkdir(exist_ok=True)
            give(path, self.user)
        return wals


@contextmanager
def store(directory: Path) -> Iterator[Store]:
    """An object store for the time of the block, where the servers' user reaches it."""
    directory.mkdir(parents=True, exist_ok=True)
    with home(directory, find_binaries()) as where:
        yield Store(where.place, where.user)


class Instance(Postgres):
    """The server of one Cluster, up or stopped."""

    def __init__(self, directory: Path, where: Home, settings: Mapping[str, str], kept: Store) -> None:
        super().__init__(directory, where, settings)
        self.password = kept.password
        self.up = False

    def start(self) -> None:
        """Start it; `up` says so from then on."""
        super().start()
        self.up = True

    def stop(self) -> None:
        """Stop it; what it has stored stays."""
        super().stop()
        self.up = False

    def lay(self, base: Path) -> None:
        """Put a base backup where its data lies, and tell it to recover."""
        subprocess.run(["cp", "-a", str(base), str(self.data)], check=True)
        (self.data / "recovery.signal").touch()
        give(self.data / "recovery.signal", self.runs_as)
        self.passfile.touch(mode=0o600)
        self.passfile.write_text(f"127.0.0.1:*:*:{self.user}:{self.password}\n")

    def value(self, statement: str) -> object:
        """The one value that a statement returns."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            return (connection.execute(statement.encode()).fetchone() or (None,))[0]


@contextmanager
def instance(directory: Path, kept: Store, server_name: str | None, recovery: Recovery | None) -> Iterator[Instance]:
    """The server of a Cluster for the time of the block, new or recovered, and promoted.

    Raises LabError when it does not come up, such as when its point is in no WAL.
    """
    settings: dict[str, str] = {}
    if server_name is not None:
        if not kept.is_empty(server_name):
            raise LabError(EMPTY_EXPECTED.format(server_name))
        there = f"{kept.open(server_name)}/%f"
        command = f"test ! -f '{there}' && cp '%p' '{there}.part' && mv '{there}.part' '{there}'"
        settings |= {"archive_mode": "on", "archive_command": command}
    if recovery is not None:
        settings |= {
            "restore_command": f"cp '{kept.wals(recovery.server_name)}/%f' '%p'",
            "recovery_target_name": recovery.target,
            "recovery_target_action": "promote",
            "recovery_target_timeline": "latest",
        }
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        where = stack.enter_context(home(directory, find_binaries()))
        server = Instance(directory, where, settings, kept)
        stack.callback(server.stop)
        if recovery is None:
            server.initialise()
            server.start()
        else:
            base = kept.base(recovery.server_name, recovery.backup_id)
            if not base.is_dir():
                raise LabError(f"no target backup found: {recovery.backup_id} of {recovery.server_name}")
            server.lay(base)
            server.start()
            wait_until(
                lambda: not server.value("SELECT pg_is_in_recovery()"),
                what="the promotion",
                seconds=RECOVERY_SECONDS,
                process=server.process,
            )
        yield server


def back_up(server: Instance, kept: Store, server_name: str) -> dict[str, str]:
    """Take a base backup into the store; what a Backup's status says of it."""
    began = datetime.now(UTC)
    backup_id = f"{began:%Y%m%dT%H%M%S}"
    while kept.base(server_name, backup_id).exists():
        began += timedelta(seconds=1)
        backup_id = f"{began:%Y%m%dT%H%M%S}"
    place = kept.base(server_name, backup_id)
    place.parent.mkdir(parents=True, exist_ok=True)
    argv = [str(server.binaries / "pg_basebackup"), "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user]
    argv += ["-w", "-D", str(place), "-X", "none", "--checkpoint=fast", "--no-sync"]
    env = {"PATH": os.environ.get("PATH", os.defpath), "PGPASSFILE": str(server.passfile)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(place, ignore_errors=True)
        raise LabError(f"the backup failed: {done.stderr.strip()}")
    for path in (place.parent, place, *place.rglob("*")):
        give(path, kept.user)
    [(begin_lsn, begin_wal)] = re.findall(
        r"START WAL LOCATION: (\S+) \(file (\S+)\)", (place / "backup_label").read_text()
    )
    return {
        "backupId": backup_id,
        "serverName": server_name,
        "beginLSN": begin_lsn,
        "beginWal": begin_wal,
        "endLSN": str(server.value("SELECT pg_current_wal_lsn()")),
        "endWal": str(server.value("SELECT pg_walfile_name(pg_current_wal_lsn())")),
        "startedAt": f"{began:%Y-%m-%dT%H:%M:%SZ}",
        "stoppedAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
