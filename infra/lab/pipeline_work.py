"""What the pipeline does with one tag: build, ask the gate, apply, wait, report."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.lab.pipeline_gate import Gate
from infra.lab.pipeline_runs import Run
from infra.lab.process import LabError
from infra.lab.worktree import Worktree

ENVIRONMENT = "production"
CONTEXT = "ci/deploy"
LONGEST = 140
"""GitHub's limit for the description of a status, in characters."""


@dataclass(frozen=True)
class Report:
    """Tells GitHub how it goes. A report that does not get through does not stop a deployment."""

    api: str
    token: str = field(repr=False)
    runs_url: str

    def deployment(self, run: Run) -> int | None:
        """Begin a GitHub Deployment and return its id."""
        body = {"ref": run.tag, "environment": ENVIRONMENT, "auto_merge": False, "required_contexts": []}
        made = self._post(run, "deployments", body)
        return int(made["id"]) if made else None

    def progress(self, run: Run, deployment: int | None, state: str, description: str) -> None:
        """Report a state on the deployment and on the commit."""
        log = f"{self.runs_url}/{run.id}"
        said = {"description": description.replace("\n", " ")[:LONGEST]}
        if deployment is not None:
            body = said | {"state": state, "environment": ENVIRONMENT, "log_url": log}
            self._post(run, f"deployments/{deployment}/statuses", body)
        mark = {"in_progress": "pending"}.get(state, state)
        self._post(run, f"statuses/{run.commit}", said | {"state": mark, "context": CONTEXT, "target_url": log})

    def _post(self, run: Run, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        for pause in (0.5, 2.0, None):
            try:
                headers = {"Authorization": f"Bearer {self.token}"}
                url = f"{self.api}/repos/{run.repository}/{path}"
                answer = httpx.post(url, json=body, headers=headers, timeout=10, trust_env=False)
                answer.raise_for_status()
                return dict(answer.json())
            except httpx.HTTPError:
                if pause is not None:
                    time.sleep(pause)
        return None


@dataclass(frozen=True)
class Work:
    """The steps, and what they need."""

    directory: Path
    registry: Path
    host_url: str
    read_token: str = field(repr=False)
    kubeconfig: Path
    kubectl: Path
    rollout_seconds: float
    report: Report
    gate: Gate

    def __call__(self, run: Run) -> str:
        """Deploy one tag and say what became of it; raises LabError when it did not get there."""
        deployment = self.report.deployment(run)
        self.report.progress(run, deployment, "in_progress", f"deploying {run.tag}")
        try:
            tree = self._build(run)
            self.gate.ask(run.service, run.tag)
            self._apply(run, tree)
            self._settle(run)
        except Exception as error:
            self.report.progress(run, deployment, "failure", str(error))
            raise
        said = f"{run.service} {run.tag} rolled out"
        self.report.progress(run, deployment, "success", said)
        return said

    def _build(self, run: Run) -> Path:
        """Put the tag's tree into the registry, all of it or nothing."""
        place = self.registry / run.service / run.tag
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".build-") as building:
            fetched = Path(building) / "git"
            fetched.mkdir()
            clone = Worktree(fetched, f"{self.host_url}/{run.repository}.git", self.read_token)
            clone.git("init", "--quiet", "--bare")
            clone.git("fetch", "--quiet", "--depth=1", clone.url, f"refs/tags/{run.tag}")
            if clone.git("rev-parse", "FETCH_HEAD") != run.sha:
                raise LabError(f"{run.tag} was moved after it was pushed as {run.sha[:12]}")
            image = Path(building) / "image"
            image.mkdir()
            clone.git(f"--work-tree={image}", "checkout", "--quiet", "FETCH_HEAD", "--", ".")
            if place.exists():
                place.rename(Path(building) / "before")
            image.rename(place)
        return place

    def _apply(self, run: Run, tree: Path) -> None:
        """Apply `deploy/*.yaml` of the tag, with its name for the word RELEASE."""
        manifests = [file.read_text() for file in sorted((tree / "deploy").glob("*.yaml"))]
        if not manifests:
            raise LabError(f"{run.tag} has no deploy/*.yaml")
        self._kubectl("apply", "-f", "-", manifest="\n---\n".join(manifests).replace("RELEASE", run.tag))

    def _settle(self, run: Run) -> None:
        """Wait for the rollout, and see that it is still ours: an undo meanwhile rolls out well, too."""
        name = f"deployment/{run.service}"
        self._kubectl("rollout", "status", name, f"--timeout={self.rollout_seconds:g}s")
        image = self._kubectl("get", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
        if not image.endswith(f":{run.tag}"):
            raise LabError(f"{run.tag} was replaced by {image} while it rolled out")

    def _kubectl(self, *args: str, manifest: str | None = None) -> str:
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        argv = [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", "--namespace=acme", *args]
        patience = self.rollout_seconds + 60
        done: subprocess.CompletedProcess[str] = subprocess.run(
            argv, env=env, input=manifest, capture_output=True, text=True, timeout=patience, check=False
        )
        if done.returncode:
            raise LabError(f"kubectl {args[0]}: {done.stderr.strip()}")
        return done.stdout.strip()
