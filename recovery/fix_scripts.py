"""A fix as a person wrote it: its statements, what keeps it out of one transaction, and what in it loses data.

What is meant here is one transaction of one database: what reaches beyond it cannot be taken back by a ROLLBACK, and
would be done twice, for the script is first run on a clone.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from recovery.errors import Refused
from recovery.fix_statements import losses_of, obstacles_of
from recovery.migration_sql import Unreadable, cut, read_statements

LARGEST = 128 * 1024  # bytes; Prefect keeps the script as a parameter of the run
_PSQL = re.compile(r"^\s*(\\[A-Za-z!?][^\n]{0,40})", re.MULTILINE)
_ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)
_FROM_STDIN = re.compile(r"\bcopy\b[^;]*\bfrom\s+stdin\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """One statement: as it is sent, on which line it begins, and what it loses by its text."""

    number: int
    line: int
    text: str
    shown: str  # on one line, shortened
    losses: tuple[str, ...] = ()

    def line_at(self, position: int | None) -> int:
        """The script's line on which a character of the statement stands, counted from 1 as PostgreSQL does."""
        if position is None:
            return self.line
        return self.line + self.text.count("\n", 0, position - 1)


@dataclass(frozen=True, slots=True)
class Script:
    """A fix that may be tried."""

    digest: str
    steps: tuple[Step, ...]

    @property
    def losses(self) -> tuple[str, ...]:
        """What it loses, by its text alone."""
        return tuple(f"line {step.line} {loss}" for step in self.steps for loss in step.losses)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A script as it stands in a pull request, and the commit it was read at."""

    path: str
    commit: str
    text: str


def choose_script(url: str, touched: Mapping[str, str], path: str | None) -> str:
    """The one SQL file that a pull request adds or changes, or the one that was named.

    `touched` tells by path how it differs from the base: A, M, D or T. Raises Refused naming what there is.
    """
    brought = sorted(each for each, status in touched.items() if status in "AM" and each.endswith(".sql"))
    if path is not None:
        if path in touched and touched[path] in "AM":
            return path
        raise Refused(f"{url} brings no file {path}: it brings {', '.join(brought) or 'no SQL file'}")
    if not brought:
        raise Refused(f"{url} brings no SQL file: name the pull request of the fix, or a file by --script")
    if len(brought) > 1:
        raise Refused(f"{url} brings {len(brought)} SQL files: name one by --path: {', '.join(brought)}")
    return brought[0]


def read_script(text: str) -> Script:
    """Read a script statement by statement, with PostgreSQL's own grammar.

    Raises Refused naming everything that keeps it from being run in one transaction, each with its way out.
    """
    size = len(text.encode(errors="surrogateescape"))
    if size > LARGEST:
        raise Refused(f"the script has {size} bytes and {LARGEST} are taken: make it several fixes")
    if "\0" in text:  # the scanner would take it for the end, and what follows for nothing
        raise Refused("the script has a NUL in it, which no SQL has: save it as text")
    wrong: list[str] = []
    steps: list[Step] = []
    for number, (line, part) in enumerate(_cut(text), 1):
        try:
            statements = read_statements(part)
            obstacles = [each for statement in statements for each in obstacles_of(statement)]
            losses = tuple(each for statement in statements for each in losses_of(statement))
        except Unreadable as error:
            raise Refused(f"the script {hint(text) or f'on line {line} {error}: mend it'}") from None
        except (LookupError, TypeError, AttributeError, RecursionError):
            raise Refused(f"the script has a statement on line {line} that cannot be judged: run it by hand") from None
        if len(statements) != 1:
            raise Refused(f"the script {hint(text) or f'on line {line} has words that are no SQL: mend it'}")
        wrong += [f"line {line} {obstacle}" for obstacle in obstacles]
        steps.append(Step(number, line, part, statements[0].text, losses))
    if wrong:
        raise Refused(f"the script cannot be run in one transaction: {'; '.join(wrong)}")
    if not steps:
        raise Refused("the script has no statement: name the file of the fix")
    return Script(hashlib.sha256(text.encode()).hexdigest(), tuple(steps))


def _cut(text: str) -> list[tuple[int, str]]:
    """Raises Refused where the text is no SQL."""
    try:
        return list(cut(text))
    except Unreadable as error:
        raise Refused(f"the script {hint(text) or f'{error}; mend it'}") from None


def hint(text: str) -> str | None:
    """What a script may have in it that the grammar cannot tell, and the way out."""
    if _FROM_STDIN.search(text):
        return "copies rows from its own text (COPY FROM STDIN): write INSERT statements"
    if found := _PSQL.search(text):
        return f"has a command of psql in it ({found[1].strip()}), which only psql knows: leave it out"
    if _ATOMIC.search(text):
        return "has a body between BEGIN ATOMIC and END, which is not read: write it between $$ and $$"
    return None
