"""Boot a copy of a set, beside the server and out of its way, so that it stops exactly at the point."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from tasks.postgres.connection import session
from tasks.postgres.engines import engine_of
from tasks.postgres.places import Place
from tasks.postgres.programs import give
from tasks.postgres.promoting import end_recovery
from tasks.postgres.standing import control_of
from tasks.postgres.temporary import POLL_SECONDS, begin, closed_directory, end, last_words, way_to

PROMOTION_SECONDS = 60.0
RECOVERY_SECONDS = 6 * 3600.0  # replay of a long chain; a copy that died is noticed at once


class Copy:
    """A running copy of a set."""

    def __init__(self, place: Place, socket: Path, process: "subprocess.Popen[bytes]") -> None:
        self.data = place.copy / "data"
        self.log = place.copy / "log"
        self.way = way_to(socket)
        self._process = process

    def wait_until_paused(self, database: Database) -> None:
        """Wait until recovery has stopped at its target. Raises Refused with the server's last words when it ended."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Refused(f"the copy ended before it was at the point: {self.last_words()}")
            with suppress(Unavailable), session(database, self.way) as asked:
                if asked.value("SELECT pg_get_wal_replay_pause_state()") == "paused":
                    return
            time.sleep(POLL_SECONDS)
        raise Refused(f"the copy was not at the point within {RECOVERY_SECONDS:g} s: {self.last_words()}")

    def promote(self, database: Database) -> None:
        """End recovery: the copy takes writes, on a timeline of its own that nobody else sees."""
        end_recovery(database, self.data, self.way, PROMOTION_SECONDS)

    def branched(self) -> tuple[int, str]:
        """From which timeline and where the promoted copy branched off, as its history file says."""
        history = max((self.data / "pg_wal").glob("*.history"))
        timeline, lsn = history.read_text().strip().splitlines()[-1].split()[:2]
        return int(timeline), lsn

    def last_words(self) -> str:
        """What its log says of its end."""
        return last_words(self.log)

    def end(self) -> None:
        """Stop it at once: it is thrown away."""
        end(self._process)


@contextmanager
def copy_of(database: Database, place: Place, name: str) -> Iterator[Copy]:
    """Copy a set's backup and start it with the named point as its target; all is removed at the end.

    Raises Unavailable when the disk is full, Refused when a program fails.
    """
    socket = closed_directory(place.copy)
    try:
        place.copy.mkdir(mode=0o700)
        give(place.copy)
        data = place.copy / "data"
        engine_of(database).lay(place, data)
        _prepare(data)
        copy = Copy(place, socket, _start(place, name, socket))
        try:
            yield copy
        finally:
            copy.end()
    except OSError as error:
        raise Unavailable(f"{place.copy} cannot be written: {error.strerror}; make room there") from None
    finally:
        shutil.rmtree(place.copy, ignore_errors=True)
        shutil.rmtree(socket, ignore_errors=True)


def _prepare(data: Path) -> None:
    """Leave nothing of the original's configuration, nor WAL that did not come through the archive."""
    shutil.rmtree(data / "pg_wal")
    (data / "pg_wal").mkdir(mode=0o700)
    (data / "recovery.signal").touch(mode=0o600)
    (data / "standby.signal").unlink(missing_ok=True)
    (data / "postgresql.auto.conf").write_text("")
    for path in (data / "pg_wal", data / "recovery.signal"):
        give(path)


def _start(place: Place, name: str, socket: Path) -> "subprocess.Popen[bytes]":
    settings = {
        "restore_command": f"cp {place.wal}/%f %p",
        "recovery_target_name": name,
        "recovery_target_action": "pause",
        "hot_standby": "on",
    }
    return begin(place.copy, socket, control_of(place.copy / "data"), settings)
