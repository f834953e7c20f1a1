"""Rows of an export as they lie in a temporary table, beside what the restored server has of them now."""

from collections.abc import Iterator
from pathlib import Path

from recovery.salvage_tables import Comparison, Kind
from tasks.postgres.connection import Session, quoted
from tasks.postgres.salvage.differences import cast_of, source, whole
from tasks.postgres.salvage.statements import insert_into, nothing_hangs_on

BLOCK = 1 << 20  # bytes


class Staged:
    """One table's rows of an export. The state of each: `open`, `there`, or in conflict: `other`, `gone`."""

    def __init__(self, asked: Session, table: Comparison, number: int) -> None:
        self._asked, self._table = asked, table
        self.name = f"pg_temp.salvage_{number}"
        names = range(len(table.columns))
        self._old, self._new = [f"s.o{at}" for at in names], [f"s.n{at}" for at in names]
        self._here = [f"t.{quoted(column.name)}::text" for column in table.columns]

    def load(self, csv: Path) -> None:
        """Take in the file of the export."""
        texts = [*(f"o{at}" for at in range(len(self._old))), *(f"n{at}" for at in range(len(self._new)))]
        copies = [] if self._table.key else ["copies_then", "copies_later"]
        columns = ["kind text", *(f"{each} bigint" for each in copies), *(f"{each} text" for each in texts)]
        self._asked.rows(
            f"CREATE TEMPORARY TABLE {self.name} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, first text, "
            f"state text, why text, {', '.join(columns)}) ON COMMIT DROP"
        )
        target = ", ".join(["kind", *copies, *texts])
        self._asked.load(f"COPY {self.name} ({target}) FROM STDIN (FORMAT csv, HEADER true)", _blocks(csv))
        self._asked.rows(f"ANALYZE {self.name}")

    def keep(self, kinds: set[Kind]) -> None:
        """Forget the rows of all other kinds."""
        kept = ", ".join(f"'{kind}'" for kind in sorted(kinds))
        self._asked.rows(f"DELETE FROM {self.name} WHERE kind NOT IN ({kept})")

    def look(self) -> None:
        """Note what the restored server has of each row now; the first look is kept."""
        seen = self._seen_by_key() if self._table.key else self._seen_by_count()
        self._asked.rows(
            f"UPDATE {self.name} AS w SET state = seen.state, first = coalesce(w.first, seen.state) "
            f"FROM ({seen}) AS seen WHERE seen.id = w.id AND w.state IS DISTINCT FROM seen.state"
        )

    def open(self) -> int:
        """How many rows are still to be written."""
        return int(self._asked.value(f"SELECT count(*) FROM {self.name} WHERE state = 'open'"))

    def write(self, kind: Kind) -> None:
        """Write the open rows of a kind; of those that the database does not take it is noted what it said."""
        [(first, last)] = self._asked.rows(
            f"SELECT min(id), max(id) FROM {self.name} WHERE kind = '{kind}' AND state = 'open'"
        )
        if first is not None:
            self._asked.rows(f"UPDATE {self.name} SET why = NULL WHERE kind = '{kind}' AND state = 'open'")
            self._write_between(kind, first, last)

    def write_at_once(self, kind: Kind) -> None:
        """Write all open rows of a kind, or raise."""
        self._asked.rows(self._statement(kind, "s.state = 'open'"))

    def _write_between(self, kind: Kind, first: int, last: int) -> None:
        statement = self._statement(kind, f"s.state = 'open' AND s.id BETWEEN {first} AND {last}")
        said = self._asked.tried(lambda: self._asked.rows(statement))
        if said is None:
            return
        if first == last:
            self._asked.numbered(f"UPDATE {self.name} SET why = $1 WHERE id = $2 RETURNING id", said, first)
            return
        middle = (first + last) // 2
        self._write_between(kind, first, middle)
        self._write_between(kind, middle + 1, last)

    def counted(self, kind: Kind) -> tuple[int, int, int, int]:
        """Rows of a kind: all, written now, there before, left alone."""
        [(found, written, there)] = self._asked.rows(
            f"SELECT count(*), count(*) FILTER (WHERE state = 'there' AND first = 'open'), "
            f"count(*) FILTER (WHERE state = 'there' AND first <> 'open') FROM {self.name} WHERE kind = '{kind}'"
        )
        return found, written, there, found - written - there

    def conflicts(self) -> str:
        """A query of the rows that were left alone: kind, key, and why."""
        key = " || ', ' || ".join(
            f"{self._asked.literal(column + ' = ')} || {self._either(column)}" for column in self._table.key
        ) or f"{whole(self._old)} || ' -> ' || {whole(self._new)}"  # fmt: skip
        return (
            f"SELECT s.kind, {key}, coalesce(s.why, CASE WHEN s.first = 'open' AND s.state <> 'open' "
            "THEN 'it was written, and a trigger or somebody else changed it at once' "
            "WHEN s.state = 'gone' THEN 'it is gone' "
            "WHEN s.state = 'open' AND s.kind = 'deleted' THEN 'rows that were written meanwhile hang on it' "
            "WHEN s.state = 'open' THEN 'another row has a value that may be there only once' "
            "WHEN s.kind = 'inserted' THEN 'another row has its key' ELSE 'it was changed meanwhile' END) "
            f"FROM {self.name} AS s WHERE s.state <> 'there'"
        )

    def _statement(self, kind: Kind, which: str) -> str:
        which = f"s.kind = '{kind}' AND {which}"
        target, staged = source(self._table.table), f"{self.name} AS s"
        if kind is Kind.INSERTED:
            times = "" if self._table.key else ", generate_series(s.copies_then + 1, s.copies_later)"
            giving_way = "" if self._table.table.deferrable else " ON CONFLICT DO NOTHING"
            return (
                f"{insert_into(self._table)} SELECT {', '.join(self._cast(self._new))} FROM {staged}{times} "
                f"WHERE {which} ORDER BY s.id{giving_way}"
            )
        if not self._table.key:
            rows = f"SELECT t.tableoid, t.ctid, {whole(self._here)} AS r FROM {target} AS t"
            numbered = f"SELECT *, row_number() OVER (PARTITION BY r) AS n FROM ({rows}) AS every"
            return (
                f"DELETE FROM {target} AS t USING ({numbered}) AS x JOIN {staged} ON {whole(self._old)} = x.r "
                f"WHERE t.tableoid = x.tableoid AND t.ctid = x.ctid AND {which} "
                "AND x.n <= s.copies_then - s.copies_later"
            )
        unmoved = f"{self._same_key()} AND {whole(self._here)} = {whole(self._old)} AND {which}"
        if kind is Kind.DELETED:
            return f"DELETE FROM {target} AS t USING {staged} WHERE {unmoved}{nothing_hangs_on(self._table, 't')}"
        settings = ", ".join(
            f"{quoted(column.name)} = {value}"
            for column, value in zip(self._table.columns, self._cast(self._new), strict=True)
            if not column.always
        )
        return f"UPDATE {target} AS t SET {settings} FROM {staged} WHERE {unmoved}"

    def _seen_by_key(self) -> str:
        now, old, new = whole(self._here), whole(self._old), whole(self._new)
        return (
            f"SELECT s.id, CASE WHEN t.ctid IS NULL THEN CASE s.kind WHEN 'inserted' THEN 'open' WHEN 'changed' "
            f"THEN 'gone' ELSE 'there' END WHEN s.kind <> 'deleted' AND {now} = {new} THEN 'there' "
            f"WHEN s.kind <> 'inserted' AND {now} = {old} THEN 'open' ELSE 'other' END AS state "
            f"FROM {self.name} AS s LEFT JOIN {source(self._table.table)} AS t ON {self._same_key()}"
        )

    def _seen_by_count(self) -> str:
        rows = f"SELECT {whole(self._here)} AS r, count(*) AS n FROM {source(self._table.table)} AS t GROUP BY 1"
        row = f"CASE s.kind WHEN 'inserted' THEN {whole(self._new)} ELSE {whole(self._old)} END"
        return (
            "SELECT s.id, CASE coalesce(c.n, 0) WHEN s.copies_then THEN 'open' WHEN s.copies_later THEN 'there' "
            f"ELSE 'other' END AS state FROM {self.name} AS s LEFT JOIN ({rows}) AS c ON c.r = {row}"
        )

    def _same_key(self) -> str:
        types = {column.name: column.type for column in self._table.columns}
        same = ((quoted(key), self._either(key), cast_of(types[key])) for key in self._table.key)
        return " AND ".join(f"t.{name} = ({written})::{kind}" for name, written, kind in same)

    def _either(self, column: str) -> str:
        at = [each.name for each in self._table.columns].index(column)
        return f"coalesce(s.o{at}, s.n{at})"

    def _cast(self, texts: list[str]) -> list[str]:
        return [f"{text}::{column.type}" for text, column in zip(texts, self._table.columns, strict=True)]


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
