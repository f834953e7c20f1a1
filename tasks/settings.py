"""Where things are and with what rights: the environment, read inside the task that needs it.

No secret is ever a parameter of a flow: Prefect stores parameters as plain text.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from recovery.catalog import Catalogue, Service, parse_catalogue
from recovery.errors import Refused


class Settings(BaseSettings):
    """Read from variables named `RIPCORD_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="RIPCORD_", frozen=True, extra="ignore")

    catalogue: Path = Field(Path("deployments/services.yaml"), description="The service catalogue.")
    prometheus_url: str = Field("http://127.0.0.1:9090", description="Prometheus, the record of what happened.")
    alertmanager_url: str | None = Field(None, description="Alertmanager, only looked at by `ripcord check`.")
    github_api_url: str = Field("https://api.github.com", description="REST API of the Git host.")
    github_git_url: str = Field("https://github.com", description="Where repositories are fetched from and pushed to.")
    github_token: SecretStr = Field(SecretStr(""), description="Fine-grained token.")
    github_token_block: str = Field("", description="Prefect Secret block that holds the token, instead of it.")
    github_app: str = Field("", description="Id or client id of the GitHub App that speaks instead of a token.")
    github_app_installation: int | None = Field(
        None, description="Its installation; without it, the one that each repository belongs to."
    )
    github_app_key: SecretStr = Field(SecretStr(""), description="The App's private key, the PEM text itself.")
    github_app_key_file: Path | None = Field(None, description="The file of that key, instead of its text.")
    github_app_key_block: str = Field("", description="Prefect Secret block that holds that key, instead of both.")
    kubeconfig: Path | None = Field(None, description="Cluster access; without it the pod's own service account.")
    lock_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL whose advisory locks fence two runs of one incident."
    )
    receiver_token: SecretStr = Field(SecretStr(""), description="Bearer token that alert sources must present.")
    receiver_port: int = Field(8790, description="Port of the alert receiver.")
    receiver_host: str = Field("127.0.0.1", description="Address the alert receiver listens on.")
    archive: Path = Field(Path("archive"), description="Directory of post-mortems and messages, shared by all hosts.")
    notify_urls: SecretStr = Field(
        SecretStr(""),
        description="Apprise addresses of the stakeholders, separated by blanks (they carry secrets).",
    )
    git_cache: Path | None = Field(
        None, description="Directory that keeps fetched commits for the next time; without it, ~/.cache/ripcord/git."
    )
    author_name: str = Field("ripcord", description="Author of revert commits and tags.")
    author_email: str = Field("ripcord@localhost", description="Author's address of revert commits and tags.")
    signing_key: str = Field(
        "", description="Path of the ssh key, or id of the OpenPGP key, that signs commits and tags; empty: none."
    )
    signing_format: Literal["ssh", "openpgp"] = Field("ssh", description="What kind of key that is.")
    work_pool: str = Field("ripcord", description="Prefect work pool of all flows.")
    postgres_bin: Path | None = Field(None, description="Directory of PostgreSQL's programs; without it, PATH.")
    postgres_user: str = Field(
        "", description="Ordinary user that PostgreSQL's programs run as when ripcord itself is root."
    )
    patience: float = Field(1.0, gt=0, description="Factor on the waits between retries; tests shorten them.")
    request_timeout: float = Field(10.0, gt=0, description="Seconds that one request to another system may take.")


def read_settings() -> Settings:
    """Read the environment. Raises Refused naming the variable and what is wrong with it."""
    prefix = str(Settings.model_config["env_prefix"])
    return _read(frozenset(pair for pair in os.environ.items() if pair[0].upper().startswith(prefix)))


@lru_cache(maxsize=8)
def _read(_: frozenset[tuple[str, str]]) -> Settings:
    """Once for what stands there: each step asks many times, and reading takes milliseconds."""
    try:
        return Settings()
    except ValidationError as error:
        mistakes = "; ".join(_mistake(dict(each)) for each in error.errors())
        raise Refused(f"settings: {mistakes}") from None


def can_sign() -> bool:
    """Answer whether commits and tags can be signed."""
    return bool(read_settings().signing_key)


def git_cache() -> Path | None:
    """Where fetched commits are kept between two steps; None without a home of our own, and nothing is lost then."""
    home = os.environ.get("HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or (home and f"{home}/.cache")
    return read_settings().git_cache or (Path(cache) / "ripcord" / "git" if cache else None)


def read_catalogue() -> Catalogue:
    """Read the service catalogue. Raises Refused when it is missing or has a mistake."""
    path = read_settings().catalogue
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"catalogue {path} cannot be read ({error.strerror}): write it or set RIPCORD_CATALOGUE"
        ) from None
    return parse_catalogue(text, str(path))


def read_service(name: str) -> Service:
    """Look one service up in the catalogue. Raises Refused, naming those there are."""
    return read_catalogue().service(name)


def _mistake(error: dict[str, Any]) -> str:
    return f"RIPCORD_{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
