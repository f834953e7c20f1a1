"""PostgreSQL's own programs: pg_basebackup into the set, and the directory that archive_command fills."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from recovery.backups import Backup
from recovery.databases import Database
from recovery.errors import Refused
from tasks.postgres.connection import environment
from tasks.postgres.manifests import check_manifest, checksums
from tasks.postgres.places import Place
from tasks.postgres.programs import command, helper, run
from tasks.postgres.standing import control_of


class Native:
    """The engine that needs nothing but PostgreSQL: the backup lies in the set itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
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

    def has_backup(self, place: Place) -> bool:
        """It lies there."""
        return place.data.is_dir()

    def take(self, place: Place, name: str) -> None:
        """Take it. Its own WAL comes along, so that pg_basebackup does not wait for the archiver; no proof uses it."""
        arguments = ("--pgdata", str(place.part / "data"), "--format=plain", "--wal-method=stream", "--checkpoint=fast")
        argv = command("pg_basebackup", *arguments, *checksums(), "--no-password", f"--label={name}")
        run(argv, place.part, environment(self._database))
        check_manifest(place.part / "data")

    def verify(self, place: Place) -> None:
        """By pg_verifybackup, or as it does."""
        check_manifest(place.data)

    def describe(self, place: Place) -> Backup:
        """By pg_controldata for the cluster, by the manifest for the WAL it needs."""
        control = control_of(place.data)
        try:
            manifest = json.loads((place.data / "backup_manifest").read_text())
            ranges = manifest["WAL-Ranges"]
            first, last = ranges[0], ranges[-1]
            return Backup(control["Database system identifier"], last["Timeline"], first["Start-LSN"], last["End-LSN"])
        except (OSError, ValueError, LookupError) as error:
            raise Refused(f"{place.data}/backup_manifest cannot be read ({error}): move the set away") from None

    def segment_size(self, place: Place) -> int:
        """As pg_controldata says."""
        return int(control_of(place.data)["Bytes per WAL segment"])

    def size(self, place: Place) -> int:
        """The bytes of its files."""
        return sum(path.lstat().st_size for path in place.data.rglob("*") if not path.is_dir())

    def lay(self, place: Place, data: Path) -> None:
        """Copy it, by reference where the file system can."""
        elsewhere = place.data / "pg_tblspc"
        if elsewhere.is_dir() and any(elsewhere.iterdir()):
            raise Refused(f"the set {place.set} has tablespaces, which a copy would share with the original")
        run(helper("cp", "--archive", "--reflink=auto", str(place.data), str(data)), data.parent)

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

    def forget(self, place: Place) -> None:
        """It goes with the set."""

    def sweep(self, ours: Callable[[str], bool]) -> None:
        """There are none outside of sets."""
