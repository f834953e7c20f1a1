"""Boot a copy of a set, beside the server and out of its way, so that it stops exactly at the point.

The copy listens on a socket in a directory of its own and on no port, archives nothing (it would write a timeline
into the real archive), and reads no configuration but the one given here.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.side_settings import AT_LEAST
from tasks.postgres.backup import read_control
from tasks.postgres.connection import session
from tasks.postgres.programs import clean, command, give, helper, run
from tasks.postgres.sets import Place

RECOVERY_SECONDS = 6 * 3600.0  # replay of a long chain; a copy that died is noticed at once
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05


class Copy:
    """A running copy of a set."""

    def __init__(self, place: Place, socket: Path, process: "subprocess.Popen[bytes]") -> None:
        self.data = place.copy / "data"
        self.log = place.copy / "log"
        self.way = {"host": str(socket), "port": "5432", "sslmode": "disable"}
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

    def promote(self) -> None:
        """End recovery: the copy takes writes, on a timeline of its own that nobody else sees."""
        run(command("pg_ctl", "promote", "--wait", "--pgdata", str(self.data)), self.data.parent, clean())

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
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def last_words(log: Path, since: int = 0) -> str:
    """What a server's log says of its end, from a byte on: the fatal lines, else the last one."""
    with suppress(FileNotFoundError):
        lines = log.read_bytes()[since:].decode(errors="replace").strip().splitlines()
        fatal = [
            line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line and "starting up" not in line
        ]
        return "; ".join(dict.fromkeys(fatal)) or (lines[-1] if lines else "it said nothing")
    return "it said nothing"


@contextmanager
def copy_of(place: Place, name: str) -> Iterator[Copy]:
    """Copy a set's backup and start it with the named point as its target; all is removed at the end.

    Raises Unavailable when the disk is full, Refused when a program fails.
    """
    socket = _socket_directory(place)
    try:
        place.copy.mkdir(mode=0o700)
        give(place.copy)
        data = place.copy / "data"
        run(helper("cp", "--archive", "--reflink=auto", str(place.data), str(data)), place.copy)
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
    (data.parent / "postgresql.conf").write_text("")
    (data.parent / "pg_hba.conf").write_text("local all all trust\n")  # the directory of its socket lets nobody else in
    (data.parent / "pg_ident.conf").write_text("")
    for path in (data / "pg_wal", data / "recovery.signal"):
        give(path)


def _start(place: Place, name: str, socket: Path) -> "subprocess.Popen[bytes]":
    control = read_control(place)
    settings = {
        "config_file": place.copy / "postgresql.conf",
        "hba_file": place.copy / "pg_hba.conf",
        "ident_file": place.copy / "pg_ident.conf",
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": socket,
        "archive_mode": "off",
        "max_logical_replication_workers": "0",  # a promoted copy would take the place of a real subscriber
        "restore_command": f"cp {place.wal}/%f %p",
        "recovery_target_name": name,
        "recovery_target_timeline": "current",
        "recovery_target_action": "pause",
        "hot_standby": "on",
        "fsync": "off",
        "dynamic_shared_memory_type": "mmap",  # in its own directory, so that it leaves nothing elsewhere
        "shared_buffers": "64MB",
        "log_timezone": "UTC",
        "timezone": "UTC",
        **{setting: control[known] for setting, known in AT_LEAST.items() if known in control},
    }
    options = [f"--{setting}={value}" for setting, value in settings.items()]
    argv = command("postgres", "-D", str(place.copy / "data"), *options)
    with (place.copy / "log").open("wb") as log:
        return subprocess.Popen(
            argv, cwd=place.copy, env=clean(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def _socket_directory(place: Place) -> Path:
    """A short directory that only the copy's user enters: the path of a socket may have 107 bytes."""
    digest = hashlib.sha256(str(place.copy).encode()).hexdigest()[:12]
    directory = Path(tempfile.gettempdir(), f"ripcord-{os.geteuid()}-{digest}")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        raise Refused(f"{directory} belongs to somebody else: remove it") from None
    give(directory)
    return directory
