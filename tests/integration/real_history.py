"""Walk the migration history of a real application, Prefect's own, on an empty database, one revision after the other.

usage: python -m tests.integration.real_history [LAST [walk|render]]; PREFECT_API_DATABASE_CONNECTION_URL is the
database, and libpq's own variables lead there, too. Prints one JSON object per revision: its id, its SQL as Alembic
renders it without a database (null where it needs one), and the catalog after it, as PostgreSQL has it.
"""

import io
import json
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout

import anyio
import anyio.to_thread
import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from prefect.server.database.alembic_commands import alembic_config
from prefect.server.database.dependencies import provide_database_interface

CATALOG = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND a.attnum > 0
          AND NOT a.attisdropped""",
    "constraints": """
        SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid),
               ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey))
        FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('c','u','f','x','p')""",
    "unique": """
        SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid),
               ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = ANY (i.indkey))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace""",
}
LEDGER = re.compile(r"^(CREATE TABLE|INSERT INTO|UPDATE) alembic_version\b.*?;\n", re.DOTALL | re.MULTILINE)


def main(last: str = "head", what: str = "walk") -> None:
    """Go up to the last revision, or only say what that one is, without touching the database."""
    warnings.simplefilter("ignore")
    config = alembic_config()
    config.set_main_option("version_locations", str(provide_database_interface().orm.versions_dir))
    script = ScriptDirectory.from_config(config)
    revisions = list(script.iterate_revisions(last, "base"))
    for revision in reversed(revisions if what == "walk" else revisions[:1]):
        rendered = _rendered(config, f"{revision.down_revision or 'base'}:{revision.revision}")
        told: dict[str, object] = {"revision": revision.revision, "title": revision.doc, "sql": rendered}
        if what == "walk":
            with redirect_stdout(sys.stderr):
                command.upgrade(config, revision.revision)
            told |= dict(_catalog())
        sys.stdout.write(json.dumps(told) + "\n")


def _rendered(config: Config, between: str) -> str | None:
    """The statements of one revision, without those that only note it."""
    config.output_buffer = io.StringIO()
    try:
        command.upgrade(config, between, sql=True)
    except (AttributeError, CommandError, RuntimeError, ValueError):
        return None  # it reads what is there, or says itself that it needs a database
    except Exception as error:
        if type(error).__name__ == "NoInspectionAvailable":
            return None
        raise
    return LEDGER.sub("", config.output_buffer.getvalue())


def _catalog() -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    with psycopg.connect("", autocommit=True) as connection:
        for what, statement in CATALOG.items():
            yield what, connection.execute(statement.encode()).fetchall()


if __name__ == "__main__":
    anyio.run(anyio.to_thread.run_sync, lambda: main(*sys.argv[1:]))  # in a thread of a loop, where Prefect runs them
