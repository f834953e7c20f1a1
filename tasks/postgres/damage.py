"""Look into every table and index of a copy for damage that a backup carries along faithfully."""

from collections.abc import Mapping
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from tasks.postgres.connection import first_role, session
from tasks.postgres.programs import clean, command, run
from tasks.postgres.reading import LOCK_SECONDS

ATTEMPTS = 2  # measured on a standby that still replayed: one false alarm in eleven
_NOT = "tables and indexes were not checked for damage"
# The role that initdb made: on a copy of ours it may do what the service's own may not.


def look_for_damage(
    database: Database, way: Mapping[str, str], place: Path, *, writable: bool
) -> tuple[str | None, str]:
    """What pg_amcheck finds in a copy, and a sentence that says that it looked, or why it did not.

    Only what it says every time counts as damage; what it said once is kept in the sentence. A copy that is still
    in recovery must have been told to pause, and the extension `amcheck` must have come with it.
    """
    known = "pg_available_extensions" if writable else "pg_extension"
    column = "name" if writable else "extname"
    with session(database, way) as asked:
        if not asked.rows(f"SELECT 1 FROM {known} WHERE {column} = 'amcheck'"):
            return None, f"{_NOT}, there is no extension amcheck"
        role, name = first_role(asked), str(asked.value("SELECT current_database()"))
    pattern = name.replace('"', '""')
    install = ("--install-missing",) if writable else ()
    try:
        argv = command("pg_amcheck", *install, "--no-password", f'--database="{pattern}"')
    except Refused as refused:
        return None, f"{_NOT}: {refused}"
    # What a prepared transaction holds locked must not hold us; a notice must not stand where the finding should.
    session_options = f"-c lock_timeout={LOCK_SECONDS}s -c client_min_messages=warning"
    options = {"PGUSER": role, "PGSSLMODE": "disable", "PGOPTIONS": session_options}
    return _attempts(argv, place, clean({"PGHOST": way["host"], "PGPORT": way["port"], **options}))


def _attempts(argv: list[str], place: Path, given: Mapping[str, str]) -> tuple[str | None, str]:
    said: list[str] = []
    for _ in range(ATTEMPTS):
        try:
            run(argv, place, given)
        except (Refused, Unavailable) as error:
            said.append(str(error))
        else:
            once = f", though it first said: {said[0]}" if said else ""
            return None, f"pg_amcheck found no damage{once}"
    return said[-1], ""
