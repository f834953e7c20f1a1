"""What a salvage found and did, in words for people. No row's content: it may be private, and stays in the database."""

import re
from collections.abc import Sequence

from recovery.salvage_tables import Kind
from recovery.salvages import Applied, Choice, Export

SHOWN = 50  # tables and notes that a page lists; the export has all


def headline(service: str, export: Export) -> str:
    """How much was written after the point."""
    if not export.tables:
        return f"{service}: no row was written after {export.point}"
    return f"{service}: {export.rows} rows of {len(export.tables)} tables were written after {export.point}"


def show_export(service: str, export: Export, said: str) -> str:
    """What was found."""
    return "\n\n".join([f"# {_plain(headline(service, export))}", f"{_plain(said)}.", *_found(export)]) + "\n"


def ask_for_salvage(service: str, export: Export, objection: str | None = None) -> str:
    """What stands above the form in the Prefect UI."""
    parts = [
        f"**That does not go: {_plain(objection)}.**" if objection else "",
        f"{_plain(headline(service, export))}. What of it goes back to the restored database?",
        *_found(export),
        f"- *{Choice.NOTHING}*: the restored database stays as it is, the export is kept\n"
        f"- *{Choice.INSERTED}*: rows that were new; what the point had stays as the point had it\n"
        f"- *{Choice.EVERYTHING}*: changed and deleted rows too. If the fault itself changed rows, this brings it back",
        "What was changed on the restored database meanwhile is left alone in any case. Rows of tables with triggers "
        "fire them again: leave such a table out if that would send or count something twice.",
    ]
    return "\n\n".join(part for part in parts if part)


def report_salvage(service: str, export: Export, applied: Sequence[Applied], seen: Sequence[Applied]) -> str:
    """What became of it."""
    rows = [
        f"| {_plain(each.table)} | {each.kind} | {each.found} | {each.applied} | {each.there} | {each.conflicts} |"
        for each in applied
    ]
    table = "\n".join(["| table | rows | found | taken back | already there | left alone |", "|---" * 6 + "|", *rows])
    moved = "".join(f"- {line}\n" for line in changed_since(applied, seen))
    parts = [
        f"# {_plain(summary(service, applied))}",
        table if rows else "",
        f"Read anew, some rows are no longer what was taken back:\n\n{moved}" if moved else "Read anew: all stands.",
        f"What was left alone, row by row and why:\n\n```sql\nSELECT relation, kind, key, why FROM "
        f"ripcord.salvage_conflicts WHERE point = '{export.point}'\n```"
        if any(each.conflicts for each in applied)
        else "",
        f"The export is kept in `{export.directory}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(service: str, applied: Sequence[Applied]) -> str:
    """The news in a line."""
    done, there, left = (sum(getattr(each, what) for each in applied) for what in ("applied", "there", "conflicts"))
    return f"{service}: {done} rows taken back, {there} were there already, {left} left alone for a person"


def changed_since(applied: Sequence[Applied], seen: Sequence[Applied]) -> tuple[str, ...]:
    """Where fewer rows stand now than were taken back or there: customers go on, or something took them away."""
    now = {(each.table, each.kind): each.applied + each.there for each in seen}
    return tuple(
        f"{_plain(each.table)}: {now.get((each.table, each.kind), 0)} of {each.applied + each.there} {each.kind} rows"
        for each in applied
        if now.get((each.table, each.kind), 0) < each.applied + each.there
    )


def _found(export: Export) -> list[str]:
    head = ["| table | inserted | changed | deleted | triggers that would fire |", "|---" * 5 + "|"]
    rows = [
        f"| {_plain(found.table)} | {' | '.join(str(found.counts.get(kind, 0)) for kind in Kind)} | "
        f"{_plain(', '.join(found.comparison.table.triggers)) or '-'} |"
        for found in export.tables
    ]
    moved = [
        f"Sequence {_plain(f'{each.schema}.{each.name}')} handed out numbers up to {each.later}, it was at "
        f"{each.then} at the point"
        for each in export.sequences
    ]
    return [
        "\n".join([*head, *_some(rows)]) if rows else "",
        "".join(f"- {line}.\n" for line in _some([*moved, *map(_plain, export.notes)])),
        f"Row by row, as CSV and as SQL that psql runs: `{export.directory}`",
    ]


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"... and {more} more in summary.json"] if more > 0 else [])]


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split()))
