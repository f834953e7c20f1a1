"""SQL as PostgreSQL's own grammar reads it, as plain dictionaries: the one place that knows the parser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from postgast import PgQueryError, parse, split

Tree = dict[str, Any]
# The parser is C and recurses: from about 60 kB on, one statement of nothing but operators overflows its stack.
LONGEST = 16 * 1024
SHOWN = 120
_BLANK = re.compile(r"(?:[\s;]|--[^\n]*)*")
_EDGE = re.compile(r"/\*|\*/")


class Unreadable(ValueError):
    """The text is no SQL that PostgreSQL would take as it stands."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its kind as the grammar calls it, its tree, its text on one line."""

    kind: str
    tree: Tree
    text: str


def read_statements(text: str) -> list[Statement]:
    """Read a script statement by statement. Raises Unreadable, with the reason."""
    if "\0" in text or "${" in text:
        raise Unreadable("has a NUL or a placeholder in it: what is run is not what stands there")
    parts = [part for _, part in cut(text)]
    if any(len(part.encode()) > LONGEST for part in parts):
        raise Unreadable(f"has a statement longer than {LONGEST // 1024} KiB, which is not read")
    try:
        return [_statement(raw.stmt, part) for part in parts for raw in parse(part).stmts]
    except (PgQueryError, DecodeError, UnicodeError, RecursionError) as error:
        raise _unreadable(error) from None


def cut(text: str) -> Iterator[tuple[int, str]]:
    """The statements as they stand, each with the line on which its first word is.

    Raises Unreadable where something lies between them: the scanner leaves out what has no word of SQL in it.
    """
    try:
        found = split(text, method="scanner")  # it only looks for tokens, so its depth has no limit
    except (PgQueryError, UnicodeError) as error:
        raise _unreadable(error) from None
    at = 0
    for part in [*found, ""]:
        statement, word = part[_first_word(part, 0) :], _first_word(text, at)
        if not text.startswith(statement, word) or (not statement and word < len(text)):
            raise Unreadable(f"on line {_line(text, word)} has words that are no SQL")
        at = word + len(statement)
        if statement:
            yield _line(text, word), statement


def walk(tree: object) -> Iterator[tuple[str, Any]]:
    """Every key of a tree with what is below it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key, value
            yield from walk(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from walk(each)


def dotted(names: list[Tree]) -> str:
    """A qualified name out of its parts."""
    return ".".join(each["string"].get("sval", "") for each in names)


def relation(tree: Tree) -> str:
    """The name of a table, view or sequence, with its schema where the text gives one."""
    return ".".join(tree[key] for key in ("catalogname", "schemaname", "relname") if key in tree)


def _first_word(text: str, at: int) -> int:
    """Where the first word from `at` on stands, behind blanks, semicolons and comments, which nest."""
    while True:
        blank = _BLANK.match(text, at)
        at = blank.end() if blank else at
        if not text.startswith("/*", at):
            return at
        depth = 0
        for edge in _EDGE.finditer(text, at):
            depth += 1 if edge[0] == "/*" else -1
            at = edge.end()
            if depth == 0:
                break
        else:
            return len(text)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _unreadable(error: Exception) -> Unreadable:
    return Unreadable(f"cannot be read as PostgreSQL's SQL: {' '.join(str(error).split())[:200]}")


def _statement(node: object, text: str) -> Statement:
    plain: Tree = MessageToDict(node, preserving_proto_field_name=True)
    kind, tree = next(iter(plain.items()))
    words = " ".join(text.split())
    return Statement(kind, tree, words if len(words) <= SHOWN else f"{words[: SHOWN - 3]}...")
