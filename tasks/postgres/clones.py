"""A clone of the database as it is now, beside the sets, that a fix is tried on and that is thrown away."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from tasks.postgres.connection import environment, session
from tasks.postgres.places import place_of
from tasks.postgres.programs import clean, command, give, run
from tasks.postgres.temporary import POLL_SECONDS, begin, closed_directory, end, last_words, way_to

OPEN_SECONDS = 1800.0  # the WAL that was written during the backup is replayed; a clone that died is noticed at once


@dataclass(frozen=True, slots=True)
class Clone:
    """A running clone that takes writes: how `session` gets to it, and how long it took to make."""

    way: dict[str, str]
    seconds: float


@contextmanager
def clone_of(database: Database, name: str) -> Iterator[Clone]:
    """Clone the server as it is now and open the clone for writing; all of it is removed at the end.

    Raises Unavailable when the disk is full or the server does not answer, Refused when a program fails.
    """
    began, place = time.monotonic(), place_of(database, name).copy
    shutil.rmtree(place, ignore_errors=True)  # of a try that was killed; the service's fence keeps others out
    socket = closed_directory(place)
    try:
        place.mkdir(mode=0o700)
        give(place)
        _take(database, place)
        process = _start(place, socket)
        try:
            way = way_to(socket)
            _wait_until_open(database, way, process, place / "log")
            yield Clone(way, time.monotonic() - began)
        finally:
            end(process)
    except OSError as error:
        raise Unavailable(f"{place} cannot be written: {error.strerror}; make room there") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(socket, ignore_errors=True)


def _take(database: Database, place: Path) -> None:
    """A base backup with the WAL that it needs, so that the archive is not asked."""
    arguments = ("--pgdata", str(place / "data"), "--format=plain", "--wal-method=stream", "--checkpoint=fast")
    argv = command("pg_basebackup", *arguments, "--no-password", "--no-manifest", "--no-sync", "--label=ripcord fix")
    run(argv, place, environment(database))
    data = place / "data"
    (data / "recovery.signal").touch(mode=0o600)
    (data / "standby.signal").unlink(missing_ok=True)
    (data / "postgresql.auto.conf").write_text("")
    give(data / "recovery.signal")


def _start(place: Path, socket: Path) -> "subprocess.Popen[bytes]":
    printed = run(command("pg_controldata", str(place / "data")), place, clean())
    control = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in printed.splitlines())}
    settings = {
        # Its own WAL is in pg_wal, and to ask anybody else is what it must not do.
        "restore_command": "false",
        "recovery_target": "immediate",
        "recovery_target_action": "promote",
        "autovacuum": "off",
    }
    return begin(place, socket, control, settings)


def _wait_until_open(database: Database, way: dict[str, str], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Refused(f"the clone ended before it was open: {last_words(log)}")
        with suppress(Unavailable), session(database, way) as asked:
            if not asked.value("SELECT pg_is_in_recovery()"):
                return
        time.sleep(POLL_SECONDS)
    raise Refused(f"the clone was not open within {OPEN_SECONDS:g} s: {last_words(log)}")
