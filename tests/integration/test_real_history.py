"""The migrations of a real application, each run by PostgreSQL: none that narrows its schema is called compatible.

The application is Prefect itself, whose package brings its history. The oracle is the catalog before and after.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.lab.postgres import Postgres
from recovery.migration_files import judge_file

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Revision:
    """One migration: its statements, where it has them without a database, and the catalogs around it."""

    id: str
    title: str
    sql: str | None
    before: dict[str, Any]
    after: dict[str, Any]

    def narrowed(self) -> list[str]:
        """What the version before may do no more, as the catalogs have it; empty where nothing is."""
        was, now = (_columns(each) for each in (self.before, self.after))
        tables = {table for table, _ in was}
        found = [f"{name} is gone" for name in was.keys() - now.keys()]
        for name, (kind, required, default) in now.items():
            if name in was and was[name][0] != kind:
                found.append(f"{name} became {kind}")
            if name in was and required and not was[name][1]:
                found.append(f"{name} became NOT NULL")
            if name in was and required and was[name][2] and not default:
                found.append(f"{name} lost its default")
            if name not in was and name[0] in tables and required and not default:
                found.append(f"{name} is asked for")
        for what in ("constraints", "unique"):
            known = {each[2] for each in self.before[what] if each[0] in tables}
            for table, rule, definition, columns in self.after[what]:
                if table in tables and definition not in known and all((table, each) in was for each in columns):
                    found.append(f"{rule} rules {table}")
        return sorted(found)


def _columns(catalog: dict[str, Any]) -> dict[tuple[str, str], tuple[str, bool, bool]]:
    return {(table, name): (kind, required, default) for table, name, kind, required, default in catalog["columns"]}


@pytest.fixture(name="history", scope="module")
def _history(database: Postgres) -> list[Revision]:
    database.create_database("real_history")
    argv = [sys.executable, "-m", "tests.integration.real_history"]
    env = os.environ | {
        "PREFECT_API_DATABASE_CONNECTION_URL": database.dsn("real_history").replace("postgresql", "postgresql+asyncpg"),
        "PGHOST": "127.0.0.1", "PGPORT": str(database.port), "PGUSER": database.user, "PGDATABASE": "real_history",
        "PGPASSFILE": str(database.passfile), "PREFECT_LOGGING_LEVEL": "ERROR",
    }  # fmt: skip
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    revisions: list[Revision] = []
    before: dict[str, Any] = {"columns": [], "constraints": [], "unique": []}
    for line in done.stdout.splitlines():
        told = json.loads(line)
        catalog = {what: told[what] for what in before}
        revisions.append(Revision(told["revision"], told["title"], told["sql"], before, catalog))
        before = catalog
    return revisions


def test_it_is_a_real_history(history: list[Revision]) -> None:
    """More than a hundred migrations, most of which have their statements in them; some narrow the schema."""
    assert len(history) >= 100
    assert len([each for each in history if each.sql]) >= 80
    assert len([each for each in history if each.sql and each.narrowed()]) >= 10


def test_no_migration_that_narrows_the_schema_is_called_compatible(history: list[Revision]) -> None:
    """A full rollback would start a version that cannot run."""
    for each in history:
        if each.sql and each.narrowed():
            judged = judge_file(f"migrations/{each.id}.sql", each.sql)
            assert judged.compatible is not True, (each.title, each.narrowed(), judged.reason)


def test_a_good_part_of_what_only_adds_is_recognised(history: list[Revision]) -> None:
    """Else nobody would ever get a full rollback without the marker."""
    adding = [each for each in history if each.sql and not each.narrowed()]

    told = [judge_file(f"migrations/{each.id}.sql", str(each.sql)).compatible for each in adding]

    unclear = [each.title for each, said in zip(adding, told, strict=True) if not said]
    assert told.count(True) >= len(adding) / 2, unclear
