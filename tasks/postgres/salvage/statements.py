"""The lines of an export: a row as CSV that PostgreSQL's COPY reads, and as a statement that psql runs alone.

Every statement looks first: an insert gives way to a row that is there, an update and a delete touch a row only while
it is what it was at the point. So the whole may be run twice, and over what customers have written meanwhile.
"""

from collections.abc import Callable, Sequence

from recovery.salvage_tables import Comparison, Difference, Kind
from tasks.postgres.connection import quoted
from tasks.postgres.salvage.catalogs import ALIKE
from tasks.postgres.salvage.differences import Values, source

Quote = Callable[[str], str]
_PLAIN = ("smallint", "integer", "bigint", "uuid", "boolean", "date")


def csv_header(table: Comparison) -> str:
    """What stands above the rows of a table: which kind, what it was at the point, what it was later."""
    names = [column.name for column in table.columns]
    copies = () if table.key else ("copies then", "copies later")
    return csv_line(["kind", *copies, *(f"then.{name}" for name in names), *(f"later.{name}" for name in names)])


def csv_row(table: Comparison, change: Difference, was: Values | None, became: Values | None) -> str:
    """A row that was written after the point."""
    nothing: Values = (None,) * len(table.columns)
    copies = () if table.key else (str(change.then), str(change.later))
    return csv_line([change.kind.value, *copies, *(was or nothing), *(became or nothing)])


def csv_line(values: Sequence[str | None]) -> str:
    """A line of CSV: NULL is nothing at all, an empty text is a pair of quotes."""
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in values) + "\n"


def sql_header(table: Comparison, kind: Kind, point: str) -> str:
    """How a file of statements begins."""
    name = " ".join(table.shown.split())
    return (
        f"-- {name}: rows {kind} after the point {point}. May be run again; what was changed meanwhile stays.\n"
        f"{ALIKE.strip()};\n"
    )


def sql_row(table: Comparison, change: Difference, was: Values | None, became: Values | None, quote: Quote) -> str:
    """The statement that takes one row back."""
    if not table.key:
        return _without_key(table, change, was or became or (), quote)
    if was is not None and became is None:
        where = f"{_known(table, was, quote)} AND {_as_is(table, was, quote)}{nothing_hangs_on(table, '')}"
        return f"DELETE FROM {source(table.table)} WHERE {where};\n"
    if was is None:
        return _insert(table, became or (), quote)
    settings = ", ".join(
        f"{quoted(column.name)} = {_literal(new, quote)}"
        for column, old, new in zip(table.columns, was, became or (), strict=True)
        if old != new
    )
    where = f"{_known(table, was, quote)} AND {_as_is(table, was, quote)}"
    return f"UPDATE {source(table.table)} SET {settings} WHERE {where};\n"


def _insert(table: Comparison, values: Values, quote: Quote) -> str:
    row = ", ".join(
        f"{_literal(value, quote)}::{column.type}" for column, value in zip(table.columns, values, strict=True)
    )
    if not table.table.deferrable:
        return f"{insert_into(table)} VALUES ({row}) ON CONFLICT DO NOTHING;\n"
    # ON CONFLICT does not take a table with a deferrable unique constraint at all.
    there = f"SELECT FROM {source(table.table)} WHERE {_known(table, values, quote)}"
    return f"{insert_into(table)} SELECT {row} WHERE NOT EXISTS ({there});\n"


def insert_into(table: Comparison) -> str:
    """The head of an insert, which sets identity columns to what they were."""
    names = ", ".join(quoted(column.name) for column in table.columns)
    overriding = " OVERRIDING SYSTEM VALUE" if any(column.always for column in table.columns) else ""
    return f"INSERT INTO {quoted(*table.table.id)} ({names}){overriding}"


def nothing_hangs_on(table: Comparison, alias: str) -> str:
    """The condition that no row is left which a delete would take along: what customers have written stays."""
    here = alias or quoted(*table.table.id)
    conditions = []
    for each in table.table.dependants:
        same = " AND ".join(
            f"d.{quoted(theirs)} = {here}.{quoted(ours)}" for theirs, ours in zip(each.columns, each.names, strict=True)
        )
        conditions.append(f" AND NOT EXISTS (SELECT FROM {quoted(each.schema, each.name)} AS d WHERE {same})")
    return "".join(conditions)


def _without_key(table: Comparison, change: Difference, values: Values, quote: Quote) -> str:
    here, same = source(table.table), _as_is(table, values, quote)
    unmoved = f"(SELECT count(*) FROM {here} WHERE {same}) = {change.then}"
    if change.kind is Kind.INSERTED:
        row = ", ".join(
            f"{_literal(value, quote)}::{column.type}" for column, value in zip(table.columns, values, strict=True)
        )
        times = f"generate_series({change.then + 1}, {change.later})"
        return f"{insert_into(table)} SELECT {row} FROM {times} WHERE {unmoved};\n"
    some = f"SELECT tableoid, ctid FROM {here} WHERE {same} LIMIT {change.then - change.later}"
    return f"DELETE FROM {here} WHERE (tableoid, ctid) IN ({some}) AND {unmoved};\n"


def _known(table: Comparison, values: Values, quote: Quote) -> str:
    given = dict(zip((column.name for column in table.columns), values, strict=True))
    types = {column.name: column.type for column in table.columns}
    return " AND ".join(f"{quoted(key)} = {_literal(given[key], quote)}::{types[key]}" for key in table.key)


def _as_is(table: Comparison, values: Values, quote: Quote) -> str:
    """As text, for not every type can be compared, and equal is not always the same; of a plain key it is."""
    conditions = [
        f"{quoted(column.name)}::text IS NOT DISTINCT FROM {_literal(value, quote)}"
        for column, value in zip(table.columns, values, strict=True)
        if not (column.name in table.key and column.type in _PLAIN)
    ]
    return " AND ".join(conditions) or "true"


def _literal(value: str | None, quote: Quote) -> str:
    return "NULL" if value is None else quote(value)
