"""The team's pipeline on a real control plane: a pushed tag runs, and nothing else does."""

import hashlib
import hmac
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.githost import GitHost, git_host
from infra.lab.kubernetes import Cluster
from infra.lab.pipeline import Pipeline, pipeline
from infra.lab.process import LabError, wait_until
from infra.lab.team import Team
from tests.integration.kubectl import read
from tests.integration.plain_git import commit, git, rest

IMAGE = ".spec.template.spec.containers[0].image"
CAUSE = r".metadata.annotations.kubernetes\.io/change-cause"


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(name="host", scope="module")
def _host(root: Path) -> Iterator[GitHost]:
    with git_host(root / "githost") as host:
        yield host


@pytest.fixture(name="line", scope="module")
def _line(root: Path, host: GitHost, cluster: Cluster) -> Iterator[Pipeline]:
    services = ("shop", "blog")
    with pipeline(root / "line", host, cluster, root / "registry", services=services, rollout_seconds=12) as line:
        yield line


@pytest.fixture(name="team", scope="module")
def _team(root: Path, host: GitHost, line: Pipeline) -> Team:
    team = Team(host, directory=root)
    team.start()
    line.wait_for("acme/shop", "v1.0.0")
    return team


@pytest.fixture(name="clone")
def _clone(host: GitHost, team: Team, tmp_path: Path) -> Path:
    """Somebody else's clone of the shop."""
    url = host.clone_url("acme/shop")
    git("clone", "--quiet", "--branch=main", url, "clone", at=tmp_path, token=host.token("ada"))
    return tmp_path / "clone"


def _push_tag(host: GitHost, clone: Path, tag: str) -> str:
    git("tag", "--annotate", "-m", tag, tag, at=clone)
    git("push", "--quiet", "origin", f"refs/tags/{tag}", at=clone, token=host.token("ada"))
    return git("rev-parse", "HEAD", at=clone)


def _first_tags_push(host: GitHost) -> dict[str, Any]:
    """The delivery that told of v1.0.0."""
    return next(d for d in host.deliveries() if json.loads(d["payload"])["ref"] == "refs/tags/v1.0.0")


def test_a_release_of_the_team_runs_in_the_cluster(
    root: Path, host: GitHost, cluster: Cluster, line: Pipeline, team: Team
) -> None:
    """The tag's image is what the Deployment runs, all replicas ready, the cause told, the tree in the registry."""
    sha = team.release("v1.1.0")

    run = line.wait_for("acme/shop", "v1.1.0")

    assert (run["state"], run["commit"]) == ("success", sha)
    assert read(cluster, "deployment", "shop", IMAGE) == "registry.lab/shop:v1.1.0"
    assert read(cluster, "deployment", "shop", ".status.readyReplicas") == "3"
    assert read(cluster, "deployment", "shop", CAUSE) == "Release v1.1.0"
    assert read(cluster, "service", "shop", ".spec.selector.app") == "shop"
    files = git("ls-tree", "-r", "--name-only", "v1.1.0", at=host.bare("acme/shop")).splitlines()
    image = root / "registry/shop/v1.1.0"
    assert sorted(str(f.relative_to(image)) for f in image.rglob("*") if f.is_file()) == sorted(files)


def test_github_hears_how_it_went(host: GitHost, line: Pipeline, team: Team) -> None:
    """A deployment of the tag to production that went from in_progress to success, and a status on the commit."""
    token = host.token("team")

    deployments = rest(host, token, "GET", "/repos/acme/shop/deployments?ref=v1.0.0").json()
    states = rest(host, token, "GET", f"/repos/acme/shop/deployments/{deployments[0]['id']}/statuses").json()
    mark = rest(host, token, "GET", "/repos/acme/shop/commits/v1.0.0/status").json()["statuses"][0]

    assert [d["environment"] for d in deployments] == ["production"]
    assert [s["state"] for s in states][-2:] == ["success", "in_progress"]
    assert (mark["context"], mark["state"]) == ("ci/deploy", "success")
    assert httpx.get(states[0]["log_url"], trust_env=False).json()["tag"] == "v1.0.0"


def test_branches_and_other_tags_are_left_alone(host: GitHost, line: Pipeline, clone: Path) -> None:
    """Pushing a branch, a release candidate or a deletion starts nothing; the version after them does."""
    token, before = host.token("ada"), line.runs()
    git("push", "--quiet", "origin", "main:refs/heads/idea", "main:refs/tags/v7.0.0-rc.1", at=clone, token=token)
    git("push", "--quiet", "origin", ":refs/heads/idea", ":refs/tags/v7.0.0-rc.1", at=clone, token=token)

    _push_tag(host, clone, "v7.0.0")
    line.wait_for("acme/shop", "v7.0.0")
    delivered = [d for d in host.deliveries() if not d["delivered"]]

    assert [run["tag"] for run in line.runs()[len(before) :]] == ["v7.0.0"]
    assert delivered == []


def test_an_unsigned_push_is_refused(line: Pipeline, host: GitHost, team: Team) -> None:
    """A body with a wrong signature, or none, is a 401 and starts nothing."""
    body, before = _first_tags_push(host)["payload"].replace("v1.0.0", "v6.6.6").encode(), line.runs()
    forged = hmac.new(b"guessed", body, hashlib.sha256).hexdigest()

    for signature in (
        b"",
        f"sha256={forged}".encode(),
        "sha256=ä".encode(),
    ):
        headers = {b"X-GitHub-Event": b"push", b"X-Hub-Signature-256": signature}
        answer = httpx.post(f"{line.url}/webhook", content=body, headers=headers, trust_env=False)
        assert answer.status_code == 401
    assert line.runs() == before


