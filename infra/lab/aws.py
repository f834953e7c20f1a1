"""A stand-in for AWS's API: moto's server, which keeps RDS instances and clusters as records and runs none of them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from infra.lab.process import free_port, run, wait_until

READY_SECONDS = 60.0


@contextmanager
def aws(directory: Path) -> Iterator[str]:
    """Run the server and yield its address, for AWS_ENDPOINT_URL; its log is `<directory>/moto.log`.

    Raises LabError when it does not answer in time.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/moto-api/data.json", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with run("moto", argv, directory=directory) as process:
        wait_until(answers, what="moto", seconds=READY_SECONDS, process=process)
        yield url
