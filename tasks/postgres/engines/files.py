"""Sets that hold the files of their backup, as PostgreSQL's own programs lay them down."""

import json
from pathlib import Path

from recovery.backups import Backup
from recovery.errors import Refused
from tasks.postgres.manifests import check_manifest
from tasks.postgres.places import Place
from tasks.postgres.programs import helper, run
from tasks.postgres.standing import control_of


class InFiles:
    """What engines have in common whose backup lies in the set itself, with a manifest as pg_basebackup writes it."""

    def has_backup(self, place: Place) -> bool:
        """It lies there."""
        return place.data.is_dir()

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
