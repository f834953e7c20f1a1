"""The original's settings and who it lets in, recorded in the set: Debian keeps both outside the data directory.

The file holds what the server's own files hold, so it is closed to others as the set's backup is.
"""

import re
from contextlib import suppress
from pathlib import Path

from prefect import task

from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint
from recovery.side_settings import Kept, Rule, keep, show_rules
from tasks.postgres.connection import Session, session
from tasks.postgres.notes import read_note, write_note
from tasks.postgres.places import Place, place_of
from tasks.postgres.standing import control_of
from tasks.retry import ON_UNAVAILABLE, spoken

# What is set per database or role travels in the cluster itself, and must not be taken for everybody's.
_SETTINGS = """
SELECT name, setting FROM pg_settings
WHERE context <> 'internal' AND source IN ('configuration file', 'command line', 'environment variable')
"""
# What stands in the files and is hidden from this session by its database's or role's own value.
_HIDDEN = """
SELECT known.name, written.setting FROM pg_file_settings AS written
JOIN pg_settings AS known ON lower(known.name) = lower(written.name)
WHERE written.applied AND written.setting IS NOT NULL
  AND known.source NOT IN ('configuration file', 'command line', 'environment variable', 'override', 'default')
"""
# A rule that is understood may have an error all the same: hostssl, while ssl is off.
_RULES = """
SELECT type, database, user_name, address, netmask, auth_method, coalesce(options, '{}')
FROM pg_hba_file_rules WHERE type IS NOT NULL
"""
_MAY_READ = "SELECT has_table_privilege(%s, 'SELECT') AND has_function_privilege(%s, 'EXECUTE')"


@task(name="keep settings", **ON_UNAVAILABLE)
@spoken
def keep_settings(database: Database, point: RestorePoint) -> str:
    """Record in the set what a restored server must be set to, once; before its point, so that no set lacks it.

    Raises Unavailable when the disk is full, Refused when the server does not let us read its settings.
    """
    place = place_of(database, point.name)
    if point.lsn is not None and read_kept(place) is not None:
        return f"skipped: the settings of {point.name} are kept"
    with session(database) as asked:
        asked.rows("RESET TIME ZONE")
        settings = dict(asked.rows(_SETTINGS))
        if _may_read(asked, "pg_file_settings", "pg_show_all_file_settings()"):
            settings |= dict(asked.rows(_HIDDEN))
        kept = keep(settings, _rules(asked), _text(asked, "ident_file"))
    write_note(_file(place), kept)
    unknown = (
        ""
        if kept.rules is not None
        else "; pg_hba.conf is closed to us, grant SELECT on pg_hba_file_rules and EXECUTE on its function"
    )
    return f"kept {len(kept.values)} settings of the server for {point.name}{unknown}"


def read_kept(place: Place) -> Kept | None:
    """What a set records of its server's settings; None in a set that was made without."""
    return read_note(_file(place), Kept)


def _file(place: Place) -> Path:
    return place.set / "settings.json"


def _may_read(asked: Session, view: str, function: str) -> bool:
    return bool(asked.value(_MAY_READ, view, function))


def _rules(asked: Session) -> str | None:
    """The text of pg_hba.conf; where it is closed to us, or includes what is elsewhere, the view that parses it."""
    text = _text(asked, "hba_file")
    if text is not None and not re.search(r"^\s*include|^[^#]*@", text, re.MULTILINE):
        return text
    if not _may_read(asked, "pg_hba_file_rules", "pg_hba_file_rules()"):
        return None
    return show_rules(
        [
            Rule(kind, tuple(databases), tuple(users), address, netmask, method, tuple(options))
            for kind, databases, users, address, netmask, method, options in asked.rows(_RULES)
        ]
    )


def _text(asked: Session, setting: str) -> str | None:
    """The text of a file of the server, where the server is on this machine and its files are open to us."""
    if not _is_here(asked):
        return None
    with suppress(OSError, UnicodeDecodeError):
        return Path(asked.value("SELECT current_setting(%s)", setting)).read_text()
    return None


def _is_here(asked: Session) -> bool:
    """Answer whether the server's directory is the one of that path on this machine."""
    directory = Path(asked.value("SELECT current_setting('data_directory')"))
    with suppress(Refused):
        known = str(asked.value("SELECT system_identifier::text FROM pg_control_system()"))
        return control_of(directory)["Database system identifier"] == known
    return False
