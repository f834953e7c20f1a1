"""A repository on the lab's GitHub with two releases, and what plain HTTP and plain git see of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.logging import disable_run_logger

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.pulls import Proposal
from recovery.releases import TAKEN_BACK, Publication
from tests.integration.plain_git import commit, git, new_clone, rest

DAYS = ("2026-01-01T12:00:00+00:00", "2026-01-02T12:00:00+00:00")


@dataclass(frozen=True)
class Shop:
    """One repository: `clone` is a person's, `service` the catalogue's entry."""

    host: GitHost
    name: str
    clone: Path
    service: Service

    def get(self, path: str) -> Any:
        """What GitHub says below the repository's address."""
        answer = rest(self.host, self.host.token("reader", write=False), "GET", f"/repos/{self.name}{path}")
        return answer.raise_for_status().json()

    def send(self, method: str, path: str, user: str = "team", **body: Any) -> Any:
        """What a person or another program does there."""
        return rest(self.host, self.host.token(user), method, f"/repos/{self.name}{path}", **body).raise_for_status()

    def releases(self) -> dict[str, list[dict[str, Any]]]:
        """The Releases by tag."""
        found: dict[str, list[dict[str, Any]]] = {}
        for each in self.get("/releases?per_page=100"):
            found.setdefault(each["tag_name"], []).append(each)
        return found

    def pulls(self) -> list[dict[str, Any]]:
        """Every pull request there ever was."""
        return list(self.get("/pulls?state=all&per_page=100"))

    def calls(self, method: str, path: str) -> list[int]:
        """The statuses of ripcord's own calls of this repository whose path ends so."""
        seen = [each for each in self.host.requests() if f"/repos/{self.name}/" in each["path"]]
        ours = [each for each in seen if each["user"] in ("ripcord", None) and each["method"] == method]
        return [each["status"] for each in ours if each["path"].endswith(path)]

    def faults_left(self) -> bool:
        """Whether a fault that was set is yet to strike."""
        return bool(httpx.get(f"{self.host.url}/_lab/faults", trust_env=False).json())

    def bare(self, *args: str) -> str:
        """What plain git says in the bare repository."""
        return git(*args, at=self.host.bare(self.name))

    def branch(self, name: str, file: str = "change", content: str = "x\n") -> str:
        """Push a commit on a branch of its own, from main."""
        git("fetch", "--quiet", "origin", at=self.clone, token=self.host.token("team"))
        git("checkout", "--quiet", "-B", name, "origin/main", at=self.clone)
        sha = commit(self.clone, file, content)
        self.push(name)
        return sha

    def push(self, *refs: str) -> None:
        """Push as the team does, which may do all."""
        git("push", "--quiet", "--force", "origin", *refs, at=self.clone, token=self.host.token("team"))

    def proposal(self, head: str = "revert/v1.2.0", *, draft: bool = False) -> Proposal:
        """A pull request of a branch into main."""
        return Proposal(self.name, head, "main", "Revert release v1.2.0", "It is taken back.", draft)

    def publication(self, *, faulty: str = "v1.2.0", push_tag: bool = True) -> Publication:
        """The Release v1.2.1 that takes v1.2.0 back, with its tag pushed."""
        git("checkout", "--quiet", "main", at=self.clone)
        git("revert", "--no-edit", "v1.2.0", at=self.clone)
        git("tag", "--annotate", "-m", "v1.2.1", "v1.2.1", at=self.clone)
        self.push("main", *(["v1.2.1"] if push_tag else []))
        note = f"{TAKEN_BACK}v1.2.1. Do not deploy."
        return Publication(self.name, "v", "v1.2.1", f"v1.2.1: {faulty} taken back", "The notes.", faulty, note)


@contextmanager
def new_shop(host: GitHost, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop with v1.1.0 and v1.2.0 released, called like the directory, and ripcord's environment for it."""
    name = f"acme/{directory.name.replace('_', '-')}"
    clone = new_clone(host, name, directory / "shop")
    token = host.token("team")
    for tag, day in zip(("v1.1.0", "v1.2.0"), DAYS, strict=True):
        commit(clone, tag, date=day)
        git("tag", "--annotate", "-m", tag, tag, at=clone, date=day)
    git("push", "--quiet", "origin", "main", "--tags", at=clone, token=token)
    service = Service(name="shop", namespace="acme", repository=name)
    shop = Shop(host, name, clone, service)
    for tag in ("v1.1.0", "v1.2.0"):
        shop.send("POST", "/releases", tag_name=tag, name=tag, body=f"What is new in {tag}.")
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", host.api_url)
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    try:
        with disable_run_logger():
            yield shop
    finally:
        host.break_calls()
