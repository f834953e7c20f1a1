"""Signed commits and tags, held against plain git."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.histories.remote import Remote, attempt, git
from tests.histories.story import Story


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Two fine releases on main, not published yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    return Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()


@pytest.mark.parametrize("kind", ["ssh", "openpgp", "openpgp at home"])
def test_22_signatures(story: Story, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit and tag carry a signature that plain git accepts."""
    program = "ssh-keygen" if kind == "ssh" else "gpg"
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    key, config = SIGNERS[kind](tmp_path, monkeypatch)
    monkeypatch.setenv("RIPCORD_SIGNING_KEY", key)
    monkeypatch.setenv("RIPCORD_SIGNING_FORMAT", kind.split()[0])
    story.faulty()
    story.publish()
    end = story.take_out()

    assert end.pushed, end
    seen = story.remote.clone(tmp_path / "seen")
    env = {"GNUPGHOME": os.environ.get("GNUPGHOME", str(Path.home() / ".gnupg"))}
    for command in ("verify-commit", "verify-tag"):
        git(seen, *config, command, "v1.2.1" if command == "verify-tag" else end.pushed.commit, env=env)
    done = attempt(seen, *config, "verify-commit", "v1.2.0^{commit}", env=env)
    assert done.returncode != 0


def ssh_signer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A key, and how git is told whom to believe."""
    key, allowed = directory / "key", directory / "allowed"
    monkeypatch.setenv("RIPCORD_AUTHOR_EMAIL", "ripcord@acme.example")
    run(directory, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    allowed.write_text(f"ripcord@acme.example {key.with_suffix('.pub').read_text()}")
    return str(key), ["-c", f"gpg.ssh.allowedSignersFile={allowed}"]


def gpg_signer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A key in a keyring of its own."""
    home = Path(tempfile.mkdtemp(prefix="gpg"))  # a socket's path is short
    monkeypatch.setenv("GNUPGHOME", str(home))
    run(directory, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "ripcord@acme.example")
    return "ripcord@acme.example", []


def gpg_signer_at_home(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A key where gpg looks by itself."""
    monkeypatch.delenv("GNUPGHOME", raising=False)
    monkeypatch.setenv("HOME", tempfile.mkdtemp(prefix="gpg"))
    (Path.home() / ".gnupg").mkdir(mode=0o700)
    run(directory, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "ripcord@acme.example")
    return "ripcord@acme.example", []


def run(directory: Path, *command: str) -> None:
    """Run a program, which must succeed."""
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)


SIGNERS: dict[str, Callable[[Path, pytest.MonkeyPatch], tuple[str, list[str]]]] = {
    "ssh": ssh_signer,
    "openpgp": gpg_signer,
    "openpgp at home": gpg_signer_at_home,
}
