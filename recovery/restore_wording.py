"""What a restore says: its plan, its question, and how it ended."""

import re

from recovery.restores import Begun, RestorePlan


def show_restore(plan: RestorePlan, *, rehearsed: bool) -> str:
    """The plan, as an artifact."""
    head = "rehearsed, nothing was changed" if rehearsed else "going on"
    return f"# {plan.service} {_plain(plan.version)}: the database goes back\n\n{head}.\n\n{_body(plan)}"


def ask_for_restore(plan: RestorePlan) -> str:
    """What stands above the form."""
    return (
        f"**{plan.service} {_plain(plan.version)}: {_plain(plan.cause)}**\n\nNothing is done yet.\n\n{_body(plan)}\n"
        "Mend it forwards instead wherever that is possible: this is for data that is corrupt.\n"
    )


def headline(plan: RestorePlan) -> str:
    """How it ended, in a line."""
    return f"the database of {plan.service} is back at {plan.name}, made {plan.then.made_at:%Y-%m-%d %H:%M:%S} UTC"


def report_restore(plan: RestorePlan, begun: Begun | None, said: tuple[str, ...], variable: str) -> str:
    """The report: what serves now, what is kept and where, and what a person does next."""
    end = f", frozen at {begun.end}" if begun and begun.end else ""
    lines = "".join(f"- {_plain(each)}\n" for each in said)
    return (
        f"# {_plain(headline(plan))}\n\n{_plain(plan.cause)}.\n\nClients are served by `{plan.host}:{plan.port}`. "
        f"{_plain(kept(plan))}{end}.\n\n{lines}\n**Rows that are not in the restored database**\n\n{_losses(plan)}\n"
        f"**Next**\n\n1. `ripcord salvage {plan.service} {_plain(plan.version)}`: what was written since, row by row\n"
        f"2. when nothing more is to be read from the damaged server: set `{variable}` to the restored one, name "
        "another `port` in `restore`, and have the next gate prove a new point: the old sets are of another timeline. "
        "Until then there is a backup of the restored server, which is taken now; you are told if that fails\n"
    )


def told(plan: RestorePlan) -> str:
    """What the stakeholders are told below the headline."""
    return f"{plan.cause}. {kept(plan)}. What next: salvage, 'ripcord salvage {plan.service} {plan.version}'."


def kept(plan: RestorePlan) -> str:
    """What became of what was written since the point."""
    known = [loss.now - (loss.then or 0) for loss in plan.losses if loss.now is not None]
    unread = len(plan.losses) - len(known)
    moved = [f"{sum(map(abs, known))} rows in {len(known)} tables by count"] if known else []
    moved += [f"{unread} tables that could not be counted"] if unread else []
    what = f" ({', '.join(moved)})" if moved else ""
    return f"What was written since{what} is kept in the damaged server"


def _body(plan: RestorePlan) -> str:
    steps = "".join(f"{number}. {_plain(step)}\n" for number, step in enumerate(plan.steps, 1))
    notes = "".join(f"- {_plain(note)}\n" for note in plan.notes)
    return (
        f"Point: `{plan.name}` at {plan.then.lsn}, made {plan.then.made_at:%Y-%m-%d %H:%M:%S} UTC, {plan.age} ago.\n\n"
        f"Time it takes: {plan.forecast}.\n\nThe damaged server: {_plain(plan.damaged)}.\n\n"
        f"**What is lost**, and kept for the salvage\n\n{_losses(plan)}\n{steps}\n{notes}"
    )


def _losses(plan: RestorePlan) -> str:
    if not plan.losses:
        return "Unknown, or nothing: no table could be compared, or all have as many rows as at the point.\n"
    rows = "".join(
        f"| {_plain(loss.table)} | {_shown(loss.then, 'none')} | {_shown(loss.now, 'unreadable')} |\n"
        for loss in plan.losses
    )
    return f"| table | rows at the point | rows now |\n|---|---|---|\n{rows}"


def _shown(rows: int | None, without: str) -> str:
    return without if rows is None else str(rows)


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split()))
