"""A shop with two releases on a real Git host, the plan that takes the second out, and what the team does meanwhile."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from infra.lab.githost import GitHost, git_host
from infra.lab.team import Team
from recovery.catalog import Service
from recovery.incidents import Cause
from recovery.releases import Release
from recovery.reverts import Pushed, RevertPlan, plan_revert
from recovery.versions import parse_version
from recovery.ways import Decision, Way
from tasks.git import push_revert, read_history
from tests.integration.plain_git import commit, git

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAUSE = Cause(sentence="checkout fails", seen_at=NOW)
RELEASES = [Release(n, tag, tag, "", False, False, NOW) for n, tag in enumerate(("v1.0.0", "v1.1.0", "v1.2.0"))]
CASES = count(1)


@contextmanager
def released_shop(directory: Path) -> Iterator[GitHost]:
    """A Git host on which the team's shop has v1.1.0 and v1.2.0."""
    with git_host(directory / "githost") as host:
        (directory / "team").mkdir()
        team = Team(host, directory=directory / "team")
        team.start()
        team.release("v1.1.0")
        team.release("v1.2.0")
        yield host


@contextmanager
def copied(host: GitHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with a repository of its own, as the team left the shop's, which ripcord is set to."""
    repository = f"acme/case{next(CASES)}"
    host.create_repository(repository)
    shutil.copytree(host.bare("acme/shop"), host.bare(repository), dirs_exist_ok=True)
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", host.api_url)
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    with disable_run_logger():
        yield Service(name="shop", namespace="acme", repository=repository)


def planned(service: Service) -> RevertPlan:
    """The plan for v1.2.0, from what the host says now."""
    return plan_revert(service, parse_version("v1.2.0"), read_history.fn(service, "v1.2.0"), RELEASES, CAUSE)


def taken_out(plan: RevertPlan) -> Pushed:
    """Pushed straight to main."""
    pushed = push_revert.fn(plan, Decision(Way.PUSH, ""))
    assert pushed is not None
    return pushed


def refs(host: GitHost, service: Service) -> str:
    """Every ref on the host's disk."""
    return git("for-each-ref", "--format=%(refname) %(objectname)", at=host.bare(service.repository))


def clone(host: GitHost, service: Service, directory: Path, branch: str = "main") -> Path:
    """A fresh clone, as a person makes it."""
    url = host.clone_url(service.repository)
    place = directory / f"clone{next(CASES)}"
    git("clone", "--quiet", "--branch", branch, url, str(place), at=directory, token=host.token("team"))
    return place


def push(host: GitHost, service: Service, directory: Path, name: str, branch: str = "main") -> str:
    """Later work of the team on one file."""
    place = clone(host, service, directory, branch)
    made = commit(place, name, "later = True\n")
    git("push", "--quiet", "origin", branch, at=place, token=host.token("team"))
    return made
