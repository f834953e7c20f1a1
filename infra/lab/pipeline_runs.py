"""The pipeline's runs: each (repository, tag, object) once, in order per service, remembered in a file."""

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

VERSION = re.compile(r"refs/tags/(v\d+\.\d+\.\d+)")
REPOSITORY = re.compile(r"acme/[a-z][a-z0-9-]*")
ZERO = "0" * 40


@dataclass
class Run:
    """One deployment of one tag; `sha` is what the tag pointed to when it was pushed."""

    id: int
    repository: str
    tag: str
    sha: str
    commit: str
    state: str = "queued"
    """queued, running, success, failure; interrupted when the pipeline itself died meanwhile."""
    reason: str = ""
    queued_at: str = ""
    started_at: str = ""
    ended_at: str = ""

    @property
    def service(self) -> str:
        """The repository without its owner."""
        return self.repository.split("/")[1]


def tag_push(event: str, payload: dict[str, Any]) -> dict[str, str] | None:
    """What to deploy when this event is the push of a version's tag of ours; None for any other event."""
    repository = payload.get("repository", {}).get("full_name", "")
    tag = VERSION.fullmatch(payload.get("ref", ""))
    if event != "push" or not tag or payload["after"] == ZERO or not REPOSITORY.fullmatch(repository):
        return None
    commit = payload["head_commit"]["id"]
    return {"repository": repository, "tag": tag[1], "sha": payload["after"], "commit": commit}


class Runs:
    """All runs. One worker per service: a later tag waits for the earlier one, as a real pipeline's lock does."""

    def __init__(self, file: Path, work: Callable[[Run], str]) -> None:
        """Take up the file; what ran when the pipeline died is not run again by itself."""
        self._file, self._work = file, work
        self._lock = threading.Lock()
        self._workers: dict[str, ThreadPoolExecutor] = {}
        self._runs = [Run(**run) for run in json.loads(file.read_text())] if file.exists() else []
        for run in self._runs:
            if run.state in ("queued", "running"):
                run.state, run.reason = "interrupted", "the pipeline was restarted"

    def begin(self, repository: str, tag: str, sha: str, commit: str) -> Run | None:
        """Queue a deployment, unless this very object was already deployed under this tag."""
        with self._lock:
            twins = [r for r in self._runs if (r.repository, r.tag, r.sha) == (repository, tag, sha)]
            if any(twin.state != "interrupted" for twin in twins):
                return None
            run = Run(len(self._runs) + 1, repository, tag, sha, commit, queued_at=_now())
            self._runs.append(run)
            self._save()
            worker = self._workers.setdefault(run.service, ThreadPoolExecutor(max_workers=1))
        worker.submit(self._perform, run)
        return run

    def as_json(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        with self._lock:
            return [asdict(run) for run in self._runs]

    def _perform(self, run: Run) -> None:
        self._note(run, state="running", started_at=_now())
        try:
            reason = self._work(run)
            self._note(run, state="success", reason=reason, ended_at=_now())
        except Exception as error:
            self._note(run, state="failure", reason=f"{error}", ended_at=_now())

    def _note(self, run: Run, **changes: str) -> None:
        with self._lock:
            for name, value in changes.items():
                setattr(run, name, value)
            self._save()

    def _save(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(run) for run in self._runs]))
        fresh.replace(self._file)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
