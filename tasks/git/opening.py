"""An empty bare repository that knows what a remote lists, with our token and no configuration but ours."""

import base64
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from functools import cache
from pathlib import Path

from prefect.runtime import flow_run

from tasks.git.plumbing import Repository, failure, rows
from tasks.settings import Settings, read_settings

_seen: dict[tuple[str, str], tuple[float, dict[str, str], dict[str, str]]] = {}  # remote, run; when, what it listed
MOMENT = 3.0  # seconds
PREFIX = "ripcord-git-"
LEFT_SECONDS = 24 * 3600  # after which no step of ours is still at work
_ASKPASS = """#!/bin/sh
case "$1" in
  Username*) echo x-access-token ;;
  *) printf '%s\\n' "$RIPCORD_GIT_PASSWORD" ;;
esac
"""
_CONFIG = """[core]
\trepositoryformatversion = 0
\tbare = true
[remote "origin"]
\turl = "{}"
\tpromisor = true
\tpartialclonefilter = blob:none
"""
_PUBLIC = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ALLOW_PROTOCOL": "https:http:file",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}


class When(Enum):
    """Of what time a copy must be."""

    A_MOMENT_AGO = (
        "as this very run saw the remote a moment ago: for what only looks on, as if it had looked a little sooner"
    )
    ASKED = "as the remote lists its refs now"
    FRESH = "all of it read now, and nothing believed that was kept"


@contextmanager
def opened(repository: str, when: When) -> Iterator[Repository]:
    """An empty bare repository that knows what the remote lists."""
    settings = read_settings()
    url = f"{settings.github_git_url.rstrip('/')}/{repository}.git"
    _sweep()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        askpass = directory / "askpass"
        askpass.write_text(_ASKPASS)
        askpass.chmod(0o700)
        env = _PUBLIC | {
            "GIT_ASKPASS": str(askpass),
            "RIPCORD_GIT_PASSWORD": settings.github_token.get_secret_value(),
            "HOME": str(directory),
            **_configuration(settings, url),
        }
        bare = Repository(make_bare(directory / "bare", url), url, env, repository, fresh=when is When.FRESH)
        run = flow_run.id  # None outside of runs, where a person may push something between two calls
        at, listed, peeled = _seen.get((url, run or ""), (-math.inf, {}, {}))
        if when is not When.A_MOMENT_AGO or run is None or time.monotonic() - at > MOMENT:
            listed, peeled = _listed(bare)
            _remember((url, run or ""), listed, peeled)
        yield replace(bare, listed=listed, peeled=peeled)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def forget(url: str) -> None:
    """Believe no listing of a remote that was read before now: we are about to change it."""
    for key in [each for each in list(_seen) if each[0] == url]:
        _seen.pop(key, None)


@cache
def _sweep() -> None:
    """Remove what killed processes have left of their copies, once in a process."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            left = each.lstat()
            if left.st_uid == os.geteuid() and time.time() - left.st_mtime > LEFT_SECONDS:
                shutil.rmtree(each)


def _remember(key: tuple[str, str], listed: dict[str, str], peeled: dict[str, str]) -> None:
    now = time.monotonic()
    for old in [each for each, (at, _, _) in list(_seen.items()) if now - at > MOMENT]:
        _seen.pop(old, None)
    _seen[key] = (now, listed, peeled)


def make_bare(path: Path, url: str) -> Path:
    """What `git init --bare` makes, without a process for it, and the remote."""
    for each in ("objects/pack", "objects/info", "refs", "info"):
        (path / each).mkdir(parents=True)
    (path / "HEAD").write_text("ref: refs/heads/none\n")
    escaped = url.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    (path / "config").write_text(_CONFIG.format(escaped))
    return path


def _listed(bare: Repository) -> tuple[dict[str, str], dict[str, str]]:
    status, out, err = bare.answer("ls-remote", "--heads", "--tags", "origin")
    if status != 0:
        raise failure(bare.url, "fetch", status, err)
    pairs = [(name, each) for each, _, name in (line.partition("\t") for line in rows(out))]
    peeled = {name.removesuffix("^{}"): each for name, each in pairs if name.endswith("^{}")}
    return {name: each for name, each in pairs if not name.endswith("^{}")}, peeled


def _configuration(settings: Settings, url: str) -> dict[str, str]:
    """All the configuration there is: no hooks, no helpers, and the key that signs, if there is one."""
    pairs = {"core.hooksPath": os.devnull, "credential.helper": "", "core.quotePath": "true"}
    pairs["maintenance.auto"] = "false"  # else every fetch starts two processes more, for a repository of seconds
    pairs["pack.window"] = "0"  # else a push first fetches the files of before, only to send differences to them
    token = settings.github_token.get_secret_value()
    if token:  # sent at once: git itself first asks without, is declined, and starts two processes for name and token
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        pairs[f"http.{url}.extraHeader"] = f"Authorization: Basic {basic}"
    if settings.signing_key:
        pairs |= {"user.signingKey": settings.signing_key, "gpg.format": settings.signing_format}
    made = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs.items()):
        made |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return made
