"""An Alertmanager that routes as in production: what asks for ripcord goes to the alert receiver."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import httpx

from infra.lab.build import observability
from infra.lab.process import Process, free_port, run, wait_until
from infra.lab.restart import Restartable

ROUTES = Path(__file__).parents[1] / "alertmanager" / "alertmanager.yml"
READY_SECONDS = 60.0


class Alertmanager(Restartable):
    """A running Alertmanager, with its own pages at `url`."""

    def __init__(self, directory: Path, config: Path) -> None:
        super().__init__(self._serve)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._config = config

    @contextmanager
    def _serve(self) -> Iterator[Process]:
        argv = [
            str(observability() / "alertmanager"),
            f"--config.file={self._config}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--web.external-url={self.url}",
            f"--storage.path={self._directory / 'alertmanager-data'}",
            "--cluster.listen-address=",  # alone: no gossip port on all addresses
        ]
        with run("alertmanager", argv, directory=self._directory) as process:
            wait_until(self._answers, what="Alertmanager", seconds=READY_SECONDS, process=process)
            yield process

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def alertmanager(directory: Path, receiver_url: str, token: str) -> Iterator[Alertmanager]:
    """Run Alertmanager; its log is `<directory>/alertmanager.log`.

    Alerts that ask for it are posted to `<receiver_url>/alerts/alertmanager` with the bearer token, which lies
    in a file that we alone can read.

    Raises LabError when it cannot be built or does not answer in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    server = Alertmanager(directory, _render(directory, receiver_url, token))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _render(directory: Path, receiver_url: str, token: str) -> Path:
    secret = directory / "alertmanager.token"
    secret.touch(mode=0o600)
    secret.write_text(token)
    text = Template(ROUTES.read_text()).substitute(
        # JSON strings are YAML strings: no address can break out of its place.
        RIPCORD_URL=json.dumps(receiver_url.rstrip("/"))[1:-1],
        RIPCORD_TOKEN_FILE=json.dumps(str(secret.resolve()))[1:-1],
    )
    config = directory / "alertmanager.yml"
    config.write_text(text)
    return config
