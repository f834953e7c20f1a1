"""Bad input gets one sentence with the way out, an exit code, no traceback, and nothing is changed."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.lab.process import free_port
from infra.lab.world import World
from tests.acceptance.oracles import refs


def _world_as_it_is(lab: World) -> tuple[str, int, str]:
    return refs(lab, "search"), len(lab.runs("respond")), lab.version_served("search")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "nope", "v1.2.0"], 1, "no service 'nope'"),
        (["plan", "search", "latest"], 1, "is not a release tag"),
        (["respond", "search", "v9", "--because", "x"], 1, "is not a release tag"),
        (["respond", "search", "refs/heads/main", "--because", "x"], 1, "is not a release tag"),
        (["plan", "search", "v9.9.9"], 1, "v9.9.9"),
    ],
)
def test_what_is_not_there_is_refused(lab: World, arguments: Sequence[str], code: int, words: str) -> None:
    """A service, a tag or a version that is not there: exit code 1 and the way out."""
    before = _world_as_it_is(lab)

    done = lab.ripcord(*arguments)

    _one_sentence(done.stderr, words)
    assert done.returncode == code
    assert _world_as_it_is(lab) == before


def test_an_unknown_key_in_the_catalogue_names_the_nearest_one(lab: World, tmp_path: Path) -> None:
    """`wach` is refused, and `watch` is named."""
    path = tmp_path / "services.yaml"
    path.write_text("services:\n  - {name: search, namespace: acme, repository: acme/search, wach: 1h}\n")

    done = _with(lab, {"RIPCORD_CATALOGUE": str(path)}, "status")

    _one_sentence(done.stderr, "did you mean 'watch'?")
    assert done.returncode == 1


def test_an_unreachable_cluster_is_said(lab: World, tmp_path: Path) -> None:
    """Nobody answers at the API server's address: exit code 3, nothing was changed."""
    config = tmp_path / "kubeconfig"
    config.write_text(
        lab.cluster.kubeconfig.read_text().replace(lab.cluster.server, f"https://127.0.0.1:{free_port()}")
    )

    done = _with(lab, {"RIPCORD_KUBECONFIG": str(config)}, "plan", "search", "v1.1.0")

    _one_sentence(done.stderr, "did not answer")
    assert done.returncode == 3


def test_an_unreachable_prefect_server_is_said(lab: World) -> None:
    """`respond` without a server starts nothing and says so."""
    nowhere = f"http://127.0.0.1:{free_port()}/api"

    done = _with(lab, {"PREFECT_API_URL": nowhere}, "respond", "search", "v1.1.0", "--because", "x")

    _one_sentence(done.stderr, "Prefect server")
    assert done.returncode == 3


def test_check_says_yes_on_a_sane_world_and_no_on_a_broken_one(lab: World) -> None:
    """All lines hold in the lab; with a wrong token the Git lines do not, and the exit code says so."""
    sane = lab.ripcord("check", "--json")
    broken = _with(lab, {"RIPCORD_GITHUB_TOKEN": "sesame-open-up"}, "check")

    held = {each["what"]: each["ok"] for each in json.loads(sane.stdout)}
    assert all(held[f"shop, {system}"] for system in ("cluster", "Git", "GitHub", "Prometheus"))
    assert broken.returncode == 1
    assert "NO  search, GitHub" in broken.stdout
    assert "set RIPCORD_GITHUB_TOKEN" in " ".join(broken.stdout.split())
    assert "sesame" not in broken.stdout + broken.stderr
    assert "Traceback" not in broken.stdout + broken.stderr


def _with(lab: World, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = dict(lab.env)
    lab.env.update(env)
    try:
        return lab.ripcord(*arguments)
    finally:
        lab.env.clear()
        lab.env.update(kept)


def _one_sentence(said: str, words: str) -> None:
    assert words in said
    assert "Traceback" not in said
    assert said.startswith("ripcord: ")
    assert len(said.strip().splitlines()) <= 3
