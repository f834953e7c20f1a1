"""An empty bare repository that knows what a remote lists, with our token and no configuration but ours."""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from functools import cache
from pathlib import Path

from prefect.runtime import flow_run

from tasks.git.logins import is_moved, keyring, login_to, moved_to
from tasks.git.plumbing import CALL_SECONDS, Repository, failure, rows
from tasks.settings import read_settings

# Remote, run; when, where that was, what it listed.
_seen: dict[tuple[str, str], tuple[float, str, dict[str, str], dict[str, str]]] = {}
MOMENT = 3.0  # seconds
PREFIX = "ripcord-git-"
LEFT_SECONDS = 24 * 3600  # after which no step of ours is still at work
_LIST = ("ls-remote", "--heads", "--tags", "origin")
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
    # A transfer takes as long as it takes, but a host without any sign of life is given up.
    "GIT_HTTP_LOW_SPEED_LIMIT": "1",
    "GIT_HTTP_LOW_SPEED_TIME": str(round(CALL_SECONDS)),
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
    url = f"{read_settings().github_git_url.rstrip('/')}/{repository}.git"
    _sweep()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))

    def empty(there: str) -> Repository:
        path = make_bare(Path(tempfile.mkdtemp(dir=directory)) / "bare", there)
        login = login_to(there, repository)
        return Repository(path, there, env, repository, login=login, fresh=when is When.FRESH)

    try:
        askpass = directory / "askpass"
        askpass.write_text(_ASKPASS)
        askpass.chmod(0o700)
        env = _PUBLIC | {"GIT_ASKPASS": str(askpass), "HOME": str(directory)} | keyring()
        run = flow_run.id  # None outside of runs, where a person may push something between two calls
        at, there, listed, peeled = _seen.get((url, run or ""), (-math.inf, url, {}, {}))
        bare = empty(there)
        if when is not When.A_MOMENT_AGO or run is None or time.monotonic() - at > MOMENT:
            bare, listed, peeled = _looked(empty, url, repository)
            _remember((url, run or ""), bare.url, listed, peeled)
        yield replace(bare, listed=listed, peeled=peeled)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def forget(url: str) -> None:
    """Believe no listing of a remote that was read before now: we are about to change it."""
    for key in [each for each, (_, there, _, _) in list(_seen.items()) if there == url]:
        _seen.pop(key, None)


@cache
def _sweep() -> None:
    """Remove what killed processes have left of their copies, once in a process."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            left = each.lstat()
            if left.st_uid == os.geteuid() and time.time() - left.st_mtime > LEFT_SECONDS:
                shutil.rmtree(each)


def _remember(key: tuple[str, str], there: str, listed: dict[str, str], peeled: dict[str, str]) -> None:
    now = time.monotonic()
    for old in [each for each, (at, *_) in list(_seen.items()) if now - at > MOMENT]:
        _seen.pop(old, None)
    _seen[key] = (now, there, listed, peeled)


def make_bare(path: Path, url: str) -> Path:
    """What `git init --bare` makes, without a process for it, and the remote."""
    for each in ("objects/pack", "objects/info", "refs", "info"):
        (path / each).mkdir(parents=True)
    (path / "HEAD").write_text("ref: refs/heads/none\n")
    escaped = url.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    (path / "config").write_text(_CONFIG.format(escaped))
    return path


def _looked(
    empty: Callable[[str], Repository], url: str, repository: str
) -> tuple[Repository, dict[str, str], dict[str, str]]:
    """What the remote lists, and where: under its new address, if it was renamed."""
    bare = empty(url)
    status, out, err = bare.answer(*_LIST)
    if status != 0 and is_moved(err):
        bare = empty(moved_to(url, repository))
        status, out, err = bare.answer(*_LIST)
    if status != 0:
        raise failure(bare.url, "fetch", status, err)
    pairs = [(name, each) for each, _, name in (line.partition("\t") for line in rows(out))]
    peeled = {name.removesuffix("^{}"): each for name, each in pairs if name.endswith("^{}")}
    return bare, {name: each for name, each in pairs if not name.endswith("^{}")}, peeled
