"""Find the rows of a table that two sides do not have alike: each side is read once, in one order, in constant memory.

Only keys and digests travel; the rows themselves are fetched where the digests differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from recovery.salvage_tables import INTEGERS, Comparison, Difference, Key, Kind, Table, merge, merge_counted
from tasks.postgres.connection import Session, quoted

BATCH = 500  # rows that are fetched at once
_FLOATS = ("real", "double precision")

Values = tuple[str | None, ...]
Change = tuple[Difference, Values | None, Values | None]  # what the row was at the point, and what it was later


def changes(then: Session, later: Session, table: Comparison) -> Iterator[Change]:
    """Every row that was written after the point, with what it was and what it became, in the order of the keys."""
    if not table.key:
        return _changes_without_key(then, later, table)
    return _changes_by_key(then, later, table)


def source(table: Table) -> str:
    """Where its rows are read: without the tables that inherit from it, which are compared themselves."""
    return quoted(*table.id) if table.partitioned else f"ONLY {quoted(*table.id)}"


def whole(columns: Sequence[str]) -> str:
    """All columns as one text in which NULL, an empty text and a comma are told apart."""
    return f"ROW({', '.join(columns)})::text"


def cast_of(kind: str) -> str:
    """As what the text of a key is compared: a number as the widest, for a migration may have widened the column."""
    return "bigint" if kind in INTEGERS else kind


def digest(table: Comparison) -> str:
    """The digest of a row as its server computes it."""
    return f"encode(sha256(convert_to({whole([quoted(c.name) for c in table.columns])}, 'UTF8')), 'hex')"


def _changes_by_key(then: Session, later: Session, table: Comparison) -> Iterator[Change]:
    """A key that is equal and written otherwise, as 1 mon and 30 days are, is of one row: told where it was changed."""
    different = merge(*(_keys(side.stream(_by_key(table))) for side in (then, later)))
    plain = {column.type for column in table.columns if column.name in table.key} <= {*INTEGERS}
    while batch := list(islice(different, BATCH)):
        was = _fetch(then, table, [each.key for each in batch if not (plain and each.kind is Kind.INSERTED)])
        became = _fetch(later, table, [each.key for each in batch if not (plain and each.kind is Kind.DELETED)])
        for each in batch:
            if each.kind is Kind.INSERTED and each.key in was:
                yield replace(each, kind=Kind.CHANGED, then=1), was[each.key], became[each.key]
            elif each.kind is not Kind.DELETED or each.key not in became:
                yield each, was.get(each.key), became.get(each.key)


def _changes_without_key(then: Session, later: Session, table: Comparison) -> Iterator[Change]:
    different = merge_counted(_counted(then, table), _counted(later, table))
    while batch := list(islice(different, BATCH)):
        was = _fetch_places(then, table, [each.key for each in batch if each.kind is Kind.DELETED])
        became = _fetch_places(later, table, [each.key for each in batch if each.kind is Kind.INSERTED])
        for each in batch:
            yield each, was.get(each.key[0]), became.get(each.key[0])


def _counted(side: Session, table: Comparison) -> Iterator[tuple[str, int, str]]:
    rows = f'SELECT {digest(table)} COLLATE "C" AS d, ctid AS place FROM {source(table.table)}'
    for row in side.stream(f"SELECT d, count(*), min(place)::text FROM ({rows}) AS r GROUP BY d ORDER BY d"):
        yield row[0], row[1], row[2]


def _by_key(table: Comparison) -> str:
    keys = _key_columns(table)
    order = ", ".join(text if integer else f"convert_to({text}, 'UTF8')" for text, integer in keys)
    return f"SELECT {', '.join(text for text, _ in keys)}, {digest(table)} FROM {source(table.table)} ORDER BY {order}"


def _key_columns(table: Comparison) -> list[tuple[str, bool]]:
    """Each column of the key so that equal is written equally, and whether it is a number.

    Numbers are put in order as such, by their index; all else byte by byte, for collations differ between hosts.
    1.0 and 1.00 are the same key, and so are 0 and -0.
    """
    types = {column.name: column.type for column in table.columns}
    written = []
    for column in table.key:
        name, kind = quoted(column), types[column]
        if kind in INTEGERS:
            written.append((name, True))
        elif kind == "numeric":
            written.append((f"trim_scale({name})::text", False))
        elif kind in _FLOATS:
            written.append((f"({name} + 0)::text", False))
        else:
            written.append((f"{name}::text", False))
    return written


def _keys(rows: Iterator[tuple[object, ...]]) -> Iterator[tuple[Key, str]]:
    for row in rows:
        yield row[:-1], row[-1]  # type: ignore[misc]


def _fetch(side: Session, table: Comparison, keys: list[Key]) -> dict[Key, Values]:
    if not keys:
        return {}
    types = {column.name: column.type for column in table.columns}
    wanted = ", ".join(f"${number}::text[]" for number in range(1, len(table.key) + 1))
    names = ", ".join(f"k{number}" for number in range(len(table.key)))
    same = " AND ".join(
        f"t.{quoted(column)} = k.k{number}::{cast_of(types[column])}" for number, column in enumerate(table.key)
    )
    texts = ", ".join(f"t.{quoted(column.name)}::text" for column in table.columns)
    key = ", ".join(f"k.k{number}" for number in range(len(table.key)))
    statement = f"SELECT {key}, {texts} FROM unnest({wanted}) AS k({names}) JOIN {source(table.table)} AS t ON {same}"
    rows = side.numbered(statement, *([str(key[at]) for key in keys] for at in range(len(table.key))))
    written = {tuple(str(part) for part in key): key for key in keys}
    return {written[row[: len(table.key)]]: row[len(table.key) :] for row in rows}


def _fetch_places(side: Session, table: Comparison, keys: list[Key]) -> dict[int | str, Values]:
    """Rows by their digest; where partitions have the same places, the digest tells which one is meant."""
    if not keys:
        return {}
    texts = ", ".join(f"{quoted(column.name)}::text" for column in table.columns)
    found = digest(table)
    statement = (
        f"SELECT DISTINCT ON (1) {found}, {texts} FROM {source(table.table)} "
        f"WHERE ctid = ANY ($1::tid[]) AND {found} = ANY ($2::text[])"
    )
    rows = side.numbered(statement, [str(key[1]) for key in keys], [str(key[0]) for key in keys])
    return {row[0]: row[1:] for row in rows}
