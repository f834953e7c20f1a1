"""The team that ships: feature branches by pull request into `develop`, releases by tag on `main`.

All is done as people do it, with plain git over HTTP and GitHub's API; what they write is in `shop_source/`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from infra.lab.githost import GitHost
from infra.lab.process import LabError
from infra.lab.shop_source.history import JON, MINA, RELEASES, Branch, Work, tree
from infra.lab.worktree import Worktree

AGE = {"v1.0.0": timedelta(days=14), "v1.1.0": timedelta(days=7)}
"""How long ago the first releases were made: GitHub orders releases by the date of the tagged commit."""
WORK = timedelta(hours=30)
"""How long before its release the team begins with the work, at an hour a commit."""
HOUR = timedelta(hours=1)


class Team:
    """One service's repository `acme/<service>`, and the people who work on it."""

    def __init__(self, host: GitHost, *, directory: Path, service: str = "shop", faulty: bool = True) -> None:
        """`faulty=False` makes a v1.2.0 whose coupons work."""
        self.repository = f"acme/{service}"
        self._service, self._faulty = service, faulty
        self._api = f"{host.api_url}/repos/{self.repository}"
        host.create_repository(self.repository)
        path = directory / service
        path.mkdir(parents=True)
        self._clone = Worktree(path, host.clone_url(self.repository), host.token("team"))
        self._clock = datetime.now(UTC) - timedelta(days=16)

    def start(self) -> str:
        """Make the history up to the release of v1.0.0, and return that tag's commit."""
        git = self._clone.git
        git("init", "--quiet", "--initial-branch=main")
        git("remote", "add", "origin", self._clone.url)
        self._commit(MINA, Work(f"Start the {self._service}", ("README.md",)), tree("v1.0.0", self._service))
        git("branch", "develop")
        git("push", "--quiet", "--set-upstream", "origin", "main", "develop")
        return self.release("v1.0.0")

    def release(self, version: str) -> str:
        """Do a release's work, merge develop into main, tag, push, publish; return the tag's commit.

        A version that `shop_source` does not have releases what develop has gathered by other hands.
        """
        due = datetime.now(UTC) - AGE.get(version, timedelta())
        self._pull()
        self._clock = max(self._clock, due - WORK)
        self._develop(version)
        self._clock = max(self._clock, due)
        self._on("main")
        self._merge("develop", f"Release {version}", MINA)
        self._clone.git("tag", "--annotate", "-m", f"Release {version}", version, who=MINA, when=self._clock)
        self._clone.git("push", "--quiet", "--atomic", "origin", "main", "develop", f"refs/tags/{version}")
        self._publish(version)
        return self._clone.git("rev-parse", f"refs/tags/{version}^{{commit}}")

    def commit_on(self, branch: str, files: Mapping[str, str], message: str, author: str = JON) -> str:
        """Add later work to `main` or `develop` and push it; return the commit."""
        self._pull()
        self._on(branch)
        self._clock = max(self._clock, datetime.now(UTC))
        self._commit(author, Work(message, tuple(files)), files)
        self._clone.git("push", "--quiet", "origin", branch)
        return self._clone.git("rev-parse", "HEAD")

    def _develop(self, version: str) -> None:
        files = tree(version, self._service, faulty=self._faulty) if version in RELEASES else {}
        for branch in RELEASES.get(version, ()):
            self._feature(branch, files)
        self._on("develop")
        changelog = files.get("CHANGELOG.md") or self._changelog(version)
        self._commit(MINA, Work(f"Prepare {version}", ("CHANGELOG.md",)), {"CHANGELOG.md": changelog})

    def _feature(self, branch: Branch, files: Mapping[str, str]) -> None:
        git = self._clone.git
        git("checkout", "--quiet", "-b", branch.name, "develop")
        for work in branch.commits:
            self._clock += HOUR
            self._commit(branch.author, work, files)
        git("push", "--quiet", "origin", branch.name)
        request = {"title": branch.title, "head": branch.name, "base": "develop"}
        number = self._post("/pulls", request)["number"]
        self._on("develop")
        message = f"Merge pull request #{number} from acme/{branch.name}\n\n{branch.title}"
        self._merge(branch.name, message, branch.author)
        git("push", "--quiet", "origin", "develop", f":{branch.name}")
        git("branch", "--quiet", "--delete", "--force", branch.name)

    def _changelog(self, version: str) -> str:
        head, _, rest = (self._clone.path / "CHANGELOG.md").read_text().partition("\n\n")
        return f"{head}\n\n## {version}\n\n- Work of these days.\n\n{rest}"

    def _publish(self, version: str) -> None:
        changelog = self._clone.git("show", f"{version}:CHANGELOG.md")
        notes = changelog.partition(f"## {version}\n\n")[2].partition("\n\n## ")[0].strip()
        self._post("/releases", {"tag_name": version, "name": version, "body": notes})

    def _pull(self) -> None:
        self._clone.git("fetch", "--quiet", "--prune", "origin")
        for branch in ("main", "develop"):
            self._on(branch)
            self._clone.git("merge", "--quiet", "--ff-only", f"origin/{branch}")

    def _on(self, branch: str) -> None:
        self._clone.git("checkout", "--quiet", branch)

    def _commit(self, author: str, work: Work, files: Mapping[str, str]) -> None:
        self._clone.write({path: files[path] for path in work.files})
        self._clone.git("commit", "--quiet", "-m", work.message, who=author, when=self._tick())

    def _merge(self, branch: str, message: str, who: str) -> None:
        self._clone.git("merge", "--quiet", "--no-ff", "-m", message, branch, who=who, when=self._tick())

    def _tick(self) -> datetime:
        """Time goes on with every commit, at least by the second that Git can tell apart."""
        self._clock += timedelta(seconds=1)
        return self._clock

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._clone.token}"}
        answer = httpx.post(f"{self._api}{path}", json=body, headers=headers, timeout=30, trust_env=False)
        if answer.is_error:
            raise LabError(f"POST {path} of {self.repository}: {answer.status_code} {answer.text}")
        return dict(answer.json())
