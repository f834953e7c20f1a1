"""The way in: what a machine lacks is one sentence, before anything is written."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infra.lab import compiler
from infra.lab.process import LabError

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("git", "make", "python3")
NO_PYTHON = "Python 3.11 or newer with its venv module is missing: install it (python3 and python3-venv)"


def _program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture(name="programs")
def _programs(tmp_path: Path) -> Path:
    """A PATH with nothing but what is needed."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "dirname", "mkdir", *TOOLS):
        (directory / name).symlink_to(shutil.which(name) or name)
    return directory


@pytest.mark.parametrize(
    ("tool", "instead", "sentence"),
    [
        ("git", None, "git is missing: install it (any version)"),
        ("make", None, "make is missing: install it (any version)"),
        ("python3", None, NO_PYTHON),
        ("python3", "exit 1", NO_PYTHON),
    ],
)
def test_what_a_machine_lacks_is_one_sentence(programs: Path, tool: str, instead: str | None, sentence: str) -> None:
    """It says what, which version and the way out; a Python that is too old is as good as none."""
    (programs / tool).unlink()
    if instead:
        _program(programs, tool, instead)
    cache = programs.parent / "cache"

    env = {"PATH": str(programs), "HOME": str(programs), "RIPCORD_CACHE": str(cache)}
    done = subprocess.run([ROOT / "infra/bootstrap"], env=env, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, f"bootstrap: {sentence}\n")
    assert not cache.exists()


def test_go_is_found_where_its_archive_is_unpacked(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Go that is not on PATH will do, and one on PATH that is too old is passed over for it."""
    elsewhere = tmp_path / "go"
    elsewhere.mkdir()
    _program(elsewhere, "go", "echo go version go1.27rc1 linux/amd64")
    monkeypatch.setattr(compiler, "PLACES", ("go", str(elsewhere / "go")))
    monkeypatch.setenv("PATH", str(programs))

    alone = compiler.find_go()
    _program(programs, "go", "echo go version go1.25.7 linux/amd64")

    assert (alone, compiler.find_go()) == (str(elsewhere / "go"),) * 2


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (None, r"Go 1\.26 or newer is missing, on PATH and in /usr/local/go/bin: install it \(go.dev/dl\)"),
        ("go1.25.7", r"Go 1\.26 or newer is needed, and \S+/go is 1\.25: install it \(go.dev/dl\)"),
    ],
)
def test_a_go_that_is_missing_or_old_is_one_sentence(
    programs: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, sentence: str
) -> None:
    """Both name the version that is needed, where was looked, and the way out."""
    monkeypatch.setattr(compiler, "PLACES", ("go",))
    monkeypatch.setenv("PATH", str(programs))
    if version:
        _program(programs, "go", f"echo go version {version} linux/amd64")

    with pytest.raises(LabError, match=f"^{sentence}$"):
        compiler.find_go()
