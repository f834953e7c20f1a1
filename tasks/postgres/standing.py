"""A server that outlives us: started as a daemon, found again by its files, and never taken for another.

A process is the server's own if its working directory is the data directory: after kill -9 a pid may be another's,
and under an init that does not reap it stays a zombie that the server's own locks take for alive.
"""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from tasks.postgres.connection import Session, session
from tasks.postgres.programs import clean, command, give, run
from tasks.postgres.promoting import end_recovery
from tasks.postgres.temporary import last_words

RECOVERY_SECONDS = 6 * 3600.0  # replay of a long chain; a server that died is noticed at once
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
_SEGMENT = 16 << 20  # bytes of one file of WAL, where nobody has chosen otherwise
_TAKEN = ("Address already in use", "could not bind", "could not create any TCP/IP sockets")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a server lives: `data/`, and its `log` beside it."""

    place: Path
    sockets: Path

    @property
    def data(self) -> Path:
        """The data directory, with all of the configuration."""
        return self.place / "data"

    @property
    def log(self) -> Path:
        """What it says, appended to on each start."""
        return self.place / "log"

    def signals(self) -> list[Path]:
        """The files that keep it in recovery: the server itself removes them when it is promoted, and for good."""
        return [path for name in ("recovery.signal", "standby.signal") if (path := self.data / name).exists()]

    def follows(self) -> bool:
        """Answer whether it is a standby: it goes on asking its primary, also when it has paused."""
        return bool(signals := self.signals()) and signals[-1].name == "standby.signal"

    def running(self) -> bool:
        """Answer whether its postmaster is alive."""
        lines = self._lock()
        return bool(lines) and lines[0].isdigit() and self._is_own(Path("/proc", lines[0]))

    def processes(self) -> list[int]:
        """All live processes of this server."""
        return [int(each.name) for each in Path("/proc").glob("[0-9]*") if self._is_own(each)]

    def _is_own(self, process: Path) -> bool:
        with suppress(OSError):  # it ended, is a zombie, or is somebody else's
            named = (process / "comm").read_text().startswith(("postgres", "postmaster"))
            return named and (process / "cwd").readlink() == self.data.resolve()
        return False

    @property
    def way(self) -> dict[str, str]:
        """How ripcord itself reaches it, as any role: its directory lets nobody else in."""
        lines = self._lock()
        port, directory = (*lines[3:5], "", "")[:2]
        return {"host": directory or str(self.sockets), "port": port or "0", "sslmode": "disable"}

    @contextmanager
    def asked(self, database: Database) -> Iterator[Session]:
        """A session over its own socket."""
        with session(database, self.way) as asked:
            yield asked

    def start(self, port: int, seconds: float) -> None:
        """Start it as a daemon and give it so long to let one in; a running one is left alone.

        Raises Refused with its last words when it ends, Unavailable when its disk is full or an end is not over yet.
        """
        if self._settled():
            return
        self._clear(port)
        before = self.log.stat().st_size if self.log.exists() else 0
        # pg_ctl makes a session of its own for it, and the signal that ends pg_ctl with us is not inherited.
        arguments = ("--pgdata", str(self.data), "--log", str(self.log), "--timeout", f"{seconds:.0f}")
        try:
            run(command("pg_ctl", "start", "--silent", "--wait", *arguments), self.place, clean())
        except Refused:
            if not self._settled():
                raise self._failure(before, port) from None

    def wait_until_paused(self, database: Database, seconds: float = RECOVERY_SECONDS) -> None:
        """Wait until recovery has paused. Raises Refused with the server's last words when it ended or did not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.running():
                raise Refused(f"the server in {self.data} ended before it was at its point: {last_words(self.log)}")
            with suppress(Unavailable), self.asked(database) as asked:
                if not asked.value("SELECT pg_is_in_recovery()"):
                    raise Refused(f"the server in {self.data} has left recovery and is no way back: drop it")
                if asked.value("SELECT pg_get_wal_replay_pause_state()") == "paused":
                    return
            time.sleep(POLL_SECONDS)
        raise Refused(f"the server in {self.data} was not at its point within {seconds:g} s: {last_words(self.log)}")

    def stop(self) -> None:
        """Disconnect everybody and stop it; one that is dead is only waited for. Raises Unavailable when it stays."""
        if self.running():
            arguments = ("--pgdata", str(self.data), "--mode", "fast", "--timeout", f"{STOP_SECONDS:.0f}")
            with suppress(Refused):  # it may have ended by itself; what counts is whether it is gone
                run(command("pg_ctl", "stop", "--silent", "--wait", *arguments), self.place, clean())
        if self._settled():
            raise Unavailable(f"the server in {self.data} did not stop within {STOP_SECONDS:g} s")

    def promote(self, database: Database) -> None:
        """End recovery: it takes writes, on a timeline of its own. Raises Unavailable when the disk is full."""
        try:
            end_recovery(database, self.data, self.way, STOP_SECONDS)
        except Refused:
            self.judge_room()
            raise

    def judge_room(self) -> None:
        """Raises Unavailable when it could not write as much as its first segment: nor could it say so in its log."""
        if shutil.disk_usage(self.place).free < _SEGMENT:
            raise Unavailable(f"the disk of {self.data} is full: make room there")

    def reload(self) -> None:
        """Have it read its configuration again."""
        run(command("pg_ctl", "reload", "--silent", "--pgdata", str(self.data)), self.place, clean())

    def branched(self) -> tuple[int, str]:
        """From which timeline and where it branched off when it was promoted, as its history file says."""
        history = max((self.data / "pg_wal").glob("*.history"))
        timeline, lsn = history.read_text().strip().splitlines()[-1].split()[:2]
        return int(timeline), lsn

    def _lock(self) -> list[str]:
        with suppress(OSError):
            return (self.data / "postmaster.pid").read_text().splitlines()
        return []

    def _clear(self, port: int) -> None:
        """Take away what a killed server left behind."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        try:
            self.sockets.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self.sockets} cannot be made: {error.strerror}") from None
        self.sockets.chmod(0o700)
        give(self.sockets)
        for left in self.sockets.glob(f".s.PGSQL.{port}*"):
            left.unlink(missing_ok=True)

    def _settled(self) -> bool:
        """Wait until what is starting or ending has done so; answers whether it runs. Raises Unavailable."""
        deadline = time.monotonic() + STOP_SECONDS
        while not (running := self.running()) and (processes := self.processes()):
            if time.monotonic() > deadline:
                raise Unavailable(f"processes of the server in {self.data} neither serve nor end: {processes}")
            time.sleep(POLL_SECONDS)
        return running

    def _failure(self, since: int, port: int) -> Refused | Unavailable:
        said = last_words(self.log, since)
        written = self.log.read_bytes()[since:].decode(errors="replace") if self.log.exists() else ""
        if any(sign in written for sign in _TAKEN):
            return Refused(f"the server in {self.data} cannot listen on port {port}: {said}; see who holds it")
        if "No space left on device" in written:
            return Unavailable(f"the disk of {self.data} is full: make room there")
        return Refused(f"the server in {self.data} did not start: {said}")


def control_of(data: Path) -> dict[str, str]:
    """The control file of a data directory, by the names that pg_controldata gives."""
    printed = run(command("pg_controldata", str(data)), Path("/"), clean())
    pairs = (line.partition(":") for line in printed.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def accepts(host: str, port: int) -> bool:
    """Answer whether anybody listens there."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def remove(place: Path) -> None:
    """Remove a directory: out of sight by one rename first, for half a server must not be taken for one."""
    gone = place if place.suffix == ".gone" else place.with_name(f".{place.name.strip('.')}.gone")
    with suppress(FileNotFoundError):
        if gone != place:
            shutil.rmtree(gone, ignore_errors=True)
            place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
