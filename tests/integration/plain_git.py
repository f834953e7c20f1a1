"""Plain git and plain HTTP: what the tests of the Git host trust instead of its own code."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import httpx

from infra.lab.githost import GitHost
from infra.lab.github.bare import clean_environment

PERSON = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@lab", "GIT_COMMITTER_NAME": "Ada"}
PERSON |= {"GIT_COMMITTER_EMAIL": "ada@lab"}


def try_git(*args: str, at: Path, token: str = "", date: str = "") -> subprocess.CompletedProcess[str]:
    """Run git as a user with this token, and say how it went."""
    basic = base64.b64encode(f"anybody:{token}".encode()).decode()
    header = {"GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}"}
    env = clean_environment() | PERSON | ({"GIT_CONFIG_COUNT": "1", **header} if token else {})
    env |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    return subprocess.run(["git", *args], cwd=at, env=env, capture_output=True, text=True, timeout=60)


def git(*args: str, at: Path, token: str = "", date: str = "") -> str:
    """Run git, which must succeed, and return what it printed."""
    done = try_git(*args, at=at, token=token, date=date)
    assert done.returncode == 0, f"git {args}: {done.stderr}"
    return done.stdout.strip()


def commit(at: Path, name: str, content: str = "x\n", date: str = "") -> str:
    """Commit one file, and return the commit."""
    (at / name).write_text(content)
    git("add", name, at=at)
    git("commit", "--quiet", "-m", f"Write {name}", at=at, date=date)
    return git("rev-parse", "HEAD", at=at)


def new_clone(host: GitHost, repository: str, directory: Path) -> Path:
    """An empty repository on the host, and a directory with one commit on main, not pushed yet."""
    host.create_repository(repository)
    directory.mkdir()
    git("init", "--quiet", "--initial-branch=main", at=directory)
    git("remote", "add", "origin", host.clone_url(repository), at=directory)
    commit(directory, "first")
    return directory


def rest(host: GitHost, token: str, method: str, path: str, **body: Any) -> httpx.Response:
    """One call of the REST API."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{host.api_url}{path}"
    return httpx.request(method, url, headers=headers, timeout=30, trust_env=False, json=body or None)
