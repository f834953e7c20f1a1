"""A shop's database whose gate or drill is walked by a process of its own, which dies where it is told."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from infra.lab.githost import GitHost, git_host
from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from recovery.journals import journal_name
from tasks.git.opening import PREFIX
from tests.integration.plain_git import git, new_clone, rest
from tests.integration.walker import Walker, walker
from tests.integration.way_back import URL, Shop, new_shop

ROOT = Path(__file__).parents[2]


class Case:
    """One database, one repository with the tag v1.2.0, and what plain programs see of both."""

    def __init__(
        self, shop: Shop, host: GitHost, walker: Walker, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.shop, self.host, self.walker, self.directory = shop, host, walker, directory
        self.environment = environment
        self.repository = f"acme/{shop.service.name}"
        clone = new_clone(host, self.repository, directory / "clone")
        git("tag", "--annotate", "-m", "v1.2.0", "v1.2.0", at=clone)
        git("push", "--quiet", "origin", "main", "--tags", at=clone, token=host.token("team"))
        database = shop.database.model_dump(mode="json", exclude_defaults=True)
        entry = {"name": shop.service.name, "namespace": "acme", "repository": self.repository, "database": database}
        (directory / "services.yaml").write_text(yaml.safe_dump({"services": [entry]}))

    def walk(self, name: str, effect: int) -> list[str]:
        """Walk until the effect kills, or to the end; returns the effects."""
        environment = {
            "RIPCORD_CATALOGUE": str(self.directory / "services.yaml"),
            "RIPCORD_GITHUB_API_URL": self.host.api_url,
            "RIPCORD_GITHUB_GIT_URL": self.host.url,
            "RIPCORD_GITHUB_TOKEN": self.host.token("ripcord"),
            "RIPCORD_POSTGRES_BIN": str(self.shop.server.binaries),
            "RIPCORD_POSTGRES_USER": self.shop.server.runs_as or "",
            "RIPCORD_ARCHIVE": str(self.directory / "archive"),
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
            URL: self.shop.server.dsn(self.shop.service.name),
            **self.environment,
        }
        ended, seen, said = self.walker.walk(name, effect, environment)
        assert ended == (-9 if effect else 0), said
        wait_until(lambda: not self.running(), what="the end of the killed programs", seconds=10)
        return seen

    def running(self) -> list[str]:
        """Processes that know the directory of the sets."""
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.append(each.read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return [said for said in found if self.shop.database.backups in said]

    def rests(self) -> list[str]:
        """Sockets and scratch in the temporary directory. A copy of Git's is swept a day later: test_left_behind.py."""
        return sorted(path.name for path in self.walker.temporary.iterdir() if not path.name.startswith(PREFIX))

    def statuses(self) -> list[tuple[str, str]]:
        """The gate's statuses on the tag's commit, the newest first."""
        path = f"/repos/{self.repository}/commits/v1.2.0/statuses"
        answer = rest(self.host, self.host.token("reader", write=False), "GET", path).raise_for_status()
        return [(each["context"], each["state"]) for each in answer.json()]

    def points(self) -> list[str]:
        """Every restore point of this service in the archive, or in the WAL of its set, as pg_waldump reads it."""
        names = []
        place = self.shop.server.archive if self.shop.database.archive else self.shop.place().wal
        for segment in sorted(place.iterdir()):
            argv = [str(self.shop.server.binaries / "pg_waldump"), "--rmgr=XLOG", str(segment)]
            printed = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            names += re.findall(r"RESTORE_POINT (\S+)", printed)
        return [name for name in names if name.startswith(f"{self.shop.service.name}-")]

    def assert_one_point(self, *, burnt: bool, journal: bool = False) -> None:
        """One set; its point once in the archive and in the register, as recorded; one yes; no rest.

        A forgotten replication slot fills the server's disk; where a journal is wanted there is that of the point.
        """
        shop, then = self.shop, self.shop.then()
        assert shop.sets() == [then.name]
        assert shop.sql("SELECT name, lsn::text, attempt FROM ripcord.restore_points") == [
            (then.name, then.lsn, 2 if burnt else 1)
        ]
        assert self.points().count(then.name) == 1
        assert len(self.points()) == len(set(self.points())) <= (2 if burnt else 1)
        assert then.before.counts == then.after.counts == {"public.orders": 100}
        assert self.statuses() == [("ripcord/gate", "success")]
        kept = [(journal_name(shop.service.name, "v1.2.0", then.name),)] if journal else []
        mine = "database IS NULL OR database = current_database()"
        assert shop.sql(f"SELECT slot_name::text FROM pg_replication_slots WHERE {mine}") == kept
        assert self.rests() == []

    def verify(self, data: Path) -> None:
        """What pg_verifybackup says of a set."""
        argv = [str(self.shop.server.binaries / "pg_verifybackup"), "--quiet", str(data)]
        subprocess.run(argv, check=True, capture_output=True)


@dataclass(frozen=True)
class Manager:
    """What keeps backups and WAL instead of PostgreSQL's own programs."""

    words: Mapping[str, object]
    environment: Mapping[str, str]


class Stage:
    """The servers that all cases of a module share."""

    def __init__(self, server: Postgres, host: GitHost, walker: Walker) -> None:
        self.server, self.host, self.walker = server, host, walker
        self._numbers = itertools.count(1)

    @contextmanager
    def case(self, place: Path, monkeypatch: pytest.MonkeyPatch, manager: Manager | None = None) -> Iterator[Case]:
        """A case, whose sets are removed at its end: a matrix of them would fill the disk."""
        manager = manager or Manager({}, {})
        with new_shop(self.server, f"case{next(self._numbers)}x", monkeypatch) as shop:
            try:
                yield Case(shop.with_(**manager.words), self.host, self.walker, place, manager.environment)
            finally:
                shutil.rmtree(shop.database.backups)


@contextmanager
def stage(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """The servers, and the process that walks on them."""
    with (
        postgres(directory / "archiving", settings=settings, archiving=True) as server,
        git_host(directory / "githost") as host,
        walker(directory, "tests.walks.databases") as process,
    ):
        yield Stage(server, host, process)
