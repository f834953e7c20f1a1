"""What a gate and a restore on CloudNativePG say: the plan, the question, and how it ended."""

from recovery.cnpg import backup_of
from recovery.cnpg_plans import CnpgPlan
from recovery.rds import Frozen
from recovery.rds_wording import losses_table, plain
from recovery.restore_points import Choice


def show_cnpg_gate(service: str, version: str, choice: Choice, proof: str, said: str) -> str:
    """The plan of a gate."""
    verb = "Found" if choice.there else "To be made"
    name = choice.point.name
    return (
        f"# Way back to before {service} {plain(version)}\n\n{plain(said)}.\n\n"
        f"{verb}: `{name}`, {plain(choice.reason)}.\n\n"
        f"1. Backup `{backup_of(name)}`, waited for\n"
        f"2. restore point and marker commit; the rows counted before and after; the segment switched and archived\n"
        f"3. Cluster `{proof}` of one instance recovered to the point, compared, asked the smoke queries, removed\n"
    )


def show_cnpg(plan: CnpgPlan, *, rehearsed: bool) -> str:
    """The plan, as an artifact."""
    head = "rehearsed, nothing was changed" if rehearsed else "going on"
    return f"# {plan.service} {plain(plan.version)}: {plan.damaged} goes back\n\n{head}.\n\n{_body(plan)}"


def ask_for_cnpg(plan: CnpgPlan) -> str:
    """What stands above the form."""
    return (
        f"**{plan.service} {plain(plan.version)}: {plain(plan.cause)}**\n\nNothing is done yet.\n\n{_body(plan)}\n"
        "Mend it forwards instead wherever that is possible: this is for data that is corrupt.\n"
    )


def cnpg_headline(plan: CnpgPlan) -> str:
    """How it ended, in a line."""
    return f"the database of {plan.service} is back at {plan.name}, made {plan.point.at:%Y-%m-%d %H:%M:%S} UTC"


def report_cnpg(plan: CnpgPlan, frozen: Frozen | None, said: tuple[str, ...], variable: str) -> str:
    """The report: what serves now, what is kept, and what a person does next."""
    end = f" at {frozen.at:%Y-%m-%d %H:%M:%S} UTC" if frozen else ""
    lines = "".join(f"- {plain(each)}\n" for each in said)
    own = f"`{plan.secret}`, which goes with it, and " if plan.secret == f"{plan.damaged}-app" else ""
    return (
        f"# {plain(cnpg_headline(plan))}\n\n{plain(plan.cause)}.\n\nClients are served by the Cluster "
        f"`{plan.restored}`. What was written since is kept in `{plan.damaged}`, fenced{end}.\n\n{lines}\n"
        f"**Rows that are not in the restored database**\n\n{losses_table(plan.losses)}\n**Next**\n\n"
        f"1. name `{plan.restored}` in the catalogue's `cluster`, and lead `{variable}` there\n"
        f"2. put `{plan.restored}` where your manifests are; lead ScheduledBackups, Poolers and alerts there\n"
        f"3. `ripcord salvage {plan.service} {plain(plan.version)}`: what was written since, row by row\n"
        f"4. when nothing more is to be read: copy {own}what else the restored one uses of it, then remove it by hand\n"
    )


def cnpg_told(plan: CnpgPlan) -> str:
    """What the stakeholders are told below the headline."""
    return (
        f"{plan.cause}. What was written since is kept in the Cluster {plan.damaged}, fenced. What next: salvage, "
        f"'ripcord salvage {plan.service} {plan.version}'."
    )


def _body(plan: CnpgPlan) -> str:
    steps = "".join(f"{number}. {plain(step)}\n" for number, step in enumerate(plan.steps, 1))
    notes = "".join(f"- {plain(note)}\n" for note in plan.notes)
    made = f"{plan.point.at:%Y-%m-%d %H:%M:%S} UTC, {plan.age} ago"
    return (
        f"Point: `{plan.name}` at {plan.point.then.lsn}, made {made}.\n\n"
        f"The damaged Cluster: {plain(plan.standing)}.\n\n"
        f"**What is lost**, and kept aside\n\n{losses_table(plan.losses)}\n{steps}\n{notes}"
    )
