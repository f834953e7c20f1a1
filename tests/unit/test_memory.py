"""The place in memory that the tests work in, on directories of their own."""

import os
import tempfile
from pathlib import Path

import pytest

from tests import memory


@pytest.fixture(name="shm", autouse=True)
def _shm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A memory of our own; what the test sets is put back."""
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "NEEDED", 1)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    monkeypatch.delenv("TMPDIR", raising=False)
    return tmp_path


def test_temporary_files_go_to_memory(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and, by TMPDIR, our children's; servers that run as somebody else may write there, too."""
    monkeypatch.setenv("TMPDIR", "to be put back")
    del os.environ["TMPDIR"]

    room = memory.move_in()

    assert room is not None
    assert room.parent == shm
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(room)
    assert room.stat().st_mode & 0o7777 == 0o1777
    memory.move_out(room)
    assert not list(shm.iterdir())


def test_a_place_that_was_chosen_is_kept(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets TMPDIR knows why; the processes of one run, too, find it set."""
    monkeypatch.setenv("TMPDIR", "/of/our/choice")

    assert memory.move_in() is None
    assert not list(shm.iterdir())


def test_little_memory_is_left_alone(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than a run takes, and where there is no such directory, the usual place serves."""
    monkeypatch.setattr(memory, "NEEDED", 2**60)
    assert memory.move_in() is None

    monkeypatch.setattr(memory, "NEEDED", 1)
    monkeypatch.setattr(memory, "MEMORY", shm / "none")
    assert memory.move_in() is None


def test_what_a_killed_run_left_is_removed_and_no_other(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on beside this one keeps its files."""
    monkeypatch.setenv("TMPDIR", "to be put back")
    del os.environ["TMPDIR"]
    dead, living, other = (shm / name for name in ("ripcord-4194305", f"ripcord-{os.getppid()}", "ripcord-of-mine"))
    for each in (dead, living, other):
        each.mkdir()
        (each / "file").touch()

    room = memory.move_in()

    assert sorted(shm.iterdir()) == sorted([living, other, room or shm])


def test_what_cannot_be_removed_is_not_used(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is taken, as by somebody else's directory or link: the usual place serves."""
    monkeypatch.setattr(memory, "move_out", lambda room: None)
    taken = shm / f"ripcord-{os.getpid()}"
    taken.symlink_to(shm)

    assert memory.move_in() is None
    assert taken.is_symlink()
