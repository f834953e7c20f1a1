"""A Prometheus that scrapes the lab every second and evaluates the production rules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from infra.lab.build import observability
from infra.lab.process import LabError, Process, free_port, run, wait_until
from infra.lab.restart import Restartable

RULES = Path(__file__).parents[1] / "prometheus" / "rules.yml"
EVALUATION = "2s"
READY_SECONDS = 60.0


class Prometheus(Restartable):
    """A running Prometheus; a restart keeps its port and what it has seen."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        super().__init__(self._serve)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._config = config

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The rows of an instant query, as the API gives them: `metric` and `value` (seconds, text).

        Raises LabError with Prometheus' own words when it refuses the query.
        """
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=30, trust_env=False).json()
        if answer["status"] != "success":
            raise LabError(f"Prometheus refused {promql!r}: {answer['error']}")
        rows: list[dict[str, Any]] = answer["data"]["result"]
        return rows

    def retarget(self, targets: Mapping[str, str]) -> None:
        """Scrape other targets from now on, without a restart.

        Raises LabError when Prometheus does not take the configuration.
        """
        self._config = {**self._config, "scrape_configs": _jobs(targets)}
        self._write()
        answer = httpx.post(f"{self.url}/-/reload", timeout=30, trust_env=False)
        if not answer.is_success:
            raise LabError(f"Prometheus did not take its new targets: {answer.text}")

    @contextmanager
    def _serve(self) -> Iterator[Process]:
        argv = [
            str(observability() / "prometheus"),
            f"--config.file={self._write()}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--storage.tsdb.path={self._directory / 'prometheus-data'}",
            "--storage.tsdb.retention.time=6h",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=10s",
        ]
        with run("prometheus", argv, directory=self._directory) as process:
            wait_until(self._answers, what="Prometheus", seconds=READY_SECONDS, process=process)
            yield process

    def _write(self) -> Path:
        path = self._directory / "prometheus.yml"
        path.write_text(yaml.safe_dump(dict(self._config)))
        return path

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(
    directory: Path,
    targets: Mapping[str, str],
    alertmanager: str | None,
    interval: str = "1s",
    rules: Path = RULES,
) -> Iterator[Prometheus]:
    """Run Prometheus on `targets` (job to host:port); its log is `<directory>/prometheus.log`.

    `alertmanager` is the URL of the one that gets the alerts, None for none; `interval` is the time between
    scrapes. It has no pages, only the API: their files are not in the Go module.

    Raises LabError when it cannot be built or does not answer in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    server = Prometheus(directory, _config(targets, alertmanager, interval, rules))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _config(targets: Mapping[str, str], alertmanager: str | None, interval: str, rules: Path) -> dict[str, Any]:
    managers = [alertmanager.removeprefix("http://")] if alertmanager else []
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": EVALUATION},
        "rule_files": [str(rules.resolve())],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": managers}]}]},
        "scrape_configs": _jobs(targets),
    }


def _jobs(targets: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()]
