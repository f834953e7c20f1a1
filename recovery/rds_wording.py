"""What a restore and a gate on RDS say: the plan, the question, and how it ended."""

import re
from collections.abc import Sequence

from recovery.durations import show_duration
from recovery.rds import Frozen
from recovery.rds_catalog import Rds
from recovery.rds_gates import TimedChoice
from recovery.rds_plans import RdsPlan
from recovery.restores import Loss


def show_rds_gate(service: str, version: str, rds: Rds, choice: TimedChoice, said: str) -> str:
    """The plan of a gate."""
    verb = "Found" if choice.kept else "To be made"
    snapshot = "a manual snapshot is begun, which a person removes one day" if rds.snapshot else "no snapshot is taken"
    return (
        f"# Way back to before {service} {plain(version)}\n\n{plain(said)}.\n\n"
        f"{verb}: `{choice.name}`, {plain(choice.reason)}.\n\n"
        f"1. a commit before a whole second of the server's clock, and one after it; the rows are counted\n"
        f"2. wait, {show_duration(rds.lag)} at most, until RDS can restore to that second\n3. {snapshot}\n\n"
        "No copy is restored: on RDS that is another instance.\n"
    )


def show_rds(plan: RdsPlan, *, rehearsed: bool) -> str:
    """The plan, as an artifact."""
    head = "rehearsed, nothing was changed" if rehearsed else "going on"
    return f"# {plan.service} {plain(plan.version)}: {plan.names.final} goes back\n\n{head}.\n\n{_body(plan)}"


def ask_for_rds(plan: RdsPlan) -> str:
    """What stands above the form."""
    return (
        f"**{plan.service} {plain(plan.version)}: {plain(plan.cause)}**\n\nNothing is done yet.\n\n{_body(plan)}\n"
        "Mend it forwards instead wherever that is possible: this is for data that is corrupt.\n"
    )


def rds_headline(plan: RdsPlan) -> str:
    """How it ended, in a line."""
    return f"the database of {plan.service} is back at {plan.point.at:%Y-%m-%d %H:%M:%S} UTC ({plan.name})"


def report_rds(plan: RdsPlan, frozen: Frozen | None, said: tuple[str, ...]) -> str:
    """The report: what serves now, what is kept under which name, and what a person does next."""
    end = f", closed at {frozen.at:%Y-%m-%d %H:%M:%S} UTC" if frozen else ""
    lines = "".join(f"- {plain(each)}\n" for each in said)
    names = plan.names
    return (
        f"# {plain(rds_headline(plan))}\n\n{plain(plan.cause)}.\n\nClients are served by `{names.final}`, restored. "
        f"What was written since is kept in `{names.damaged}`{end}.\n\n{lines}\n"
        f"**Rows that are not in the restored database**\n\n{losses_table(plan.losses)}\n**Next**\n\n"
        f"1. `ripcord salvage {plan.service} {plain(plan.version)}`: what was written since, row by row\n"
        f"2. new replicas of `{names.final}`, if it had any; the tools that know it by its resource id are told\n"
        f"3. when nothing more is to be read: remove `{names.damaged}` by hand, its deletion protection first\n"
    )


def rds_told(plan: RdsPlan) -> str:
    """What the stakeholders are told below the headline."""
    return (
        f"{plan.cause}. What was written since is kept in {plan.names.damaged}, closed. What next: salvage, "
        f"'ripcord salvage {plan.service} {plan.version}'."
    )


def _body(plan: RdsPlan) -> str:
    steps = "".join(f"{number}. {plain(step)}\n" for number, step in enumerate(plan.steps, 1))
    notes = "".join(f"- {plain(note)}\n" for note in plan.notes)
    return (
        f"Point: `{plan.name}`, {plan.point.at:%Y-%m-%d %H:%M:%S} UTC, {plan.age} ago.\n\n"
        "Time it takes: unknown, RDS copies as fast as it can; the size decides, and an hour is not unusual.\n\n"
        f"The damaged database: {plain(plan.damaged)}.\n\n"
        f"**What is lost**, and kept aside\n\n{losses_table(plan.losses)}\n{steps}\n{notes}"
    )


def losses_table(losses: Sequence[Loss]) -> str:
    """The rows that are not in the restored database, table by table."""
    if not losses:
        return "Unknown, or nothing: no table could be compared, or all have as many rows as at the point.\n"
    rows = "".join(
        f"| {plain(loss.table)} | {_shown(loss.then, 'none')} | {_shown(loss.now, 'unreadable')} |\n" for loss in losses
    )
    return f"| table | rows at the point | rows now |\n|---|---|---|\n{rows}"


def _shown(rows: int | None, without: str) -> str:
    return without if rows is None else str(rows)


def plain(text: str) -> str:
    """Text in which nothing is taken for Markdown."""
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split()))
