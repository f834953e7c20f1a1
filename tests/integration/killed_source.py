"""Repositories on the lab's GitHub on which a recovery is walked and killed, as plain git and REST see them."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml

from infra.lab.githost import GitHost, git_host
from infra.lab.team import Team
from recovery.hotfixes import Answer
from tests.integration.plain_git import git
from tests.integration.walker import Walker, walker

MIGRATION = {"migrations/0002_coupons.sql": "ALTER TABLE carts RENAME COLUMN sku TO article;\n"}
CONFIRMED = "shop: take v1.2.0 out of main, back to v1.1.0?"
DECLINED = "shop: v1.2.0 stays in main: v1.1.0 was not confirmed"
RESTORED, MENDED = "shop is restored to v1.2.1 (= v1.1.0)", "shop is restored by v1.2.1, a hotfix of v1.2.0"
ASKED, ABANDONED = "shop: hotfix v1.2.1 waits for a person", "shop: hotfix v1.2.1 is abandoned"
TAGS = ("v1.0.0", "v1.1.0", "v1.2.0")
_cases = count(1)


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What is walked, where, and what must stand there once at the end."""

    effects: int
    """How many there are on the way: a test counts them, so that none is left out."""
    walk: str = "respond"
    history: str = "plain"
    prepare: Callable[["Case"], None] = lambda case: None
    goes_on: bool = False
    """It is the run that `prepare` has begun."""
    catalogue: Mapping[str, Any] = field(default_factory=dict)
    answers: Sequence[Answer] | tuple[Literal["yes", "no"]] | tuple[()] = ()
    pulls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By branch the fate of its pull requests, the oldest first."""
    patch: str | None = "v1.2.1"
    told: Sequence[str] = ()
    out: Set[str] | None = None
    """What a hotfix takes out of the release; a revert takes out all."""
    also: Sequence[str] = ()
    """Tags of the service that stand there besides, each with its Release."""
    left: Set[str] = frozenset()
    """What came in besides."""
    later: int = 0
    """Commits on main above the patch release."""
    develop: bool = True
    """It has the patch release in the end."""


class Case:
    """A repository of the test's own, and the procedure that is walked on it."""

    def __init__(self, stage: "Stage", variation: Variation, directory: Path) -> None:
        self.stage, self.host, self.variation, self.directory = stage, stage.host, variation, directory
        directory.mkdir(parents=True)
        self.repository = f"acme/case{next(_cases)}"
        self.host.create_repository(self.repository)
        self.bare = self.host.bare(self.repository)
        shutil.copytree(self.host.bare(f"acme/{variation.history}"), self.bare, dirs_exist_ok=True)
        for tag in TAGS:
            self.api("POST", "releases", {"tag_name": tag, "name": tag})
        self.faulty = git("rev-parse", "v1.2.0", at=self.bare)
        entry = {"name": "shop", "namespace": "acme", "repository": self.repository, **variation.catalogue}
        (directory / "services.yaml").write_text(yaml.safe_dump({"services": [entry]}))
        variation.prepare(self)

    def run(self, effect: int, *, revived: bool = False) -> tuple[int, list[str]]:
        """Walk until an effect kills; returns the exit status and the effects.

        A `revived` one goes on with the results of the walk before, another one is a run of its own.
        """
        if not revived:
            shutil.rmtree(self.directory / "results", ignore_errors=True)
        environment = {
            "RIPCORD_CATALOGUE": str(self.directory / "services.yaml"),
            "RIPCORD_GITHUB_API_URL": self.host.api_url,
            "RIPCORD_GITHUB_GIT_URL": self.host.url,
            "RIPCORD_GITHUB_TOKEN": self.host.token("ripcord"),
            "RIPCORD_ARCHIVE": str(self.directory / "archive"),
            "RIPCORD_GIT_CACHE": str(self.directory / "cache"),
            "RIPCORD_PATIENCE": "0.01",
            "WALK_DIRECTORY": str(self.directory),
            "WALK_ANSWERS": ",".join(self.variation.answers),
            "WALK_URL": self.host.clone_url(self.repository),
            "WALK_TOKEN": self.host.token("team"),
        }
        ended, seen, said = self.stage.walker.walk(self.variation.walk, effect, environment)
        assert ended in (0, -9), said
        return ended, seen

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The Git host's API, without our own client."""
        url = f"{self.host.api_url}/repos/{self.repository}/{path}"
        headers = {"Authorization": f"Bearer {self.host.token('team')}"}
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30, trust_env=False)
        return answer.raise_for_status().json() if answer.content else None

    def clone(self, name: str) -> Path:
        """A fresh clone, as anybody makes it."""
        url, token = self.host.clone_url(self.repository), self.host.token("team")
        git("clone", "--quiet", url, name, at=self.directory, token=token)
        return self.directory / name

    def branch(self, name: str, start: str) -> None:
        """A branch of the team's."""
        git("update-ref", f"refs/heads/{name}", f"{start}^{{commit}}", at=self.bare)

    def write(self, branch: str, name: str, content: str) -> None:
        """A commit of the team's on a branch."""
        clone, token = self.directory / "team", self.host.token("team")
        if not clone.exists():
            self.clone("team")
        git("checkout", "--quiet", branch, at=clone)
        (clone / name).write_text(content)
        git("add", name, at=clone)
        git("commit", "--quiet", "-m", f"Write {name}", at=clone)
        git("push", "--quiet", "origin", branch, at=clone, token=token)

    def release(self, tag: str, branch: str) -> None:
        """A release of the team's from the top of a branch, which is deleted then."""
        at = git("rev-parse", f"refs/heads/{branch}", at=self.bare)
        git("tag", "--annotate", "-m", f"Release {tag}", tag, at, at=self.bare)
        git("update-ref", "-d", f"refs/heads/{branch}", at=self.bare)
        self.api("POST", "releases", {"tag_name": tag, "name": tag})

    def pulls(self) -> dict[str, list[str]]:
        """By branch the fate of its pull requests, the oldest first, but for the team's own."""
        found: dict[str, list[str]] = {}
        for each in sorted(self.api("GET", "pulls?state=all&per_page=100"), key=lambda pull: pull["number"]):
            ended = "merged" if each["merged_at"] else "closed" if each["closed_at"] else ""
            fate = ended or ("draft" if each["draft"] else "open")
            if not each["head"]["ref"].startswith("feature/"):
                found.setdefault(each["head"]["ref"], []).append(fate)
        return found

    def comments(self) -> list[tuple[int, str]]:
        """What is said on pull requests, each with the request's number."""
        numbers = [each["number"] for each in self.api("GET", "pulls?state=all&per_page=100")]
        return [(number, each["body"]) for number in numbers for each in self.api("GET", f"issues/{number}/comments")]

    def archived(self, folder: str) -> list[Path]:
        """The files of the archive."""
        return sorted((self.directory / "archive" / folder).glob("**/*.*"))

    def told(self) -> list[str]:
        """The titles of all messages."""
        return sorted(json.loads(path.read_text())["title"] for path in self.archived("messages"))

    def everything(self) -> tuple[object, ...]:
        """All that a twin would change."""
        releases = [(each["tag_name"], each["body"]) for each in self.api("GET", "releases")]
        files = [(path, path.stat().st_mtime_ns) for path in self.archived("")]
        return git("for-each-ref", at=self.bare), self.pulls(), releases, files


