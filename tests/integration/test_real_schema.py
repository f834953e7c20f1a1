"""A real application's schema, with its real migrations, on the whole way: gate, bad migration, hotfix, catastrophe.

The application is Prefect, at a revision of its own history; the release is the next one, which drops columns.
Witnesses are plain SQL, psql, pg_dump, plain git, and Prefect's own upgrade at the end.
"""

import csv
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from prefect.logging import disable_run_logger

from flows.prepare_release import prove
from infra.lab.postgres import Postgres
from recovery.databases import Smoke
from recovery.hotfixes import judge_feasibility, plan_hotfix
from recovery.reverts import plan_revert
from recovery.salvages import parted_beside
from recovery.versions import parse_version
from tasks.git import push_hotfix, read_ahead, read_history, read_range
from tasks.postgres.salvage import find_point, read_export, read_servers, write_export
from tests.histories.chain import CAUSE, released, service_of
from tests.histories.remote import Remote, git
from tests.integration.mending import mending
from tests.integration.restoring import Street, new_street

ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)
STABLE, FAULTY = "68a44144428d", "5d03c01be85e"  # Prefect's "Sync ORM models and migrations" drops seven columns
RELEASES = released("v1.0.0", "v1.1.0", "v1.2.0")
OLD_CODE = "SELECT name, schedule, is_schedule_active FROM deployment"
FILLED = """
INSERT INTO flow (name) SELECT 'flow ' || n FROM generate_series(1, 50) n;
INSERT INTO deployment (name, flow_id, schedule, is_schedule_active)
    SELECT 'deployment of ' || name, id, '{"interval": 60}', true FROM flow;
INSERT INTO flow_run (name, flow_id, deployment_id) SELECT f.name || ' run ' || n, f.id, d.id
    FROM flow f JOIN deployment d ON d.flow_id = f.id, generate_series(1, 40) n;
"""
CONTENTS = "SELECT md5(string_agg(t::text, ',' ORDER BY t.id)) FROM {} t"
FIX = "ALTER TABLE deployment ADD COLUMN schedule json, ADD COLUMN is_schedule_active boolean NOT NULL DEFAULT true;"


@dataclass(frozen=True)
class Application:
    """Prefect's database behind a pooler, and its migrations as a team keeps them in a repository."""

    street: Street
    migrations: dict[str, str]

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Plain SQL on the server in use before anything was restored."""
        return self.street.shop.sql(statement)

    def psql(self, script: str) -> None:
        """What the team's pipeline does with a migration."""
        server = self.street.shop.server
        argv = [
            str(server.binaries / "psql"),
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            url_of(server, self.street.shop.service.name),
            "-f",
            "-",
        ]
        subprocess.run(argv, input=script, env=passes(server), text=True, capture_output=True, check=True)

    def contents(self, tables: tuple[str, ...] = ("flow", "deployment", "flow_run")) -> list[object]:
        """One sum over all rows of each table."""
        return [self.run(CONTENTS.format(table))[0][0] for table in tables]


def passes(server: Postgres) -> dict[str, str]:
    """The environment of libpq's programs."""
    return {"PATH": os.defpath, "PGPASSFILE": str(server.passfile)}


def url_of(server: Postgres, name: str) -> str:
    """Where a database is, without its password."""
    return f"postgresql://{server.user}@127.0.0.1:{server.port}/{name}"


@pytest.fixture(name="walked", scope="module")
def _walked(archiving: Postgres) -> tuple[str, dict[str, str]]:
    """Prefect's database at the stable revision, as pg_dump writes it, and the migrations' text."""
    archiving.create_database("walked")
    told = walk(archiving, "walked", STABLE) + walk(archiving, "walked", FAULTY, "render")
    migrations = {each["revision"]: each["sql"] for each in told if each["sql"]}
    return dumped(archiving, url_of(archiving, "walked")), migrations


