"""A PostgreSQL that is started for a while beside the server, that nobody else reaches, and that dies with us.

It listens on a socket in a directory of its own and on no port, archives nothing (it would write a timeline into the
real archive), subscribes to nothing (it would take the place of the real subscriber), and reads no configuration but
the one given here.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from recovery.errors import Refused
from recovery.side_settings import AT_LEAST
from tasks.postgres.programs import clean, command, give

STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
_CONFIGURATION = {
    "postgresql.conf": "",
    "pg_hba.conf": "local all all trust\n",  # the directory of its socket lets nobody else in
    "pg_ident.conf": "",
}


def way_to(socket: Path) -> dict[str, str]:
    """How `session` gets to a server by its socket."""
    return {"host": str(socket), "port": "5432", "sslmode": "disable"}


def begin(
    place: Path, socket: Path, control: Mapping[str, str], settings: Mapping[str, object]
) -> "subprocess.Popen[bytes]":
    """Start a server on `<place>/data`; its log is `<place>/log`. `control` is what pg_controldata says of it."""
    for name, text in _CONFIGURATION.items():
        (place / name).write_text(text)
    given = {
        "config_file": place / "postgresql.conf",
        "hba_file": place / "pg_hba.conf",
        "ident_file": place / "pg_ident.conf",
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": socket,
        "archive_mode": "off",
        "max_logical_replication_workers": "0",
        "recovery_target_timeline": "current",
        "fsync": "off",
        "dynamic_shared_memory_type": "mmap",  # in its own directory, so that it leaves nothing elsewhere
        "shared_buffers": "64MB",
        "log_timezone": "UTC",
        "timezone": "UTC",
        **{setting: control[known] for setting, known in AT_LEAST.items() if known in control},
        **settings,
    }
    argv = command("postgres", "-D", str(place / "data"), *(f"--{name}={value}" for name, value in given.items()))
    with (place / "log").open("wb") as log:
        return subprocess.Popen(
            argv, cwd=place, env=clean(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop it at once: it is thrown away."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(log: Path, since: int = 0) -> str:
    """What a server's log says of its end, from a byte on: the fatal lines, else the last one."""
    with suppress(FileNotFoundError):
        lines = log.read_bytes()[since:].decode(errors="replace").strip().splitlines()
        fatal = [
            line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line and "starting up" not in line
        ]
        return "; ".join(dict.fromkeys(fatal)) or (lines[-1] if lines else "it said nothing")
    return "it said nothing"


def closed_directory(place: Path) -> Path:
    """A short directory that only the server's user enters: the path of a socket may have 107 bytes."""
    digest = hashlib.sha256(str(place).encode()).hexdigest()[:12]
    directory = Path(tempfile.gettempdir(), f"ripcord-{os.geteuid()}-{digest}")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        raise Refused(f"{directory} belongs to somebody else: remove it") from None
    give(directory)
    return directory
