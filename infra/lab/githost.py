"""The team's Git host: a GitHub of its own on 127.0.0.1 (`infra/lab/github/`), killable like a real one."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from infra.lab.github.answers import now
from infra.lab.github.application import application, memory, repositories
from infra.lab.github.bare import Bare
from infra.lab.github.desk import Desk
from infra.lab.github.store import Store
from infra.lab.github_description import OBJECTIONS, find_description
from infra.lab.process import Process, accepts, free_port, run, wait_until
from infra.lab.restart import Restartable

ROOT = Path(__file__).parents[2]
EVENTS = ("push", "release", "deployment_status")
_CONFIGURATION = {
    "http.receivepack": "true",
    "http.getanyfile": "false",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "receive.autogc": "false",
    "gc.auto": "0",
}


class GitHost(Restartable, Desk):
    """A running Git host. Repositories, users and webhooks are made here; all else by HTTP or at the desk."""

    def __init__(self, directory: Path, port: int) -> None:
        """Prepare; `git_host` starts it."""
        super().__init__(self._serve)
        self.directory = directory
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.api_url = f"{self.url}/api/v3"
        repositories(directory).mkdir(parents=True, exist_ok=True)
        self._store = Store(memory(directory))

    def close(self) -> None:
        """End the server; everything it knew stays in the directory."""
        self.stop()
        self._store.close()

    def create_repository(self, full_name: str) -> None:
        """Make an empty `owner/name` with the default branch `main`; one that is there stays as it is."""
        if self._store.first("repository", full_name=full_name):
            return
        path = self.bare(full_name)
        path.mkdir(parents=True)
        Bare(path).git("init", "--quiet", "--bare", "--initial-branch=main")
        for key, value in _CONFIGURATION.items():
            Bare(path).git("config", key, value)
        self._store.add("repository", full_name=full_name, created_at=now())

    def bare(self, full_name: str) -> Path:
        """The bare repository on the disk, for an oracle that trusts no HTTP."""
        return repositories(self.directory) / f"{full_name}.git"

    def clone_url(self, full_name: str) -> str:
        """The address for git; the token travels as the password, with any user name."""
        return f"{self.url}/{full_name}.git"

    def token(self, user: str, *, write: bool = True, workflows: bool = True) -> str:
        """The token of a user, who is made on first sight; `write=False` then makes a reader."""
        return self._new_user(user, "ghp", write=write, workflows=workflows, account="User")

    def add_webhook(self, full_name: str, url: str, secret: str, events: Sequence[str] = EVENTS) -> None:
        """Have events of a repository sent to `url`, signed with `secret`; a second time replaces the secret."""
        hook = {"url": url, "secret": secret, "events": list(events)}
        if known := self._store.first("webhook", full_name, url=url):
            self._store.change(known, **hook)
        else:
            self._store.add("webhook", full_name, **hook)

    def break_calls(self, *faults: dict[str, Any]) -> None:
        """Make the next calls fail, in place of the faults set before; see `github/faults.py`."""
        httpx.put(f"{self.url}/_lab/faults", json=list(faults), trust_env=False).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        """Every call so far: method, path, status, user, and how many bytes the answer's body had."""
        return list(self._store.all("request"))

    def deliveries(self) -> list[dict[str, Any]]:
        """Every webhook event so far: event, guid, attempts, delivered."""
        return list(self._store.all("delivery"))

    @contextmanager
    def _serve(self) -> Iterator[Process]:
        if os.environ.get(OBJECTIONS):
            find_description()  # here, where a failure is a sentence and the server is not waited for
        argv = [sys.executable, "-m", "infra.lab.githost", str(self.directory), str(self.port)]
        with run("githost", argv, directory=self.directory, cwd=ROOT) as process:
            wait_until(lambda: accepts(self.port), what="the Git host", seconds=30, process=process)
            yield process


@contextmanager
def git_host(directory: Path, *, port: int | None = None) -> Iterator[GitHost]:
    """Run a Git host for the time of the block; a directory used before is taken up as it was left."""
    directory.mkdir(parents=True, exist_ok=True)
    host = GitHost(directory, port or free_port())
    try:
        host.start()
        yield host
    finally:
        host.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A GitHub of the lab's own.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("port", type=int)
    options = parser.parse_args(argv)
    app = application(options.directory, f"http://127.0.0.1:{options.port}")
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
