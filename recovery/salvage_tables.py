"""Tables as two sides have them, which of them are compared, and which of their rows differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

Key = tuple[int | str, ...]
INTEGERS = ("smallint", "integer", "bigint")
"""Types whose values are compared whatever each side's width."""


class Kind(StrEnum):
    """What happened to a row after the point. The order is that in which a database takes them back."""

    INSERTED = "inserted"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; its type as SQL writes it."""

    name: str
    type: str
    generated: bool = False  # computed from the others: nobody writes it
    always: bool = False  # GENERATED ALWAYS AS IDENTITY: written by OVERRIDING SYSTEM VALUE


@dataclass(frozen=True, slots=True)
class Dependant:
    """A table whose rows a delete would take along, or empty, by a foreign key of theirs."""

    schema: str
    name: str
    columns: tuple[str, ...]
    names: tuple[str, ...]  # the columns that they name, in the same order


@dataclass(frozen=True, slots=True)
class Table:
    """A table as one side has it."""

    schema: str
    name: str
    partitioned: bool
    unlogged: bool
    deferrable: bool  # some value must be there only once, and that is not checked at once
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # by which a row is known: primary key, or a unique index without NULLs; empty: none
    references: tuple[tuple[str, str], ...] = ()  # schema and name of the tables that its foreign keys name
    triggers: tuple[str, ...] = ()  # those of the team's own that fire when rows are written
    dependants: tuple[Dependant, ...] = ()

    @property
    def id(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class Comparison:
    """A table whose rows are compared, with what both sides have of it."""

    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def shown(self) -> str:
        """How people read its name, and how it is recorded."""
        return f"{self.table.schema}.{self.table.name}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that was written after the point: by its key, or by its digest and a place where it stands."""

    kind: Kind
    key: Key
    then: int  # how often it stood there at the point
    later: int


def plan_comparisons(
    then: Sequence[Table], later: Sequence[Table]
) -> tuple[tuple[Comparison, ...], tuple[Table, ...], tuple[str, ...]]:
    """Which tables are compared, in the order in which rows go back; which are new; and what is left out, said."""
    before, after = ({table.id: table for table in side} for side in (then, later))
    notes = [
        f"{_shown(table)} was dropped after the point" for key, table in sorted(before.items()) if key not in after
    ]
    compared = []
    for key in _parents_first([table for table in then if table.id in after]):
        if before[key].unlogged:
            notes.append(f"{_shown(before[key])} is unlogged, a restore empties it: it is not compared")
            continue
        comparison, said = _compare(before[key], after[key])
        notes += said
        if comparison:
            compared.append(comparison)
    fresh = tuple(after[key] for key in sorted(after) if key not in before)
    return tuple(compared), fresh, tuple(notes)


def _compare(then: Table, later: Table) -> tuple[Comparison | None, list[str]]:
    notes = []
    theirs = {column.name: column for column in later.columns}
    common = [column for column in then.columns if column.name in theirs]
    for what, names in (
        ("only since after the point", [c.name for c in later.columns if c.name not in {d.name for d in then.columns}]),
        ("no longer", [c.name for c in then.columns if c.name not in theirs]),
        ("with another type", [c.name for c in common if c.type != theirs[c.name].type]),
    ):
        if names:
            notes.append(f"{_shown(then)} has {', '.join(names)} {what}: compared is what both have, as text")
    written = tuple(column for column in common if not column.generated and not theirs[column.name].generated)
    if not written:
        return None, [*notes, f"{_shown(then)} has no column in common"]
    alike = {column.name for column in written if _comparable(column.type, theirs[column.name].type)}
    key = then.key if {*then.key} <= alike and then.key == later.key else ()
    if not key:
        notes.append(f"{_shown(then)} has no key: its rows are known by all that is in them")
    return Comparison(then, written, key), notes


def _comparable(then: str, later: str) -> bool:
    return then == later or {then, later} <= {*INTEGERS}


def _shown(table: Table) -> str:
    return f"{table.schema}.{table.name}"


def _parents_first(tables: Sequence[Table]) -> list[tuple[str, str]]:
    """By name, and each after those that its foreign keys name; a circle is entered at its first name."""
    waiting = {table.id: {each for each in table.references if each != table.id} for table in tables}
    order: list[tuple[str, str]] = []
    while waiting:
        free = sorted(key for key, needs in waiting.items() if not needs & waiting.keys())
        order += free or [min(waiting)]
        for key in order:
            waiting.pop(key, None)
    return order


def merge(then: Iterator[tuple[Key, str]], later: Iterator[tuple[Key, str]]) -> Iterator[Difference]:
    """The differences of two sides that come in the order of their keys, each row as its key and its digest."""
    left, right = next(then, None), next(later, None)
    while left is not None or right is not None:
        if right is not None and (left is None or right[0] < left[0]):
            yield Difference(Kind.INSERTED, right[0], 0, 1)
            right = next(later, None)
        elif left is not None and (right is None or left[0] < right[0]):
            yield Difference(Kind.DELETED, left[0], 1, 0)
            left = next(then, None)
        else:
            if left and right and left[1] != right[1]:
                yield Difference(Kind.CHANGED, left[0], 1, 1)
            left, right = next(then, None), next(later, None)


def merge_counted(then: Iterator[tuple[str, int, str]], later: Iterator[tuple[str, int, str]]) -> Iterator[Difference]:
    """The differences of two sides without a key: digest, how often it stands there, and one place where it does."""
    nobody = ("", 0, "")
    left, right = next(then, None), next(later, None)
    while left is not None or right is not None:
        digest = min(side[0] for side in (left, right) if side is not None)
        before = left if left is not None and left[0] == digest else nobody
        after = right if right is not None and right[0] == digest else nobody
        if before[1] > after[1]:
            yield Difference(Kind.DELETED, (digest, before[2]), before[1], after[1])
        elif before[1] < after[1]:
            yield Difference(Kind.INSERTED, (digest, after[2]), before[1], after[1])
        left = next(then, None) if before is left else left
        right = next(later, None) if after is right else right
