"""What the world says, asked by other means than ours: kubectl, plain git, GitHub's API, psql's server, files."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

from infra.lab.world import World


def git(repository: Path, *arguments: str) -> str:
    """Plain git, with nothing of the machine's configuration."""
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def fresh_clone(lab: World, service: str, into: Path) -> Path:
    """A clone made by plain git, over HTTP as anybody makes it."""
    into.mkdir(parents=True, exist_ok=True)
    url = lab.host.clone_url(f"acme/{service}").replace("http://", f"http://reader:{lab.host.token('reader')}@")
    git(into, "clone", "--quiet", url, "clone")
    return into / "clone"


def refs(lab: World, service: str) -> str:
    """Every ref of the repository and what it points to."""
    return git(lab.host.bare(f"acme/{service}"), "for-each-ref", "--format=%(refname) %(objectname)")


def revisions(lab: World, service: str) -> dict[str, dict[str, str]]:
    """By version: the revision annotations of its ReplicaSet, as kubectl shows them."""
    sets = json.loads(lab.cluster.kubectl("-n", "acme", "get", "replicasets", "-l", f"app={service}", "-o", "json"))
    found = {}
    for each in sets["items"]:
        image = each["spec"]["template"]["spec"]["containers"][0]["image"]
        found[image.rpartition(":")[2]] = each["metadata"]["annotations"]
    return found


def standing(lab: World, service: str, version: str) -> str | None:
    """The verdict written on the version's ReplicaSet."""
    for key, value in revisions(lab, service).get(version, {}).items():
        if key.startswith("ripcord.dev/verdict."):
            return str(json.loads(value)["standing"])
    return None


def releases(lab: World, service: str) -> list[str]:
    """The tags of all Releases."""
    url = f"{lab.host.api_url}/repos/acme/{service}/releases"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {lab.host.token('reader')}"}, timeout=30)
    return [each["tag_name"] for each in answer.raise_for_status().json()]


def pulls(lab: World, service: str, head: str) -> list[dict[str, Any]]:
    """The pull requests of a branch, as GitHub's API gives them."""
    url = f"{lab.host.api_url}/repos/acme/{service}/pulls"
    asked = {"state": "all", "head": f"acme:{head}"}
    headers = {"Authorization": f"Bearer {lab.host.token('reader')}"}
    found: list[dict[str, Any]] = httpx.get(url, params=asked, headers=headers, timeout=30).raise_for_status().json()
    return found


def told(lab: World, words: str) -> list[dict[str, object]]:
    """The messages at the stakeholders' sink that contain these words."""
    return [each for each in lab.sink.messages() if words in json.dumps(each["body"])]


def assert_restored_once(lab: World, service: str, scratch: Path, *, by_request: bool = False) -> None:
    """Exactly one undo, one revert commit, one tag, one Release, one post-mortem, one message; and it is right."""
    clone = fresh_clone(lab, service, scratch)
    assert git(clone, "rev-parse", "v1.1.0^{tree}") == git(clone, "rev-parse", "v1.2.1^{tree}")
    assert len(git(clone, "log", "--no-merges", "--format=%H", "v1.2.0..origin/main").splitlines()) == 1
    assert len(git(clone, "log", "--merges", "--format=%H", "v1.2.0..origin/main").splitlines()) == by_request
    assert [bool(each["merged_at"]) for each in pulls(lab, service, "revert/v1.2.0")] == [True] * by_request
    assert git(clone, "tag", "--list").split() == ["v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"]
    assert git(clone, "log", "--oneline", "origin/develop..origin/main") == ""
    assert sorted(releases(lab, service)) == ["v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"]
    seen = revisions(lab, service)
    # v1.1.0 was revision 2 and became 4 by the one undo; v1.2.1 is 5. A second undo would have moved it again.
    assert seen["v1.1.0"]["deployment.kubernetes.io/revision"] == "4"
    assert seen["v1.1.0"]["deployment.kubernetes.io/revision-history"] == "2"
    assert seen["v1.2.1"]["deployment.kubernetes.io/revision"] == "5"
    assert lab.version_served(service) == "v1.2.1"
    documents = list((lab.directory / "archive" / "post-mortems" / service).glob("*.md"))
    assert [each.name for each in documents] == ["v1.2.0.md"]
    assert len(told(lab, f"{service} is restored to v1.2.1 (= v1.1.0)")) == 1
    assert [(each["head"]["ref"], each["draft"]) for each in pulls(lab, service, "reland/v1.2.0")] == [
        ("reland/v1.2.0", True)
    ]
    assert git(clone, "rev-parse", "origin/reland/v1.2.0^{tree}") == git(clone, "rev-parse", "v1.2.0^{tree}")


def assert_mended_once(lab: World, service: str, scratch: Path) -> None:
    """One pull request, one commit, one tag, one Release, one question, one message; the migration stays."""
    clone = fresh_clone(lab, service, scratch)
    left = git(clone, "diff", "--name-only", "v1.1.0", "v1.2.1").split()
    assert "migrations/0002_coupons.sql" in left
    assert git(clone, "diff", "--name-only", "v1.2.0", "v1.2.1", "--", "migrations") == ""
    assert "shop/checkout.py" not in left
    assert len(git(clone, "log", "--no-merges", "--format=%H", "v1.2.0..origin/main").splitlines()) == 1
    assert git(clone, "log", "--oneline", "origin/develop..origin/main") == ""
    assert git(clone, "tag", "--list").split() == ["v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"]
    assert sorted(releases(lab, service)) == ["v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"]
    assert [bool(each["merged_at"]) for each in pulls(lab, service, "hotfix/v1.2.1")] == [True]
    assert standing(lab, service, "v1.2.0") == "faulty"
    assert lab.version_served(service) == "v1.2.1"
    documents = list((lab.directory / "archive" / "post-mortems" / service).glob("*.md"))
    assert [each.name for each in documents] == ["v1.2.0.md"]
    assert len(told(lab, f"{service}: hotfix v1.2.1 waits for a person")) == 1
    assert len(told(lab, f"{service} is restored by v1.2.1, a hotfix of v1.2.0")) == 1
