"""The lab's control plane paused, killed and left; kubectl and the process table are the witnesses."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.kubernetes import PARTS, Cluster, control_plane
from infra.lab.process import LabError, wait_until
from tests.integration.kubectl import deployment, pods, read, roll_out, wait_for_rollout

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", name="cluster")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with control_plane(tmp_path_factory.mktemp("kubernetes")) as cluster:
        yield cluster


def alive(pid: int) -> bool:
    """Answer whether a process exists and is not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_paused_controllers_do_nothing_until_they_are_resumed(cluster: Cluster) -> None:
    """A change made while the controllers stand still is seen by them only afterwards."""
    roll_out(cluster, "paused")
    cluster.pause_controllers()
    try:
        cluster.kubectl("apply", "-f", "-", input=deployment("paused", "v2"))
        with pytest.raises(LabError, match="timed out"):
            cluster.kubectl("-n", "acme", "rollout", "status", "deployment/paused", "--timeout=2s")
        seen = read(cluster, "deployment", "paused", ".status.observedGeneration")
    finally:
        cluster.resume_controllers()
    wait_for_rollout(cluster, "paused")

    assert seen == "1"
    assert read(cluster, "deployment", "paused", ".status.observedGeneration") == "2"


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_server_comes_back_with_its_data(cluster: Cluster, part: str) -> None:
    """Any of the four, killed in the middle of a rollout and restarted, lets the rollout end."""
    roll_out(cluster, f"survivor-{part}")
    before, address = getattr(cluster, part).pid, cluster.server
    cluster.kubectl("apply", "-f", "-", input=deployment(f"survivor-{part}", "v2"))

    cluster.restart(part)
    wait_for_rollout(cluster, f"survivor-{part}")

    assert not alive(before)
    assert alive(getattr(cluster, part).pid)
    assert cluster.server == address
    assert {pod["spec"].get("nodeName") for pod in pods(cluster, f"survivor-{part}")} == {"node-0"}


CHILD = """
import sys, time
from pathlib import Path
from infra.lab.kubernetes import PARTS, control_plane
with control_plane(Path(sys.argv[1])) as cluster:
    print(*(getattr(cluster, part).pid for part in PARTS), *(getattr(cluster, part).leash.pid for part in PARTS))
    sys.stdout.flush()
    time.sleep(600)
"""


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    """kill -9 of the process that runs the control plane ends all its servers within seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        running = [pid for pid in pids if alive(pid)]
        os.kill(parent.pid, signal.SIGKILL)

    assert len(running) == 2 * len(PARTS)
    wait_until(lambda: not any(map(alive, pids)), what="the end of all servers", seconds=15)


def test_leaving_ends_every_server_soon(tmp_path: Path) -> None:
    """Leaving the block ends all four, also with the controllers paused."""
    with control_plane(tmp_path) as cluster:
        pids = [getattr(cluster, part).pid for part in PARTS]
        cluster.pause_controllers()

    assert not any(map(alive, pids))