@pytest.fixture(name="application")
def _application(
    archiving: Postgres, walked: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    with new_street(archiving, f"orchestra{next(_numbers)}", tmp_path, monkeypatch) as street:
        application = Application(street, walked[1])
        application.psql(walked[0])
        application.psql(FILLED)
        yield application


def walk(server: Postgres, name: str, last: str, *words: str) -> list[dict[str, str]]:
    """Prefect's own migrations up to one, on a database; or only that one, as text."""
    env = os.environ | passes(server) | {
        "PREFECT_API_DATABASE_CONNECTION_URL": server.dsn(name).replace("postgresql", "postgresql+asyncpg"),
        "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": server.user, "PGDATABASE": name,
        "PATH": os.environ["PATH"],
    }  # fmt: skip
    argv = [sys.executable, "-m", "tests.integration.real_history", last, *words]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def dumped(server: Postgres, url: str, *words: str) -> str:
    """A database as pg_dump writes it, without what is ripcord's own."""
    argv = [str(server.binaries / "pg_dump"), "--exclude-schema=ripcord", *words, "--dbname", url]
    printed = subprocess.run(argv, env=passes(server), text=True, capture_output=True, check=True).stdout
    # Newer ones guard their output with a word that is drawn anew each time.
    return "\n".join(line for line in printed.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def repository(root: Path, migrations: dict[str, str]) -> Remote:
    """Three releases; the faulty one brings the migration, and code that no longer reads what it drops."""
    remote, desk = Remote(root, "acme/orchestra").make(), root / "desk"
    git(root, "clone", "--quiet", str(remote.path), str(desk))
    git(desk, "checkout", "--quiet", "-b", "main")
    (desk / "db" / "migrations").mkdir(parents=True)

    def release(tag: str, code: str, *revisions: str) -> None:
        for number, revision in enumerate(revisions):
            (desk / "db" / "migrations" / f"{tag}-{number:03}-{revision}.sql").write_text(migrations[revision])
        (desk / "schedules.py").write_text(f"{code}\n")
        git(desk, "add", "--all")
        git(desk, "commit", "--quiet", "-m", f"Work for {tag}")
        git(desk, "tag", "-a", "-m", tag, tag)

    known = [revision for revision in migrations if revision != FAULTY]
    release("v1.0.0", "QUERY = 'SELECT name FROM deployment'", *known[:-1])
    release("v1.1.0", f"QUERY = '{OLD_CODE}'", known[-1])
    release("v1.2.0", "QUERY = 'SELECT name FROM deployment_schedule'", FAULTY)
    git(desk, "push", "--quiet", "origin", "main", "--tags")
    return remote


def test_gate_bad_migration_hotfix_and_fix_forward(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release cannot be taken back whole: its code is, its migration stays, a new one brings the columns back."""
    street = application.street
    assert street.shop.gate("v1.2.0").proved
    before = application.contents(("flow", "flow_run"))
    application.psql(application.migrations[FAULTY])
    with pytest.raises(psycopg.errors.UndefinedColumn):
        application.run(OLD_CODE)

    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    remote, faulty = repository(tmp_path, application.migrations), parse_version("v1.2.0")
    service = service_of(remote, name="orchestra")
    with disable_run_logger():
        history = read_history.fn(service, "v1.2.0", RELEASES)
        stable = plan_revert(service, faulty, history, RELEASES, CAUSE).stable_tag
        between = read_range.fn(service, "v1.2.0", stable)
        feasible = judge_feasibility(service, between)
        assert feasible.obstacle
        assert "deployment" in feasible.reason
        plan = plan_hotfix(service, faulty, history, RELEASES, between, CAUSE, feasible.reason)
        branch = push_hotfix.fn(plan, plan.proposals[0])
    changed = remote.git("diff", "--name-only", "v1.2.0", branch.commit).splitlines()
    assert changed == ["schedules.py"]
    assert remote.git("show", f"{branch.commit}:schedules.py") == f"QUERY = '{OLD_CODE}'"

    mended = mending(street.shop, monkeypatch)
    mended.fix(FIX)
    assert mended.fix(FIX).startswith("skipped: ")
    assert len(application.run(OLD_CODE)) == 50
    assert application.contents(("flow", "flow_run")) == before


def test_the_gate_sees_the_real_migration_break_what_the_version_before_asks(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is deployed, by running it; production still answers, and goes on to."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    shop = application.street.shop.with_(smoke=(Smoke(sql=OLD_CODE),))
    service = service_of(repository(tmp_path, application.migrations), name="orchestra")
    with disable_run_logger():
        way = prove(shop.service, "v1.2.0", read_ahead.fn(service, "v1.2.0", RELEASES), rehearse=False)

    assert way.proved
    assert way.outlook is not None
    assert (way.outlook.runs, way.outlook.recovery) == (False, "hotfix")
    assert FAULTY in str(way.outlook.broken)
    assert 'column "schedule" does not exist' in str(way.outlook.broken)
    assert len(application.run(OLD_CODE)) == 50


def test_a_catastrophe_gives_back_schema_and_rows_and_the_application_goes_on(application: Application) -> None:
    """What was written after the point is in the salvage, and Prefect's own upgrade takes the schema further."""
    street = application.street
    server, name = street.shop.server, street.shop.service.name
    schema, contents = dumped(server, url_of(server, name), "--schema-only"), application.contents()
    assert street.shop.gate("v1.2.0").proved
    application.psql(application.migrations[FAULTY])
    application.psql("INSERT INTO flow (name) VALUES ('written after the point')")
    application.psql("UPDATE deployment SET name = md5(name); DELETE FROM flow_run WHERE name LIKE '%7'")

    with street.customers() as writing:
        street.take_back("v1.2.0")
    assert writing.errors == []

    restored = street.where()
    assert dumped(server, restored, "--schema-only") == schema
    assert [street.restored(CONTENTS.format(table))[0][0] for table in ("flow", "deployment", "flow_run")] == contents
    assert "written after the point" in salvaged(street)
    assert upgraded(street) == street.restored("SELECT version_num FROM alembic_version")


def salvaged(street: Street) -> set[str]:
    """Every value in the salvage's CSV of the flows."""
    shop = street.shop
    damaged, _ = read_servers(shop.database)
    point = find_point(shop.service.name, "v1.2.0", shop.database, damaged)
    write_export(shop.service.name, "v1.2.0", shop.database, point)
    (path,) = Path(read_export(parted_beside(shop.database, point.name)).directory).glob("csv/*.flow.csv")
    with path.open(newline="") as file:
        return {value for row in csv.reader(file) for value in row}


def upgraded(street: Street) -> list[tuple[object, ...]]:
    """The newest revision, to which Prefect itself brings the restored database."""
    env = os.environ | {
        "PREFECT_API_DATABASE_CONNECTION_URL": street.where().replace("postgresql", "postgresql+asyncpg"),
    }  # fmt: skip
    argv = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [(newest["revision"],) for newest in walk(street.shop.server, street.shop.service.name, "head", "render")]
