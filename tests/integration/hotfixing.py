"""A team whose release brought a migration, on a real Git host; what plans a hotfix for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.hotfixes import HotfixPlan, plan_hotfix, stable_before
from recovery.incidents import Cause
from recovery.ranges import Range
from recovery.releases import Release
from recovery.reverts import History
from recovery.versions import parse_version
from tasks.git.ranges import read_range
from tests.integration.plain_git import git

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECKOUT = "checkout: 7 of 12 probes failed in 1m0s = 58.33 %, limit 5 %"
SILENT = "a person asked for it"
OLD, NEW = "shop/migrations/0001_initial.sql", "shop/migrations/0002_coupons.sql"
CASES = count(1)
MARKER = "-- ripcord: backward-compatible\n"


class Work:
    """A team's clone of a repository of the test's own: v1.1.0 is there, what follows is the test's."""

    def __init__(self, host: GitHost, repository: str, place: Path) -> None:
        """Start with v1.1.0 on main."""
        host.create_repository(repository)
        place.mkdir()
        self.host, self.repository, self.place = host, repository, place
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", host.clone_url(repository))
        self.write("Start", {
            "shop/checkout.py": "def checkout():\n    return 'ordered'\n", "shop/pricing.py": "price = 1\n",
            "shop/catalogue.py": "all = []\n", "README.md": "shop\n", OLD: "create table carts ();\n",
        })  # fmt: skip
        self.tag("v1.1.0")

    def git(self, *args: str) -> str:
        """Run git as the team."""
        return git(*args, at=self.place, token=self.host.token("team"))

    def write(self, title: str, files: dict[str, str | None], body: str = "") -> str:
        """Commit some files; None deletes one."""
        for name, content in files.items():
            path = self.place / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", title, *(["-m", body] if body else []))
        return self.git("rev-parse", "HEAD")

    def pull(self, number: int, title: str, files: dict[str, str | None], how: str = "merge") -> str:
        """Bring files to the current branch as GitHub brings a pull request."""
        if how == "squash":
            return self.write(f"{title} (#{number})", files, "What it is for.")
        here = self.git("branch", "--show-current")
        self.git("switch", "--quiet", "--create", f"feature-{number}")
        self.write("Work on it", files)
        self.git("switch", "--quiet", here)
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge pull request #{number} from acme/feature-{number}",
                 "-m", title, f"feature-{number}")  # fmt: skip
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str) -> str:
        """Release what there is, and push everything."""
        self.git("tag", "--annotate", "-m", name, name)
        return self.push(f"refs/tags/{name}")

    def push(self, *more: str) -> str:
        """Push the current branch."""
        here = self.git("branch", "--show-current")
        self.git("push", "--quiet", "origin", here, *more)
        return self.git("rev-parse", "HEAD")

    def coupons(self, how: str = "merge") -> str:
        """Release v1.2.0: three pull requests, of which one has a migration and one touches the checkout."""
        if how == "gitflow":
            self.git("switch", "--quiet", "--create", "develop")
        self.pull(11, "Keep coupons", {"shop/coupons.py": "coupons = []\n", NEW: "create table coupons ();\n"}, how)
        self.pull(12, "Redeem coupons", {"shop/checkout.py": "def checkout():\n    return coupon()\n"}, how)
        self.pull(13, "Tell what is new", {"shop/catalogue.py": "all = ['new']\n"}, how)
        if how == "gitflow":
            self.git("switch", "--quiet", "main")
            self.git("merge", "--quiet", "--no-ff", "-m", "Release v1.2.0", "develop")
        return self.tag("v1.2.0")

    def merge(self, branch: str, how: str = "merge", message: str = "Hotfix (#14)", *, delete: bool = True) -> str:
        """Merge a branch into main as GitHub does, delete it, and return the commit on main."""
        self.git("fetch", "--quiet", "origin")
        if how == "squash":
            self.git("merge", "--quiet", "--squash", f"origin/{branch}")
            self.git("commit", "--quiet", "-m", message)
        else:
            self.git("merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}")
        return self.push(*([f":refs/heads/{branch}"] if delete else []))

    @property
    def bare(self) -> Path:
        """The repository on the host's disk."""
        return self.host.bare(self.repository)

    def refs(self) -> str:
        """Every ref on the host's disk."""
        return git("for-each-ref", "--format=%(refname) %(objectname)", at=self.bare)

    def differ(self, one: str, other: str) -> list[str]:
        """What differs between two revisions on the host."""
        return git("diff", "--no-renames", "--name-status", one, other, at=self.bare).splitlines()


@contextmanager
def team_of(host: GitHost, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """A team with a repository of its own on the host, which ripcord is set to."""
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", host.api_url)
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    with disable_run_logger():
        yield Work(host, f"acme/hotfix{next(CASES)}", directory / "team")


def service_of(work: Work, **more: object) -> Service:
    """The catalogue's entry."""
    return Service.model_validate({"name": "shop", "namespace": "acme", "repository": work.repository, **more})


def planned(work: Work, sentence: str = CHECKOUT, stable: str | None = "v1.1.0", **more: object) -> HotfixPlan:
    """The plan for v1.2.0, from what plain git says of the host now."""
    service, faulty = service_of(work, **more), parse_version("v1.2.0")
    tags = {tag: git("rev-parse", f"{tag}^{{commit}}", at=work.bare) for tag in git("tag", at=work.bare).split()}
    contained = {tag: tags[tag] for tag in git("tag", "--merged", "v1.2.0", at=work.bare).split()}
    history = History(
        git("rev-parse", "main", at=work.bare), tags["v1.2.0"], True, tuple(tags), contained, {}, (), (), {}
    )
    releases = [Release(1, "v1.1.0", "", "", False, False, NOW)] if stable else []
    stable_now = stable_before(service, faulty, history, releases)
    assert (stable_now.version.tag if stable_now else None) == stable
    between = read_range.fn(service, "v1.2.0", stable)
    return plan_hotfix(service, faulty, history, releases, between, Cause(sentence=sentence, seen_at=NOW), "migrations")


def between_of(work: Work, **more: object) -> Range:
    """The range, as read."""
    return read_range.fn(service_of(work, **more), "v1.2.0", "v1.1.0")