def test_a_push_that_is_told_twice_is_deployed_once(line: Pipeline, host: GitHost, team: Team) -> None:
    """A redelivery, properly signed, is taken for what it is, also by a pipeline that was killed since."""
    before = line.runs("acme/shop", "v1.0.0")
    line.process.kill()
    line.restart()

    told = _first_tags_push(host)
    address = f"/repos/acme/shop/hooks/{told['hook']}/deliveries/{told['id']}/attempts"
    assert rest(host, host.token("ada"), "POST", address).status_code == 202
    wait_until(lambda: _first_tags_push(host)["delivered"], what="the redelivery", seconds=20, process=host.process)

    assert line.runs("acme/shop", "v1.0.0") == before


def test_a_rollout_that_does_not_finish_is_a_failure(
    host: GitHost, cluster: Cluster, line: Pipeline, clone: Path
) -> None:
    """When no pod of the new version becomes ready the run fails with kubectl's words, and GitHub hears so."""
    manifest = clone / "deploy/deployment.yaml"
    commit(clone, "deploy/deployment.yaml", manifest.read_text().replace("shop:RELEASE", "shop:RELEASE-bad"))
    _push_tag(host, clone, "v8.0.0")

    run = line.wait_for("acme/shop", "v8.0.0")

    assert run["state"] == "failure"
    assert "rollout" in run["reason"]
    mark = rest(host, host.token("ada"), "GET", "/repos/acme/shop/commits/v8.0.0/status").json()
    assert mark["state"] == "failure"
    assert read(cluster, "deployment", "shop", ".status.availableReplicas") == "3"


def test_an_undo_meanwhile_is_not_called_a_success(
    host: GitHost, cluster: Cluster, line: Pipeline, clone: Path
) -> None:
    """Somebody who undoes the rollout while it is watched makes it a failure that names what runs instead."""
    line.wait_for("acme/shop", "v1.0.0")
    manifest = clone / "deploy/deployment.yaml"
    slow = manifest.read_text().replace(
        "      labels: {app: shop}\n    spec:", "      labels: {app: shop}\n"
        "      annotations: {ripcord.lab/ready-delay: 60s}\n    spec:",
    )  # fmt: skip
    assert slow != manifest.read_text()
    commit(clone, "deploy/deployment.yaml", slow)
    _push_tag(host, clone, "v9.0.0")

    def applied() -> bool:
        return read(cluster, "deployment", "shop", IMAGE).endswith(":v9.0.0")

    wait_until(applied, what="v9.0.0 in the cluster", seconds=30, process=line.process)
    cluster.kubectl("-n", "acme", "set", "image", "deployment/shop", "shop=registry.lab/shop:v1.0.0")
    patch = '{"spec": {"template": {"metadata": {"annotations": {"ripcord.lab/ready-delay": null}}}}}'
    cluster.kubectl("-n", "acme", "patch", "deployment", "shop", "-p", patch)
    run = line.wait_for("acme/shop", "v9.0.0")

    assert run["state"] == "failure"
    assert "v1.0.0" in run["reason"]


def test_a_host_that_stumbles_does_not_stop_a_deployment(
    host: GitHost, cluster: Cluster, line: Pipeline, clone: Path
) -> None:
    """Reports that get lost are repeated; the tag is deployed in any case."""
    broken = {"method": "POST", "path": "acme/shop/(deployments|statuses)", "times": 2}
    host.break_calls(broken)

    sha = _push_tag(host, clone, "v10.0.0")
    run = line.wait_for("acme/shop", "v10.0.0")

    assert run["state"] == "success"
    assert read(cluster, "deployment", "shop", IMAGE) == "registry.lab/shop:v10.0.0"
    mark = rest(host, host.token("ada"), "GET", f"/repos/acme/shop/commits/{sha}/status").json()
    assert mark["statuses"][0]["state"] == "success"


def test_the_pipeline_may_not_read_secrets(cluster: Cluster) -> None:
    """It deploys with rights of its own, and they end there."""
    kubeconfig = cluster.kubeconfig_for("pipeline")

    with pytest.raises(LabError, match="orbidden"):
        cluster.kubectl("-n", "acme", "get", "secrets", kubeconfig=kubeconfig)


def test_a_release_that_the_gate_refuses_is_not_applied(
    cluster: Cluster, host: GitHost, line: Pipeline, clone: Path, tmp_path: Path
) -> None:
    """The gate is asked with service and tag, before the cluster is touched; its words are the reason."""
    before = read(cluster, "deployment", "shop", IMAGE)
    script = "import sys; print(*sys.argv[1:], file=sys.stderr); sys.exit('no way back')"
    line.gate.open([sys.executable, "-c", script], {}, ["shop"])
    try:
        _push_tag(host, clone, "v1.0.7")
        refused = line.wait_for("acme/shop", "v1.0.7")
    finally:
        line.gate.file.unlink()

    assert (refused["state"], refused["reason"]) == ("failure", "the gate said no: shop v1.0.7 no way back")
    assert read(cluster, "deployment", "shop", IMAGE) == before


def test_a_release_that_the_gate_lets_through_is_applied(
    cluster: Cluster, host: GitHost, line: Pipeline, clone: Path
) -> None:
    """Yes is exit code 0; a service that is not behind the gate is not asked for."""
    line.gate.open([sys.executable, "-c", "import sys; sys.exit(sys.argv[2] != 'v1.0.8')"], {}, ["shop"])
    try:
        _push_tag(host, clone, "v1.0.8")
        passed = line.wait_for("acme/shop", "v1.0.8")
    finally:
        line.gate.file.unlink()

    assert passed["state"] == "success"
    assert read(cluster, "deployment", "shop", IMAGE) == "registry.lab/shop:v1.0.8"
