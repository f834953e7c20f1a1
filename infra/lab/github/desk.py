"""What a repository's administrator and its apps do, without a call: settings, rules, checks, runs."""

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from infra.lab.github.answers import now
from infra.lab.github.application import repositories
from infra.lab.github.bare import Bare
from infra.lab.github.checks import new_check
from infra.lab.github.courier import ACTIONS
from infra.lab.github.runs import new_run
from infra.lab.github.signing import signers
from infra.lab.github.store import Document, Store


class Desk:
    """The administrator's side of a GitHub, over the same store as the server."""

    directory: Path
    _store: Store

    def app_token(self, app: str, *, write: bool = True, workflows: bool = False) -> str:
        """The `ghs_` token of an app's installation; without `workflows` it may push no workflow file."""
        return self._new_user(f"{app}[bot]", "ghs", write=write, workflows=workflows, account="Bot")

    def actions_token(self) -> str:
        """The token that a workflow gets: what it does starts no workflow, and it may push no workflow file."""
        return self._new_user(ACTIONS, "ghs", write=True, workflows=False, account="Bot")

    def register_app(self, slug: str, public_key: str) -> int:
        """Register a GitHub App with the public half (PEM) of the key that it signs with; returns its id."""
        return int(self._store.add("app", slug=slug, public_key=public_key, client_id=f"Iv23li{slug}")["id"])

    def install_app(
        self, app: int, owner: str, *, write: bool = True, workflows: bool = True, seconds: float = 3600
    ) -> int:
        """Install an App on all repositories of an owner, with tokens that live so long; returns the installation."""
        slug = next(each["slug"] for each in self._store.all("app") if each["id"] == app)
        self._new_user(f"{slug}[bot]", "ghs", write=write, workflows=workflows, account="Bot")
        made = self._store.add(
            "installation", app=app, owner=owner, write=write, workflows=workflows, seconds=seconds, suspended=False
        )
        return int(made["id"])

    def suspend_app(self, installation: int) -> None:
        """Let an installation have no token from now on; those that it has are good no more."""
        found = next(each for each in self._store.all("installation") if each["id"] == installation)
        self._store.change(found, suspended=True)
        self.revoke_app_tokens()

    def revoke_app_tokens(self) -> None:
        """End every token of every installation at once."""
        for token in self._store.all("app_token"):
            self._store.change(token, until=0)

    def revoke_token(self, user: str) -> None:
        """Take a user's token away."""
        self._store.change(self._store.all("user", login=user)[0], token="")

    def protect(
        self, full_name: str, branch: str, required_checks: Sequence[str] = (), *, signatures: bool = False,
        strict: bool = False, pull_request: bool = True, merge_queue: bool = False, reviews: int = 0,
        ruleset: bool = False,
    ) -> None:  # fmt: skip
        """Protect a branch, in place of the rules it had; `ruleset` for rules that every reader sees (GH013)."""
        self.unprotect(full_name, branch)
        self._store.add(
            "protection", full_name, branch=branch, required_checks=list(required_checks), signatures=signatures,
            strict=strict, pull_request=pull_request, merge_queue=merge_queue, reviews=reviews, ruleset=ruleset,
        )  # fmt: skip

    def unprotect(self, full_name: str, branch: str) -> None:
        """Take the rules from a branch."""
        for rules in self._store.all("protection", full_name, branch=branch):
            self._store.remove(rules)

    def allow_merges(self, full_name: str, *methods: str) -> None:
        """Allow only these ways to merge a request: merge, squash, rebase."""
        self._store.change(self._known(full_name), merge_methods=list(methods))

    def immutable_releases(self, full_name: str, *, enabled: bool = True) -> None:
        """Make the releases that are published from now on immutable."""
        self._store.change(self._known(full_name), immutable_releases=enabled)

    def lag_heads(self, full_name: str, seconds: float) -> None:
        """Let pull requests notice that long after a push that their head has moved, as GitHub's sometimes do."""
        self._store.change(self._known(full_name), head_lag_seconds=seconds)

    def trust_key(self, public_key: str) -> None:
        """Register an SSH key for signing: commits that it has signed are verified."""
        with signers(repositories(self.directory)).open("a") as file:
            file.write(f"* {public_key.strip()}\n")

    def rename(self, full_name: str, to: str) -> None:
        """Give a repository another `owner/name`; calls for the old one are redirected."""
        repository = self._known(full_name)
        path = repositories(self.directory) / f"{to}.git"
        path.parent.mkdir(exist_ok=True)
        shutil.move(repositories(self.directory) / f"{full_name}.git", path)
        self._store.rename(repository, to)

    def set_check(
        self, full_name: str, ref: str, name: str, conclusion: str | None = "success", *, app: str = "github-actions"
    ) -> int:
        """Have an app say of a commit how its check went, or with None that it is running; returns its id."""
        sha = self._commit(full_name, ref)
        return int(self._store.add("check_run", full_name, **new_check(name, sha, conclusion, app))["id"])

    def approve(self, full_name: str, number: int, user: str) -> None:
        """Have a user approve of a pull request."""
        self._store.add(
            "review", full_name, number=number, user=user, state="APPROVED", body="", submitted_at=now(), commit_id=None
        )

    def start_run(
        self, full_name: str, tag: str, *, workflow: str = "deploy.yml", event: str = "push", actor: str = "ghost"
    ) -> int:
        """Have a workflow start for a tag (or branch) that was pushed; returns the run's id."""
        number = len(self._store.all("workflow_run", full_name)) + 1
        run = new_run(number, self._commit(full_name, tag), tag, event, workflow, actor)
        return int(self._store.add("workflow_run", full_name, **(run | {"status": "in_progress"}))["id"])

    def finish_run(self, full_name: str, run_id: int, conclusion: str = "success") -> None:
        """Let a workflow run end."""
        run = next(run for run in self._store.all("workflow_run", full_name) if run["id"] == run_id)
        self._store.change(run, status="completed", conclusion=conclusion, updated_at=now())

    def _new_user(self, login: str, prefix: str, *, write: bool, workflows: bool, account: str) -> str:
        found = self._store.first("user", login=login)
        if found is None:
            token = f"{prefix}_{secrets.token_hex(18)}"
            found = self._store.add("user", login=login, token=token, write=write, workflows=workflows, account=account)
        return str(found["token"])

    def _known(self, full_name: str) -> Document:
        found = self._store.first("repository", full_name=full_name)
        if found is None:
            raise LookupError(f"there is no repository {full_name}: create it first")
        return found

    def _commit(self, full_name: str, ref: str) -> str:
        sha = Bare(repositories(self.directory) / f"{full_name}.git").commit_of(ref)
        if sha is None:
            raise LookupError(f"{full_name} has no {ref}: push it first")
        return sha
