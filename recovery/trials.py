"""The migrations of a release as they are tried on a copy: which files, in which order, and each in which way.

Their text comes from a repository, and nothing of it is believed: what reaches beyond the copy is not run at all.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from recovery.fix_scripts import Step, hint
from recovery.fix_statements import obstacles_of, reaches_beyond
from recovery.migration_files import forward, takes_back
from recovery.migration_sql import Unreadable, cut, read_statements
from recovery.ranges import Change

ALL = 2 * 1024 * 1024  # characters of all files of a release together
_NUMBERS = re.compile(r"(\d+)")
_REPEATABLE = re.compile(r"R__")
# The extensions whose functions stay within the database; what any other one does is not known.
INSIDE = frozenset({
    "amcheck", "bloom", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "dict_xsyn", "earthdistance",
    "fuzzystrmatch", "hstore", "intagg", "intarray", "isn", "lo", "ltree", "pageinspect", "pg_buffercache",
    "pg_freespacemap", "pg_stat_statements", "pg_trgm", "pg_visibility", "pgcrypto", "pgrowlocks", "pgstattuple",
    "plpgsql", "seg", "tablefunc", "tcn", "tsm_system_rows", "tsm_system_time", "unaccent", "uuid-ossp",
    "vector",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file as it is run on the way forward."""

    path: str
    steps: tuple[Step, ...]
    together: bool  # in one transaction, as migration tools do; else the file itself says otherwise


class NotTried(ValueError):
    """Why the migrations of a release are not run on a copy, as a clause that begins with the path."""


def plan_trial(changes: Sequence[Change], texts: Mapping[str, str]) -> tuple[Migration, ...]:
    """The files of a release that are run on a copy, in their order. Raises NotTried: one left out, the rest lies."""
    for each in changes:
        if each.status != "A":
            raise NotTried(f"not run on a copy: {each.path} is not new, and what the database ran cannot be told")
        if not each.path.lower().endswith(".sql"):
            raise NotTried(f"not run on a copy: {each.path} is no plain SQL")
        if each.path not in texts:
            raise NotTried(f"not run on a copy: {each.path} is no plain file, or too large")
    if sum(map(len, texts.values())) > ALL:
        raise NotTried("not run on a copy: the migrations are too large together")
    paths = [each.path for each in changes]
    return tuple(_read(path, texts[path]) for path in sorted(paths, key=_order) if not takes_back(path, paths))


def _order(path: str) -> tuple[object, ...]:
    """As the tools order them: by directory, numbers as numbers, and what is run on every change (R__) last."""
    here = PurePosixPath(path)
    return str(here.parent), bool(_REPEATABLE.match(here.name)), [_natural(each) for each in _NUMBERS.split(here.name)]


def _natural(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part)


def _read(path: str, text: str) -> Migration:
    text = forward(text.removeprefix("\ufeff"))
    try:
        if "\0" in text:  # the scanner would take it for the end, and what follows for nothing
            raise Unreadable("has a NUL in it, which no SQL has")
        read = [(line, part, read_statements(part)) for line, part in cut(text)]
    except (Unreadable, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = hint(text) or (str(error) if isinstance(error, Unreadable) else "cannot be read")
        raise NotTried(f"not run on a copy: {path} {said}") from None
    steps, together = [], True
    for number, (line, part, statements) in enumerate(read, 1):
        if len(statements) != 1:
            raise NotTried(f"not run on a copy: {path} on line {line} has words that are no SQL")
        if beyond := reaches_beyond(statements[0]):
            raise NotTried(f"not run on a copy: {path} on line {line} {beyond}")
        together = together and not _own_way(statements[0].kind, obstacles_of(statements[0]))
        steps.append(Step(number, line, part, statements[0].text))
    return Migration(path, tuple(steps), together)


def _own_way(kind: str, obstacles: Sequence[str]) -> bool:
    """Answer whether a statement ends a transaction or is one that no transaction holds."""
    return kind == "transaction_stmt" or any("no transaction holds" in each for each in obstacles)
