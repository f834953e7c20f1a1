"""Which credential there is, kept as long as it is good."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from recovery.errors import Refused
from tasks.credentials.apps import App, installed, mint
from tasks.credentials.blocks import read_block
from tasks.settings import Settings, read_settings

BLOCK_SECONDS = 60.0  # that a Secret block's value is believed: whoever changes it waits no longer
EARLY_SECONDS = 300.0  # before its end that a token is renewed: what was begun with it must come to its own end
EARLY_PART = 4  # of a token that lives shorter; its last quarter

_lock = threading.RLock()
_kept: dict[tuple[str, ...], "_Kept"] = {}


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token, until when by the clock of this process, and what it may, where that was told."""

    token: str = field(repr=False)
    until: float
    permissions: Mapping[str, str] | None = None


def token_for(repository: str) -> str:
    """The token of this moment; empty where none is configured. Never put it into a message.

    Raises Refused naming what is wrong with the configuration, Unavailable when GitHub or Prefect does not answer.
    """
    return _current(read_settings(), repository).token


def permissions_for(repository: str) -> Mapping[str, str] | None:
    """What the App's installation grants, as GitHub says; None where a plain token is used."""
    return _current(read_settings(), repository).permissions


def declined(repository: str, token: str) -> bool:
    """The Git host does not know this token: believe it no more; answers whether there is another one by now."""
    with _lock:
        for key in [key for key, kept in _kept.items() if kept.token == token]:
            _kept.pop(key)
    return token_for(repository) != token


def is_app() -> bool:
    """Whether we speak as a GitHub App, whose tokens look like those of GitHub Actions."""
    return bool(read_settings().github_app)


def named() -> str:
    """What a person must look at when the Git host does not let us."""
    settings = read_settings()
    if settings.github_app:
        return f"the GitHub App {settings.github_app}"
    return f"the Secret block {settings.github_token_block}" if settings.github_token_block else "RIPCORD_GITHUB_TOKEN"


def holder() -> str:
    """Who is to be given a permission, in a sentence about one that is missing."""
    return named() if is_app() else "the token"


def way_to_another() -> str:
    """What a person does when the Git host does not know the token any more."""
    settings = read_settings()
    if settings.github_app:
        return f"look whether {named()} is installed still and not suspended"
    return f"put another one into {named()}" if settings.github_token_block else f"set {named()}"


def _current(settings: Settings, repository: str) -> _Kept:
    token = settings.github_token.get_secret_value()
    named = [name for name, given in _sources(settings, token).items() if given]
    if len(named) > 1:
        raise Refused(f"{' and '.join(named)} are set, and only one of them can speak to GitHub: unset the others")
    if settings.github_app:
        return _of_app(settings, repository)
    return _of_block(settings.github_token_block) if settings.github_token_block else _Kept(token, 0)


def _sources(settings: Settings, token: str) -> dict[str, str]:
    return {
        "RIPCORD_GITHUB_TOKEN": token,
        "RIPCORD_GITHUB_TOKEN_BLOCK": settings.github_token_block,
        "RIPCORD_GITHUB_APP": settings.github_app,
    }


def _of_block(name: str) -> _Kept:
    key = ("block", name)
    with _lock:
        kept = _kept.get(key)
        if kept is None or time.monotonic() >= kept.until:
            kept = _kept[key] = _Kept(read_block(name), time.monotonic() + BLOCK_SECONDS)
        return kept


def _of_app(settings: Settings, repository: str) -> _Kept:
    """One token for each installation: of the organisation that the repository belongs to, or the one that is named."""
    app = App(settings.github_app, settings.github_api_url, settings.request_timeout, lambda: _key_of(settings))
    told = settings.github_app_installation
    key = (settings.github_api_url, settings.github_app, str(told or repository.partition("/")[0].lower()))
    with _lock:
        kept = _kept.get(key)
        if kept is None or time.monotonic() >= kept.until:
            begun = time.monotonic()
            made = mint(app, told or installed(app, repository), repository)
            early = min(EARLY_SECONDS, made.seconds / EARLY_PART)
            kept = _kept[key] = _Kept(made.token, begun + made.seconds - early, made.permissions)
        return kept


def _key_of(settings: Settings) -> str:
    """The App's private key, from where the settings say."""
    key, file, block = (
        settings.github_app_key.get_secret_value(),
        settings.github_app_key_file,
        settings.github_app_key_block,
    )
    given = {"RIPCORD_GITHUB_APP_KEY": key, "RIPCORD_GITHUB_APP_KEY_FILE": file, "RIPCORD_GITHUB_APP_KEY_BLOCK": block}
    named = [name for name, value in given.items() if value]
    if len(named) != 1:
        found = f"{' and '.join(named)} are set" if named else "none is set"
        raise Refused(
            f"the private key of the GitHub App {settings.github_app} comes from one place, {found}: set one of "
            f"{', '.join(given)}"
        )
    if file is None:
        return (key or read_block(block)).replace("\\n", "\n")  # in one line, as environments often have it
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"RIPCORD_GITHUB_APP_KEY_FILE {file} cannot be read ({error.__class__.__name__})") from None
