"""The words of a fix: its plan, the question to a person, and what was done."""

import re

from recovery.durations import show_duration
from recovery.fixes import ATTEMPTS, LOCK_TIMEOUT, FixPlan, Held, Rehearsal, who_waits

SHOWN = 40  # lines of a list in an artifact


def show_fix(plan: FixPlan, because: str) -> str:
    """The plan of a fix: what the rehearsal has shown, and how it will run."""
    rehearsal = plan.rehearsal
    return "\n\n".join([
        f"# Fix {plan.name} of {plan.service} {plain(plan.version)}",
        f"Because {plain(because)}.",
        f"Rehearsed on a clone of the present database: {plain(plan.reason)}.",
        _losses(plan),
        _section("Statements", [f"line {step.line}: `{_code(step.shown)}`" for step in plan.script.steps]),
        _section("Locks, for about as long as on the clone", [_held(each) for each in rehearsal.held]),
        _section("Rows", _rows(rehearsal)),
        _section("Tables written anew, in whole", [f"`{_code(each)}`" for each in rehearsal.rewritten]),
        _section("Schema, removed", [f"`{_code(each)}`" for each in rehearsal.removed]),
        _section("Schema, added", [f"`{_code(each)}`" for each in rehearsal.added]),
        _section("Does not hold for all rows", [plain(each) for each in rehearsal.unsound]),
        f"It runs in one transaction that waits {show_duration(LOCK_TIMEOUT)} for a lock, {ATTEMPTS} times at most, "
        "and commits only what the clone had in the end.",
    ]) + "\n"  # fmt: skip


def ask_for_fix(plan: FixPlan, because: str) -> str:
    """The question to a person: what is lost stands first."""
    return f"Apply the fix {plan.name} to the database of {plan.service}?\n\n{show_fix(plan, because)}"


def show_fixed(plan: FixPlan, said: str, checked: str) -> str:
    """What was done."""
    return (
        f"# {plan.service} {plain(plan.version)}: fix {plan.name} applied\n\n{plain(said)}.\n\n{plain(checked)}.\n\n"
        f"    SELECT * FROM ripcord.fixes WHERE digest = '{plan.script.digest}'\n"
    )


def headline(plan: FixPlan) -> str:
    """The news in a line."""
    return f"the database of {plan.service} {plan.version} is mended by fix {plan.name}"


def show_hold(held: Held) -> str | None:
    """Whom a lock keeps waiting, and for how long; None where nobody notices."""
    waiting = who_waits(held.mode)
    return f"{waiting} of {held.table} wait for about {held.seconds:.2f} s" if waiting else None


def plain(text: str) -> str:
    """Text without the marks of Markdown."""
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split())).rstrip(".")


def _losses(plan: FixPlan) -> str:
    if not plan.losses:
        return "**No data is lost**: nothing is dropped, deleted or overwritten."
    return _section("DATA IS LOST, a person must approve", [plain(each) for each in plan.losses])


def _held(held: Held) -> str:
    waiting = show_hold(held)
    return f"{held.mode} on `{_code(held.table)}`: {plain(waiting) if waiting else 'nobody waits but another change'}"


def _rows(rehearsal: Rehearsal) -> list[str]:
    return [
        f"`{_code(each.table)}`: {each.inserted} inserted, {each.updated} updated, {each.deleted} deleted"
        for each in rehearsal.changes
    ]


def _section(head: str, lines: list[str]) -> str:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return f"**{head}**\n\n" + "\n".join(f"- {line}" for line in [*lines[:SHOWN], *more] or ["none"])


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
