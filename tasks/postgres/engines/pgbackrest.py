"""pgBackRest (pgbackrest.org): its backups and its archive of WAL, through its command line alone.

It has no means to keep a backup against its own retention (its issues 100 and 1280). So the set holds the files of the
backup, restored into it at once, and pgBackRest may let go of its own whenever it likes.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from recovery.databases import Database, WithPgBackRest
from recovery.errors import Refused
from tasks.postgres.engines.asked import Asked, find
from tasks.postgres.engines.files import InFiles
from tasks.postgres.engines.interface import Restored
from tasks.postgres.manifests import check_manifest, write_manifest
from tasks.postgres.places import Place
from tasks.postgres.programs import give, helper, run

_ANNOTATION = "ripcord"
_NO_SUCH_FILE = "unable to find"
# PostgreSQL runs its commands in its data directory, and a restored server has another than the configuration says.
_HERE = "--pg1-path=$PWD"


class PgBackRest(InFiles, Asked):
    """The engine of those who run pgBackRest on the machine of the server, as the user of PostgreSQL's programs."""

    def __init__(self, database: Database, pgbackrest: WithPgBackRest) -> None:
        self._database, self._pgbackrest = database, pgbackrest

    @property
    def archive(self) -> str:
        """The name of its stanza."""
        return f"the archive of pgBackRest's stanza {self._pgbackrest.stanza}"

    def directory(self) -> str:
        """pgBackRest's own affair: it may be a bucket."""
        return ""

    def check(self) -> None:
        """What `pgbackrest check` finds: the server, the repository, and that a segment of WAL comes to it."""
        self._run("check")

    def take(self, place: Place, name: str, of: Restored | None = None) -> None:
        """Find the one of that name, which a killed gate has left, or take it; then restore its files into the set.

        An incremental one, as far as there is a full one: it does not count against `retention-full`. Where what it
        builds on is damaged, a full one is taken. pgBackRest checks every file that it restores, and afterwards the set
        has a manifest that PostgreSQL's programs read.
        """
        found = self._named(name) or self._back_up(name, "incr", of)
        if self._shown(str(found["label"])).get("tablespace"):
            raise Refused(f"the backup {found['label']} has tablespaces, which pgBackRest restores over the original's")
        try:
            self._lay(found, place.part / "data")
        except Refused as refused:
            if found["type"] == "full":
                raise
            get_run_logger().warning(f"{refused}: taking a full backup")
            shutil.rmtree(place.part / "data", ignore_errors=True)
            self._lay(self._back_up(name, "full", of), place.part / "data")

    def _back_up(self, name: str, kind: str, of: Restored | None) -> Mapping[str, Any]:
        more = (f"--type={kind}", "--start-fast", "--archive-copy", f"--annotation={_ANNOTATION}={name}")
        self._run("backup", (*more, *_elsewhere(of)))
        found = self._named(name)
        if found is None:
            raise Refused(f"pgbackrest took a backup and knows none that is called {name}: see `pgbackrest info`")
        return found

    def _lay(self, found: Mapping[str, Any], data: Path) -> None:
        label = str(found["label"])
        data.mkdir(mode=0o700)
        give(data)
        self._run("restore", (f"--set={label}", "--type=none", f"--pg1-path={data}"))
        first, last = found["lsn"]["start"], found["lsn"]["stop"]
        write_manifest(data, int(found["archive"]["start"][:8], 16), first, last)
        check_manifest(data)

    def fetching(self) -> str:
        """By `pgbackrest archive-get`, as its user guide has it."""
        return " ".join((*self._called(_HERE), "archive-get", "%f", "%p"))

    def archiving(self) -> str:
        """By `pgbackrest archive-push`: the original's command names the original's directory."""
        return " ".join((*self._called(_HERE), "archive-push", "%p"))

    def forget(self, place: Place) -> None:
        """It goes with the set; pgBackRest's own goes when its retention says so."""

    def sweep(self, ours: Callable[[str], bool]) -> None:
        """pgBackRest clears away itself what never became whole."""

    def _ask(self, segment: str, place: Path) -> bool:
        """At once, and not by a helper in the background that may not have come to it yet."""
        try:
            self._run("archive-get", ("--no-archive-async",), (segment, str(place / segment)))
        except Refused as refused:
            if f"{_NO_SUCH_FILE} {segment}" in str(refused):
                return False
            raise
        return True

    def _named(self, name: str) -> Mapping[str, Any] | None:
        backups = self._info()["backup"]
        found = [each for each in backups if each.get("annotation", {}).get(_ANNOTATION) == name and not each["error"]]
        return max(found, key=lambda each: str(each["label"]), default=None)

    def _shown(self, label: str) -> Mapping[str, Any]:
        [shown] = self._info(f"--set={label}")["backup"]
        return dict(shown)

    def _info(self, *more: str) -> Mapping[str, Any]:
        argv = (*self._called(*more, "--output=json", "--log-level-console=off", "--log-level-stderr=error"), "info")
        [stanza] = json.loads(run(helper(*argv), Path(self._database.backups)))
        return dict(stanza)

    def _run(self, verb: str, more: Sequence[str] = (), given: Sequence[str] = ()) -> None:
        # That it cannot find a segment is no error to it, and said with all else on its standard output.
        said = ("--log-level-console=info", "--log-level-stderr=off")
        run(helper(*self._called(*said, *more), verb, *given), Path(self._database.backups))

    def _called(self, *options: str) -> tuple[str, ...]:
        program = find("pgbackrest", self._pgbackrest.programs)
        return (program, f"--config={self._pgbackrest.configuration}", f"--stanza={self._pgbackrest.stanza}", *options)


def _elsewhere(of: Restored | None) -> tuple[str, ...]:
    """The restored server instead of the one in the configuration."""
    if of is None:
        return ()
    return (f"--pg1-path={of.data}", f"--pg1-port={of.way['port']}", f"--pg1-socket-path={of.way['host']}")
