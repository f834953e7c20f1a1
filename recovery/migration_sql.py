"""SQL as PostgreSQL's own grammar reads it, as plain dictionaries: the one place that knows the parser."""

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
    try:
        parts = split(text, method="scanner")  # it only looks for tokens, so its depth has no limit
        if any(len(part.encode()) > LONGEST for part in parts):
            raise Unreadable(f"has a statement longer than {LONGEST // 1024} KiB, which is not read")
        return [_statement(raw.stmt, part) for part in parts for raw in parse(part).stmts]
    except (PgQueryError, DecodeError, UnicodeError, RecursionError) as error:
        raise Unreadable(f"cannot be read as PostgreSQL's SQL: {' '.join(str(error).split())[:200]}") from None


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


def _statement(node: object, text: str) -> Statement:
    plain: Tree = MessageToDict(node, preserving_proto_field_name=True)
    kind, tree = next(iter(plain.items()))
    words = " ".join(text.split())
    return Statement(kind, tree, words if len(words) <= SHOWN else f"{words[: SHOWN - 3]}...")
