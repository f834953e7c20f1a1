"""The gate says whether the version before runs on the new schema: by the text of the migrations, and on its copy.

Plain git makes the releases, plain HTTP reads the status, plain SQL looks at the server.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import flows.answering
import flows.prepare_release
from infra.lab.githost import GitHost
from infra.lab.postgres import Postgres
from recovery.databases import Smoke
from recovery.outlooks import Outlook
from recovery.restore_points import WayBack
from tests.integration.plain_git import commit, git, new_clone, rest
from tests.integration.way_back import Shop, new_shop

SMOKE = Smoke(sql="SELECT sum(amount) FROM orders", equals="5050")
numbers = itertools.count(1)


@dataclass
class Team:
    """A shop's database, and the repository from which it is released."""

    shop: Shop
    host: GitHost
    clone: Path
    patch: pytest.MonkeyPatch

    @property
    def name(self) -> str:
        """Of the repository."""
        return self.shop.service.repository

    def release(self, tag: str, files: dict[str, str], *, published: bool = True, pushed: bool = True) -> None:
        """Commit files and tag them, as the team does."""
        for path, text in files.items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            commit(self.clone, path, text)
        commit(self.clone, tag)
        git("tag", "--annotate", "-m", tag, tag, at=self.clone)
        if pushed:
            git("push", "--quiet", "origin", "main", "--tags", at=self.clone, token=self.host.token("team"))
        if published:
            path = f"/repos/{self.name}/releases"
            rest(self.host, self.host.token("team"), "POST", path, tag_name=tag, name=tag).raise_for_status()

    def bring(self, **files: str) -> None:
        """The release v1.2.0 with migrations, by the names of their files."""
        self.release("v1.2.0", {f"db/migrations/{name}.sql": text for name, text in files.items()}, published=False)

    def gate(self) -> WayBack:
        """The whole gate of v1.2.0."""
        entry = self.shop.service
        self.patch.setattr(flows.prepare_release, "read_service", lambda name: entry)
        return flows.prepare_release.prepare_release.fn(entry.name, "v1.2.0", rehearse=False)

    def outlook(self) -> Outlook:
        """What the gate says of the version before, of a way back that it proves."""
        way = self.gate()
        assert way.proved
        assert way.outlook is not None
        return way.outlook

    def status(self) -> tuple[str, str]:
        """The gate's status on the tag's commit."""
        path = f"/repos/{self.name}/commits/v1.2.0/statuses"
        [status] = rest(self.host, self.host.token("reader", write=False), "GET", path).raise_for_status().json()
        return status["state"], status["description"]


@pytest.fixture(name="team")
def _team(archiving: Postgres, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    number = next(numbers)
    with new_shop(archiving, f"ahead{number}", monkeypatch) as shop:
        for name, value in (
            ("GITHUB_API_URL", host.api_url), ("GITHUB_GIT_URL", host.url), ("GITHUB_TOKEN", host.token("ripcord")),
            ("LOCK_URL", archiving.dsn()),
        ):  # fmt: skip
            monkeypatch.setenv(f"RIPCORD_{name}", value)
        repository = f"acme/outlook{number}"
        clone = new_clone(host, repository, tmp_path / "clone")
        service = shop.service.model_copy(update={"repository": repository})
        team = Team(Shop(shop.server, shop.database, service), host, clone, monkeypatch)
        team.release("v1.1.0", {"db/migrations/0001.sql": "CREATE TABLE orders (id int);"})
        yield team


def test_a_release_without_migrations_would_be_reverted(team: Team) -> None:
    """The answer stands in the value, in the sentence and on the tag's commit."""
    team.release("v1.2.0", {"app.py": "print()\n"}, published=False)

    way = team.gate()

    assert way.outlook is not None
    assert (way.outlook.runs, way.outlook.recovery, way.outlook.before) == (True, "revert", "v1.1.0")
    said = "v1.1.0 still runs on the new schema: yes, because no migration lies between v1.1.0 and v1.2.0"
    assert f"{said}; a recovery would be a revert" in way.sentence
    state, description = team.status()
    assert state == "success"
    assert description.startswith("v1.1.0 runs on the new schema; a recovery would be a revert. a copy was restored to")


def test_a_migration_that_takes_a_column_away_means_a_hotfix(team: Team) -> None:
    """The deployment is let through all the same: this informs."""
    team.bring(**{"0002": "ALTER TABLE orders DROP COLUMN amount;"})

    outlook = team.outlook()

    assert (outlook.runs, outlook.recovery) == (False, "hotfix")
    assert outlook.reason.startswith("v1.1.0 still runs on the new schema: no, because ")
    assert outlook.reason.endswith("; a recovery would be a hotfix")
    state, description = team.status()
    assert state == "success"
    assert description.startswith("v1.1.0 does not run on the new schema; a recovery would be a hotfix. ")


def test_what_git_does_not_tell_is_said_and_refuses_nothing(team: Team) -> None:
    """The tag is not there yet, or the Git host is down: the way back is proved all the same."""
    shop = team.shop
    entry = shop.service
    team.patch.setattr(flows.answering, "write_status", lambda *said: None)
    for address, why in ((team.host.url, "no tag v1.2.0"), ("http://127.0.0.1:1", "127.0.0.1:1")):
        team.patch.setenv("RIPCORD_GITHUB_GIT_URL", address)
        team.patch.setattr(flows.prepare_release, "read_service", lambda name: entry)

        outlook = team.outlook()

        assert (outlook.runs, outlook.recovery) == (None, None)
        assert outlook.reason.startswith("whether the version before still runs on the new schema is not told: ")
        assert why in outlook.reason
