"""The lab's shop when what it stands on dies, or who has started it."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from infra.lab.process import wait_until
from infra.lab.shop import Shop
from tests.integration.shop_world import World

ROOT = Path(__file__).parents[2]


def _wait_for_log(running: Shop, line: str) -> None:
    wait_until(lambda: line in running.process.tail(3), what=f"{line!r} in the log", seconds=5)


def test_the_last_known_pods_serve_while_the_control_plane_is_down(world: World) -> None:
    """A dead API server takes no traffic down, and what it says after its return is followed."""
    world.deploy("v1.0.0")

    world.cluster.apiserver.kill()
    _wait_for_log(world.shop, "keeping the 3 known")
    during = [world.get("/catalogue").status_code for _ in range(10)]
    world.cluster.restart("apiserver")
    _wait_for_log(world.shop, "following the API server again")
    after = world.known()

    assert during == [200] * 10
    assert after == world.ready()
    world.deploy("v1.1.0")
    assert world.get("/catalogue").headers["X-Version"] == "v1.1.0"


def test_connections_that_the_database_has_ended_cost_no_customer_anything(world: World) -> None:
    """After a restart or a cutover of the database the next requests are served on new connections."""
    world.deploy("v1.0.0")
    assert world.post("/checkout").status_code == 201

    theirs = "FROM pg_stat_activity WHERE application_name = 'shop'"
    ended = world.psql(f"SELECT pg_terminate_backend(pid) {theirs}")
    wait_until(lambda: world.psql(f"SELECT count(*) {theirs}") == "0", what="the end of all", seconds=10)

    assert "t" in ended.split()
    assert [world.post("/checkout").status_code for _ in range(10)] == [201] * 10


def test_killing_the_parent_leaves_nothing_running(world: World, tmp_path: Path) -> None:
    """kill -9 of who started shop, customers and sink ends all three, and the password was in no argv."""
    script = textwrap.dedent(
        """
        import signal, sys
        from pathlib import Path
        from infra.lab.customers import customers
        from infra.lab.shop import shop
        from infra.lab.sink import sink
        directory, kubeconfig, registry = map(Path, sys.argv[1:])
        dsn = sys.stdin.readline().strip()
        with (
            shop(directory, kubeconfig=kubeconfig, registry=registry, dsn=dsn) as running,
            customers(directory, running.url) as buying,
            sink(directory) as keeping,
        ):
            print(running.process.pid, buying.process.pid, keeping.process.pid, flush=True)
            signal.pause()
        """
    )
    argv = [sys.executable, "-c", script, str(tmp_path), str(world.cluster.kubeconfig), str(world.registry)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(world.database.dsn("shop") + "\n")
        parent.stdin.flush()
        processes = [Path("/proc") / pid for pid in parent.stdout.readline().split()]
        arguments = [(process / "cmdline").read_text() for process in processes]
        parent.send_signal(signal.SIGKILL)

    assert len(processes) == 3
    assert all(world.database.password not in argument for argument in arguments)
    wait_until(lambda: not any(map(Path.exists, processes)), what="the end of all three", seconds=10)
