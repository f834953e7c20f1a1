"""Barman (pgbarman.org): its backups and its archive of WAL, through its command line alone.

The set keeps a copy of the WAL from the backup to the point, so that Barman may tidy its own; the backup itself is
protected by `barman keep` for as long as the set is there.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from recovery.backups import Backup
from recovery.databases import Database, WithBarman
from recovery.errors import Refused
from tasks.postgres.connection import session
from tasks.postgres.engines.asked import Asked, find
from tasks.postgres.engines.interface import Restored
from tasks.postgres.notes import read_note, write_note
from tasks.postgres.places import Place
from tasks.postgres.programs import helper, run
from tasks.waiting import wait_for

NOTE = "barman.json"
ARCHIVED = timedelta(seconds=60)
POLL_SECONDS = 0.5
_WHOLE = ("DONE", "WAITING_FOR_WALS")  # the WAL that a backup of the second kind waits for is looked at by the chain
_NO_SUCH_FILE = "not found in server"
_NO_SUCH_BACKUP = "Unknown backup"


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup of Barman's that belongs to a set."""

    server: str
    backup: str  # Barman's own id
    segment_size: int


class Barman(Asked):
    """The engine of those who run Barman on the machine where the sets are, as the user of PostgreSQL's programs."""

    def __init__(self, database: Database, barman: WithBarman) -> None:
        self._database, self._barman = database, barman

    @property
    def archive(self) -> str:
        """The name of its server."""
        return f"the archive of Barman's server {self._barman.server}"

    def directory(self) -> str:
        """Barman's own affair."""
        return ""

    def check(self) -> None:
        """What `barman check` finds."""
        self._run("check")

    def has_backup(self, place: Place) -> bool:
        """Answer whether Barman still knows it, and calls it whole."""
        taken = self._taken(place.set)
        return taken is not None and any(each["backup_id"] == taken.backup for each in self._whole())

    def take(self, place: Place, name: str, of: Restored | None = None) -> None:
        """Find the one of that name, which a killed gate has left, or take it; either way it is kept and verified."""
        if of:
            self._see_that_it_leads_to(of)
        with session(self._database, of.way if of else None) as asked:
            size = int(asked.value("SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size'"))
        if self._named(name) is None:
            self._delete_failed(name)
            self._run("backup", more=("--name", name, "--immediate-checkpoint"))
        found = self._named(name)
        if found is None:
            raise Refused(f"barman took a backup and knows none that is called {name}: see `barman list-backups`")
        self._wait_for_wal(found)
        self._run("keep", found, ("--target", "standalone"))
        self._run("verify-backup", found)
        write_note(place.part / NOTE, Taken(self._barman.server, found, size))

    def verify(self, place: Place) -> None:
        """By `barman verify-backup`, which calls pg_verifybackup."""
        self._run("verify-backup", self._backup(place))

    def describe(self, place: Place) -> Backup:
        """As `barman show-backup` tells."""
        shown = self._show(place)
        known = shown["base_backup_information"]
        return Backup(str(shown["system_id"]), int(known["timeline"]), known["begin_lsn"], known["end_lsn"])

    def segment_size(self, place: Place) -> int:
        """As the server said when the backup was taken."""
        return self._known(place).segment_size

    def size(self, place: Place) -> int:
        """As Barman counted."""
        return int(self._show(place)["cluster_size_bytes"])

    def lay(self, place: Place, data: Path) -> None:
        """By `barman restore`, without a target and without WAL: both are ripcord's affair."""
        if self._show(place)["tablespaces"]:
            raise Refused(f"the backup of {place.set} has tablespaces, which Barman restores over the original's")
        self._run("restore", self._backup(place), ("--get-wal",), str(data))

    def fetching(self) -> str:
        """By `barman get-wal`, as Barman's manual has it for a server on the same machine."""
        return f"{self._program()} --config {self._barman.configuration} get-wal {self._barman.server} %f > %p"

    def archiving(self) -> str:
        """As the original does."""
        return ""

    def forget(self, place: Place) -> None:
        """Let go of it, and delete it unless Barman needs it: then its own retention has it from now on."""
        taken = self._taken(place.set)
        if taken is None or all(each["backup_id"] != taken.backup for each in self._list()):
            return
        self._run("keep", taken.backup, ("--release",))
        if not self._is_needed(taken.backup):
            self._run("delete", taken.backup)

    def sweep(self, ours: Callable[[str], bool]) -> None:
        """Delete those under our names that failed. A whole one stays: the sets may just not be mounted."""
        for each in self._list():
            if ours(str(each.get("backup_name") or "")) and each["status"] not in _WHOLE:
                self._delete(str(each["backup_id"]))

    def _ask(self, segment: str, place: Path) -> bool:
        """Into a directory of its own: where the archive has none, Barman leaves an empty file."""
        try:
            self._run("get-wal", segment, ("--output-directory", str(place)))
        except Refused as refused:
            if _NO_SUCH_FILE in str(refused):
                return False
            raise
        return True

    def _see_that_it_leads_to(self, of: Restored) -> None:
        """Barman takes no address but that of its configuration: of the damaged server it would take one, too."""
        shown = json.loads(self._run("show-servers", form="json"))[self._barman.server]
        if str(shown.get("timeline")) != str(of.timeline):
            raise Refused(
                f"Barman's server {self._barman.server} leads to one on timeline {shown.get('timeline')}, and the "
                f"restored one, {of.address}, is on {of.timeline}: lead its conninfo and streaming_conninfo there"
            )

    def _named(self, name: str) -> str | None:
        found = [str(each["backup_id"]) for each in self._whole() if each.get("backup_name") == name]
        return max(found, default=None)

    def _whole(self) -> list[Mapping[str, Any]]:
        return [each for each in self._list() if each["status"] in _WHOLE]

    def _list(self) -> list[Mapping[str, Any]]:
        return list(json.loads(self._run("list-backups", form="json"))[self._barman.server])

    def _delete_failed(self, name: str) -> None:
        for each in self._list():
            if each.get("backup_name") == name:
                self._delete(str(each["backup_id"]))

    def _wait_for_wal(self, backup: str) -> None:
        """See that Barman archives what the backup needs: it keeps none before, and its own cron may be at it."""

        def done() -> bool | None:
            status = next((each["status"] for each in self._list() if each["backup_id"] == backup), None)
            if status is None:
                raise Refused(f"Barman's backup {backup} was deleted while it waited for WAL: run this again")
            if status != _WHOLE[0]:
                self._run("archive-wal")
                self._run("check-backup", backup)
            return status == _WHOLE[0] or None

        waits = f"Barman's backup {backup} waits for WAL"
        wait_for(done, ARCHIVED, lambda: waits, POLL_SECONDS, f"see `barman check {self._barman.server}`")

    def _is_needed(self, backup: str) -> bool:
        """Answer whether others build on it, which `barman delete` takes along, or the minimum redundancy counts it.

        As Server.delete_backup in Barman's server.py does; where it declines by itself, its exit code is an error's.
        """
        shown = json.loads(self._run("show-backup", backup, form="json"))[self._barman.server]
        if shown["catalog_information"].get("children_backup_ids"):
            return True
        least = json.loads(self._run("show-servers", form="json"))[self._barman.server]["minimum_redundancy"]
        counted = [str(each["backup_id"]) for each in self._list() if _counts(each)]
        return backup in counted and len(counted) <= int(least)

    def _delete(self, backup: str) -> None:
        for verb, more in (("keep", ("--release",)), ("delete", ())):
            try:
                self._run(verb, backup, more)
            except Refused as refused:
                if _NO_SUCH_BACKUP not in str(refused):
                    raise

    def _show(self, place: Place) -> Mapping[str, Any]:
        shown = json.loads(self._run("show-backup", self._backup(place), form="json"))
        found: Mapping[str, Any] = shown[self._barman.server]
        if found["status"] not in _WHOLE:
            raise Refused(f"barman calls the backup of {place.set} {found['status']}: move the set away")
        return found

    def _backup(self, place: Place) -> str:
        return self._known(place).backup

    def _known(self, place: Place) -> Taken:
        taken = self._taken(place.set)
        if taken is None:
            raise Refused(f"the set {place.set} names no backup of Barman's server {self._barman.server}: move it away")
        return taken

    def _taken(self, place: Path) -> Taken | None:
        taken = read_note(place / NOTE, Taken)
        return taken if taken and taken.server == self._barman.server else None

    def _run(self, verb: str, what: str = "", more: Sequence[str] = (), into: str = "", form: str = "console") -> str:
        named = [each for each in (self._barman.server, what, into) if each]
        options = ("--config", self._barman.configuration, "--format", form)
        return run(helper(self._program(), *options, verb, *more, *named), Path(self._database.backups))

    def _program(self) -> str:
        return find("barman", self._barman.programs)


def _counts(listed: Mapping[str, Any]) -> bool:
    """Answer whether a backup counts as one of Barman's minimum redundancy."""
    return listed["status"] == "DONE" and listed.get("backup_type") != "incremental"