class Stage:
    """The Git host with the histories, and the process that walks."""

    def __init__(self, host: GitHost, walker: Walker) -> None:
        self.host, self.walker = host, walker


@contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Four histories: the shop's, one whose v1.2.0 brought a migration, and two whose releases were no merges."""
    with git_host(directory / "githost") as host, walker(directory, "tests.walks.sources") as process:
        for name, more in (("plain", {}), ("migrated", MIGRATION)):
            team = Team(host, directory=directory / "team", service=name)
            team.start()
            team.release("v1.1.0")
            if more:
                team.commit_on("develop", more, "Keep the coupon with the cart")
            team.release("v1.2.0")
        for name, squash in (("squashed", True), ("rebased", False)):
            host.create_repository(f"acme/{name}")
            shutil.copytree(host.bare("acme/plain"), host.bare(f"acme/{name}"), dirs_exist_ok=True)
            without_merges(host.bare(f"acme/{name}"), squash=squash)
        yield Stage(host, process)


def without_merges(bare: Path, *, squash: bool) -> None:
    """Make main anew, as if each release had come by one commit, or commit by commit, and move the tags there."""
    tip = done = git("rev-list", "--max-parents=0", "main", at=bare)
    for tag in TAGS:
        released = git("rev-parse", f"{tag}^{{commit}}", at=bare)
        replayed = git("rev-list", "--reverse", "--topo-order", "--no-merges", f"{done}..{released}", at=bare).split()
        for commit in [released] if squash else replayed:
            title, date = git("log", "-1", "--format=%s%n%cI", commit, at=bare).split("\n")
            tip = git("commit-tree", f"{commit}^{{tree}}", "-p", tip, "-m", title, at=bare, date=date)
        git("tag", "--force", "--annotate", "-m", f"Release {tag}", tag, tip, at=bare)
        done = released
    git("update-ref", "refs/heads/main", tip, at=bare)
