"""A drill, with those before it, as people read it in the Prefect UI."""

import re
from collections.abc import Sequence
from datetime import timedelta

from recovery.drills import SHOWN, Drill, Promise
from recovery.durations import show_duration
from recovery.restore_points import show_age

_MARK = {True: "held", False: "**failed**"}


def show_drill(drill: Drill, history: Sequence[Drill], promise: Promise) -> str:
    """The answer of a drill: what was restored, how long each phase took, what would be lost, and the drills before."""
    head = f"# {drill.service}: the drill of the way back {'held' if drill.held else 'FAILED'}"
    return "\n\n".join([head, f"{_plain(drill.said)}.", _measured(drill, promise), _past(drill, history)]) + "\n"


def _measured(drill: Drill, promise: Promise) -> str:
    rows = []
    if drill.phases:
        rows += [(phase, f"{seconds:.1f} s", "") for phase, seconds in drill.phases.each.items()]
        rows.append(("**set to a server that takes writes (RTO)**", f"{drill.phases.total:.1f} s", _limit(promise.rto)))
    if drill.made_at:
        rows.append(
            ("**age of the newest proved point (RPO)**", show_age(drill.at - drill.made_at), _limit(promise.rpo))
        )
    if drill.archived_at:
        rows.append(("last WAL archived", f"{show_age(drill.at - drill.archived_at)} ago", ""))
    if drill.unarchived is not None:
        rows.append(("WAL that only the server has", f"{drill.unarchived / 1e6:.1f} MB", ""))
    lines = "\n".join(f"| {what} | {seen} | {limit} |" for what, seen, limit in rows)
    return f"| | measured | promised |\n|---|---|---|\n{lines}" if rows else "Nothing could be measured."


def _limit(promised: timedelta | None) -> str:
    return "nothing" if promised is None else show_duration(promised)


def _past(drill: Drill, history: Sequence[Drill]) -> str:
    before = sorted((each for each in history if each.at < drill.at), key=lambda each: each.at, reverse=True)
    lines = "\n".join(
        f"| {each.at:%Y-%m-%d %H:%M} | {_MARK[each.held]} | {f'{each.phases.total:.1f} s' if each.phases else '-'} "
        f"| {each.point or '-'} | {_plain(each.said)} |"
        for each in before[:SHOWN]
    )
    table = f"| UTC | | RTO | point | |\n|---|---|---|---|---|\n{lines}" if before else "It is the first."
    return f"**The drills before**\n\n{table}"


def _plain(text: str) -> str:
    """Words from elsewhere on one line, with nothing that Markdown or HTML obeys."""
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split()))
