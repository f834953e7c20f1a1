"""How a migration file is read, by its layout: the way forward only, and nothing is ever run."""

import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from recovery.migration_statements import judge_sql
from recovery.migrations import BEFORE, Compatibility, Effect, Scope, compatible, judge_migration, unknown

LARGEST = 256 * 1024
MOST = 200  # files of one range
_UP = re.compile(r"^--\s*(\+goose up|\+migrate up|migrate:up)\b", re.IGNORECASE | re.MULTILINE)
_DOWN = re.compile(r"^--\s*(\+goose down|\+migrate down|migrate:down)\b", re.IGNORECASE | re.MULTILINE)
_UNDO = re.compile(r"U(\d[\d._]*)__")
_NOT_READ = {
    ".py": "is Python, which is not read",
    ".rb": "is a Rails migration, which is not read",
    ".xml": "is a Liquibase changelog, which is not read",
    ".yaml": "is a Liquibase changelog, which is not read",
    ".yml": "is a Liquibase changelog, which is not read",
}


def judge_file(path: str, text: str, beside: Collection[str] = (), before: str = BEFORE) -> Compatibility:
    """Answer whether the version before can run on what a new migration file leaves.

    `beside` are the other paths of the range: a script that takes back is only one where the way forward is there.
    """
    if len(text.encode(errors="surrogateescape")) > LARGEST:
        return Compatibility(None, f"{path} is larger than {LARGEST // 1024} KiB and was not read")
    scope = Scope(before)
    try:
        return judge_migration(path, list(_effects(path, text.removeprefix("\ufeff"), beside, scope)))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, MemoryError) as error:
        return Compatibility(None, f"{path} could not be read ({type(error).__name__})")


def takes_back(path: str, beside: Collection[str]) -> bool:
    """Answer whether a script is the way back of another one of the range: x.down.sql of x.up.sql, U2__ of V2__."""
    here = PurePosixPath(path)
    if here.name.endswith(".down.sql"):
        return str(here.with_name(here.name.removesuffix(".down.sql") + ".up.sql")) in beside
    undo = _UNDO.match(here.name)
    return undo is not None and any(
        PurePosixPath(each).parent == here.parent and PurePosixPath(each).name.startswith(f"V{undo[1]}__")
        for each in beside
    )


def forward(text: str) -> str:
    """The part that is run on the way forward, where one file has both."""
    up, down = _UP.search(text), _DOWN.search(text)
    once = len(_UP.findall(text)) == len(_DOWN.findall(text)) == 1
    return text[: down.start()] if up and down and once and up.start() < down.start() else text


def _effects(path: str, text: str, beside: Collection[str], scope: Scope) -> Iterator[Effect]:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".sql" and takes_back(path, beside):
        yield compatible("", "takes back, and is not run on the way forward")
    elif suffix == ".sql":
        yield from judge_sql(forward(text), scope)
    else:
        yield unknown("", _NOT_READ.get(suffix, "is of a kind that is not read"))
