"""kill -9 after every single effect of a procedure, then the same again: one of each stands on the Git host."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.lab.githost import GitHost, git_host
from infra.lab.team import Team
from tests.integration.plain_git import git

ROOT = Path(__file__).parents[2]
MIGRATION = {"migrations/0002_coupons.sql": "ALTER TABLE carts RENAME COLUMN sku TO article;\n"}
# How many effects each procedure has on the Git host: a test below counts them, so that none is left out.
EFFECTS = {"push": 3, "pull-request": 6, "hotfix": 7, "sync": 2}
CASES = [(walk, effect) for walk, effects in EFFECTS.items() for effect in range(1, effects + 1)]
SAMPLE = [("push", 1), ("pull-request", 3), ("pull-request", 4), ("hotfix", 1), ("hotfix", 5), ("sync", 1)]
_cases = count(1)


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    """Two histories: the shop's, and one whose v1.2.0 brought a migration."""
    with git_host(tmp_path_factory.mktemp("githost")) as host:
        for name, more in (("plain", {}), ("migrated", MIGRATION)):
            team = Team(host, directory=tmp_path_factory.mktemp("team"), service=name)
            team.start()
            team.release("v1.1.0")
            if more:
                team.commit_on("develop", more, "Keep the coupon with the cart")
            team.release("v1.2.0")
        yield host


class Case:
    """A repository of the test's own, and the procedure that is walked on it."""

    def __init__(self, host: GitHost, walk: str, directory: Path) -> None:
        source = "acme/migrated" if walk == "hotfix" else "acme/plain"
        self.host, self.walk, self.directory = host, walk, directory
        self.repository = f"acme/case{next(_cases)}"
        host.create_repository(self.repository)
        self.bare = host.bare(self.repository)
        shutil.copytree(host.bare(source), self.bare, dirs_exist_ok=True)
        for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
            self.api("POST", "releases", {"tag_name": tag, "name": tag})
        self.faulty = git("rev-parse", "v1.2.0", at=self.bare)
        entry = {"name": "shop", "namespace": "acme", "repository": self.repository}
        via = {"via": "pull-request"} if walk == "pull-request" else {}
        (directory / "services.yaml").write_text(yaml.safe_dump({"services": [entry | via]}))

    def run(self, effect: int) -> tuple[int, list[str]]:
        """Walk until an effect kills; returns the exit status and the effects."""
        env = os.environ | {
            "RIPCORD_CATALOGUE": str(self.directory / "services.yaml"),
            "RIPCORD_GITHUB_API_URL": self.host.api_url,
            "RIPCORD_GITHUB_GIT_URL": self.host.url,
            "RIPCORD_GITHUB_TOKEN": self.host.token("ripcord"),
            "RIPCORD_PATIENCE": "0.01",
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
        }
        argv = [sys.executable, "-m", "tests.walks", self.walk, str(effect)]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in (0, -9), done.stderr[-3000:]
        return done.returncode, done.stdout.splitlines()

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The Git host's API, without our own client."""
        url = f"{self.host.api_url}/repos/{self.repository}/{path}"
        headers = {"Authorization": f"Bearer {self.host.token('team')}"}
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30, trust_env=False)
        return answer.raise_for_status().json()

    def assert_one_of_each(self) -> None:
        """One commit that answers the release, one patch tag, one Release, one pull request; the faulty tag stays."""
        assert git("rev-parse", "v1.2.0", at=self.bare) == self.faulty
        assert git("tag", "--list", "v1.2.*", at=self.bare).split() == ["v1.2.0", "v1.2.1"]
        pulls = [each["head"]["ref"] for each in self.api("GET", "pulls?state=all")]
        ours = sorted(each for each in pulls if not each.startswith("feature/"))
        if self.walk == "sync":
            assert ours == ["reland/v1.2.0"]
            assert git("merge-base", "--is-ancestor", "v1.2.1", "develop", at=self.bare) == ""
            assert git("rev-parse", "reland/v1.2.0^{tree}", at=self.bare) == git(
                "rev-parse", "v1.2.0^{tree}", at=self.bare
            )
            return
        expected = {"push": [], "pull-request": ["revert/v1.2.0"], "hotfix": ["hotfix/v1.2.1"]}
        assert ours == expected[self.walk]
        tags = [each["tag_name"] for each in self.api("GET", "releases")]
        assert sorted(tags) == ["v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"]
        assert self.api("GET", "releases/latest")["tag_name"] == "v1.2.1"
        assert "v1.2.1. Do not deploy." in self.api("GET", "releases/tags/v1.2.0")["body"]
        first_parents = git("rev-list", "--first-parent", "v1.2.0..main", at=self.bare).split()
        assert first_parents == [git("rev-parse", "v1.2.1^{commit}", at=self.bare)]
        left = git("diff", "--name-only", "v1.1.0", "v1.2.1", at=self.bare).split()
        if self.walk == "hotfix":  # the one pull request that touches the checkout is out, the migration is in
            assert "shop/checkout.py" not in left
            assert set(left) >= set(MIGRATION)
        else:
            assert left == []


def ready(host: GitHost, walk: str, directory: Path) -> Case:
    """A case; the sync's has its revert already."""
    case = Case(host, walk, directory)
    if walk == "sync":
        case.walk = "push"
        case.run(0)
        case.walk = "sync"
    return case


def survive(host: GitHost, walk: str, effect: int, directory: Path) -> None:
    """Die, walk again, and once more for good measure."""
    case = ready(host, walk, directory)

    died, seen = case.run(effect)
    assert (died, len(seen)) == (-9, effect)
    assert case.run(0)[0] == 0
    case.assert_one_of_each()
    refs = git("for-each-ref", at=case.bare)

    assert case.run(0) == (0, [])
    assert git("for-each-ref", at=case.bare) == refs


@pytest.mark.parametrize("walk", EFFECTS)
def test_no_effect_is_left_out(host: GitHost, walk: str, tmp_path: Path) -> None:
    """A walk to the end has as many effects as are killed after, and leaves one of each."""
    case = ready(host, walk, tmp_path)

    ended, seen = case.run(0)

    assert (ended, len(seen)) == (0, EFFECTS[walk]), seen
    case.assert_one_of_each()


@pytest.mark.parametrize(("walk", "effect"), SAMPLE)
def test_a_procedure_killed_after_an_effect_goes_on(host: GitHost, walk: str, effect: int, tmp_path: Path) -> None:
    """The dangerous ones: after the push, after the pull request, after the merge and before the tag."""
    survive(host, walk, effect, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize(("walk", "effect"), CASES)
def test_every_procedure_killed_after_every_effect_goes_on(
    host: GitHost, walk: str, effect: int, tmp_path: Path
) -> None:
    """All of them."""
    survive(host, walk, effect, tmp_path)
