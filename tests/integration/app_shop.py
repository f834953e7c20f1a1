"""A GitHub App on the lab's GitHub, and ripcord set to speak as it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from infra.lab.githost import GitHost
from tasks.credentials import sources

OURS = ("TOKEN", "TOKEN_BLOCK", "APP", "APP_INSTALLATION", "APP_KEY", "APP_KEY_FILE", "APP_KEY_BLOCK")


@dataclass(frozen=True)
class Installed:
    """An App, its installation on `acme`, and the name under which it acts."""

    app: int
    number: int
    login: str


@cache
def pair() -> tuple[str, str]:
    """A private key as GitHub hands it out, and its public half."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def install(
    host: GitHost,
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    slug: str,
    *,
    seconds: float = 3600,
    workflows: bool = True,
) -> Installed:
    """An App on all repositories of acme, whose key lies in a file that ripcord's settings name."""
    app = host.register_app(slug, pair()[1])
    number = host.install_app(app, "acme", seconds=seconds, workflows=workflows)
    key = directory / f"{slug}.pem"
    key.write_text(pair()[0])
    unset(monkeypatch)
    monkeypatch.setenv("RIPCORD_GITHUB_APP", str(app))
    monkeypatch.setenv("RIPCORD_GITHUB_APP_KEY_FILE", str(key))
    return Installed(app, number, f"{slug}[bot]")


def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credential at all, and none remembered."""
    for name in OURS:
        monkeypatch.delenv(f"RIPCORD_GITHUB_{name}", raising=False)
    sources._kept.clear()
