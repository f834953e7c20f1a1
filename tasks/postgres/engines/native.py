"""PostgreSQL's own programs: pg_basebackup into the set, and the directory that archive_command fills."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused
from tasks.postgres.connection import environment
from tasks.postgres.engines.files import InFiles
from tasks.postgres.engines.interface import Restored
from tasks.postgres.manifests import check_manifest, checksums
from tasks.postgres.places import Place
from tasks.postgres.programs import command, run


class FromServer(InFiles):
    """The part of pg_basebackup, wherever the WAL goes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, place: Place, name: str, of: Restored | None = None) -> None:
        """Take it. Its own WAL comes along, so that pg_basebackup does not wait for the archiver; no proof uses it."""
        arguments = ("--pgdata", str(place.part / "data"), "--format=plain", "--wal-method=stream", "--checkpoint=fast")
        argv = command("pg_basebackup", *arguments, *checksums(), "--no-password", f"--label={name}")
        run(argv, place.part, environment(self._database, of.way if of else None))
        check_manifest(place.part / "data")

    def archiving(self) -> str:
        """As the original does."""
        return ""

    def forget(self, place: Place) -> None:
        """It goes with the set."""

    def sweep(self, ours: Callable[[str], bool]) -> None:
        """There are none outside of sets."""


class Native(FromServer):
    """The engine that needs nothing but PostgreSQL: the backup lies in the set itself, finished WAL in a directory."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._archive = Path(database.archive or "")

    @property
    def archive(self) -> str:
        """The directory."""
        return str(self._archive)

    def directory(self) -> str:
        """The directory, without symbolic links."""
        return os.path.realpath(self._archive)

    def check(self) -> None:
        """Raises Refused when the directory is missing or closed."""
        if not os.access(self._archive, os.R_OK | os.X_OK):
            raise Refused(f"{self._archive} is not there, or closed to us: make it, owned by the user of the programs")

    def holds(self, segment: str, size: int) -> bool:
        """A segment appears there by the rename of a whole file, or grows while it is copied."""
        with suppress(OSError):
            return (self._archive / segment).stat().st_size == size
        return False

    def gather(self, segments: Sequence[str], into: Path) -> Path:
        """They are read where they are."""
        return self._archive

    def fetch(self, segment: str, file: Path) -> None:
        """Copy it."""
        shutil.copyfile(self._archive / segment, file)

    def fetching(self) -> str:
        """By cp."""
        return f"cp {self._archive}/%f %p"
