"""Keep what was fetched of a repository for the next copy of it: objects only, each pack checked before it is lent.

A kept copy is a directory that never changes: another takes its place by one rename, so that whoever reads has the
old one or the new one whole. It is thrown away when anything in it is not as it was written, and after many fetches.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST_PACKS = 60  # nearly every fetch adds one, and git looks into each of them for every object
UNUSED_SECONDS = 30 * 24 * 3600
LEFT_SECONDS = 24 * 3600  # after which what a killed process left half made is nobody's any more
TOLD = "extent.json"
CHUNK = 1 << 20  # bytes read at once: a pack may be larger than our memory
_PARTS = {".pack", ".idx", ".promisor", ".rev"}
_CHECKED = {".pack", ".idx", ".rev"}  # gitformat-pack(5): they end with the SHA-1 of all that comes before
_SUM = hashlib.sha1(usedforsecurity=False).digest_size


@dataclass(frozen=True, slots=True)
class Extent:
    """What a copy holds: the objects of refs that it fetched, and where its history ends, if it does."""

    fetched: tuple[str, ...] = ()
    shallow: tuple[str, ...] = ()  # commits whose parents it has not
    since: str = ""  # the commit whose history was left out

    @classmethod
    def read(cls, told: dict[str, Any]) -> "Extent":
        """Read what `asdict` gave. Raises KeyError where it is something else."""
        return cls(tuple(told["fetched"]), tuple(told["shallow"]), str(told["since"]))


@dataclass(frozen=True, slots=True)
class Kept:
    """The kept copy of one repository; `home` is the directory of all."""

    home: Path
    url: str

    def lend(self, bare: Path) -> Extent | None:
        """Put what is kept into a new bare repository; None where nothing is kept, or nothing sound."""
        if not self._is_ours():
            return None
        try:
            kept = self._current.resolve(strict=True)
            written = (kept / TOLD).read_bytes()
            told = json.loads(written)
            parts = list(_parts(kept))
            if kept.name != self._name_of(written) or [part.name for part in parts] != told["parts"]:
                raise ValueError("not what was written")
            for part in parts:
                _check(part)
                _put(part, bare / "objects" / "pack" / part.name)
            os.utime(kept)
            return Extent.read(told["extent"])
        except FileNotFoundError:  # taken away by another process meanwhile
            _clear(bare)
        except (OSError, ValueError, KeyError, TypeError):
            self.forget()
            _clear(bare)
        return None

    def keep(self, bare: Path, extent: Extent) -> None:
        """Keep what a repository has fetched in place of what was kept before; nothing where the disk is full."""
        parts = list(_parts(bare / "objects" / "pack"))
        if sum(part.suffix == ".pack" for part in parts) > MOST_PACKS:
            self.forget()
            return
        told = {"extent": asdict(extent), "parts": [part.name for part in parts]}
        written = json.dumps(told, sort_keys=True).encode()
        with suppress(OSError):
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._is_ours() and self._current.resolve().name != self._name_of(written):
                self._replace(parts, written)
                self._sweep()

    @property
    def extent(self) -> Extent:
        """What is kept, as it is told. Raises OSError where nothing is."""
        return Extent.read(json.loads((self._current / TOLD).read_bytes())["extent"])

    def forget(self) -> None:
        """Throw the kept copy away."""
        with suppress(OSError):
            kept = self._current.resolve()
            self._current.unlink()
            shutil.rmtree(kept, ignore_errors=True)

    def _is_ours(self) -> bool:
        """Answer whether nobody else can write there: who can, decides what is pushed to main."""
        try:
            at = self.home.stat()
        except OSError:
            return False
        return at.st_uid == os.geteuid() and not at.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    @property
    def _key(self) -> str:
        return hashlib.sha256(self.url.encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def _current(self) -> Path:
        return self.home / f"{self._key}.current"

    def _name_of(self, written: bytes) -> str:
        return f"{self._key}.{hashlib.sha256(written).hexdigest()[:32]}"

    def _replace(self, parts: list[Path], written: bytes) -> None:
        made = Path(tempfile.mkdtemp(prefix="making.", dir=self.home))
        try:
            for part in parts:
                _put(part, made / part.name)
            (made / TOLD).write_bytes(written)
            whole = self.home / self._name_of(written)
            if not whole.exists():
                made.rename(whole)
            pointer = self.home / f"{made.name}.pointer"
            pointer.symlink_to(whole.name)
            pointer.replace(self._current)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what this copy replaced, what killed processes left, and copies that nobody used for long."""
        now, current = time.time(), self._current.resolve()
        for each in self.home.iterdir():
            age = now - each.lstat().st_mtime
            replaced = each.name.startswith(f"{self._key}.") and each not in (current, self._current)
            if each.is_dir() and not each.is_symlink():
                if replaced or age > (LEFT_SECONDS if each.name.startswith("making.") else UNUSED_SECONDS):
                    shutil.rmtree(each, ignore_errors=True)
            elif not each.exists():
                each.unlink(missing_ok=True)


def _parts(directory: Path) -> Iterator[Path]:
    yield from sorted(each for each in directory.iterdir() if each.name.startswith("pack-") and each.suffix in _PARTS)


def _clear(bare: Path) -> None:
    """Leave nothing of a copy that was lent in part: an index whose pack is missing is worse than neither."""
    for part in _parts(bare / "objects" / "pack"):
        part.unlink()


def _check(part: Path) -> None:
    """Raise ValueError where a file of a pack is not as git wrote it: a flipped bit must never reach a tree."""
    if part.suffix not in _CHECKED:
        return
    left = part.stat().st_size - _SUM
    digest = hashlib.sha1(usedforsecurity=False)
    with part.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        if left or digest.digest() != file.read():
            raise ValueError(f"{part} is damaged")


def _put(part: Path, there: Path) -> None:
    """A second name for a file that never changes; a copy where the other place is on another file system."""
    try:
        os.link(part, there)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(part, there)
