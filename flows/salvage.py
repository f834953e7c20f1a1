"""Find the rows that were written after the point of a restore, and take back of them what a person picks.

1. Read the damaged server, the restored one, and the point at which they parted.  2. See that they are those two, or
refuse.  3. Compare the damaged server with a copy at the point, row by row; write what differs down as CSV and
SQL; ask a person what goes back, however long that takes; take it back, once.  4. Read every row anew by its key.
5. Report what was found, taken back, there already and left alone.
"""

from prefect import flow

from flows.parting import part
from flows.telling import tell_of_failure
from recovery.catalog import Service
from recovery.salvage_wording import ask_for_salvage, headline, report_salvage, show_export, summary
from recovery.salvages import Choice, Export, Parted, names_of, object_to
from recovery.versions import parse_version
from tasks.approvals import ask_person
from tasks.artifacts import show
from tasks.fence import one_at_a_time
from tasks.notify import notify
from tasks.postgres.salvage import apply_salvage, read_applied, read_back, read_export
from tasks.runs import this_run
from tasks.salvage_form import SalvageAnswer
from tasks.settings import read_service


@flow(name="salvage", flow_run_name="salvage {service} {version}", persist_result=True, on_failure=[tell_of_failure])
def salvage(service: str, version: str, rehearse: bool = True) -> str:
    """Find what was written after the point, and take back what a person picks; or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The release before which the database was restored, such as v1.2.0.
        rehearse: Stop after the export and show it.
    """
    entry = read_service(service)
    tag = parse_version(version, entry.tag_prefix).tag
    # The fence of the gate, which restores a copy of the same set.
    with one_at_a_time(f"{service}, way back"):
        parted, said = part(entry, tag, apply=not rehearse)
        export = read_export(parted)
        show(f"salvage-{service}-{tag}", show_export(service, export, said), headline(service, export))
        if rehearse or not (export.rows or export.sequences):
            return f"{headline(service, export)}: {export.directory}"

    choice, left_out = pick(entry, tag, export)
    if choice is Choice.NOTHING:
        title = f"{service}: nothing is taken back of what was written after {parted.point}"
        return notify(f"salvage/none/{service}/{parted.point}", title, f"It is kept in {export.directory}")
    with one_at_a_time(f"{service}, way back"):
        apply_salvage(service, tag, parted, choice, left_out)
        return report(entry, tag, parted, export)


def pick(entry: Service, version: str, export: Export) -> tuple[Choice, tuple[str, ...]]:
    """Ask what goes back, until every table that is to be left out is one of those there are."""
    asked = f"{headline(entry.name, export)}\n\nLook into {export.directory}, then answer at {this_run()}"
    notify(f"salvage/asked/{entry.name}/{export.point}", f"{entry.name} {version}: what goes back?", asked)
    objection, number = None, 0
    while True:
        answer = ask_person(SalvageAnswer, ask_for_salvage(entry.name, export, objection), f"salvage-{number}")
        left_out = names_of(answer.left_out)
        objection, number = object_to(export.tables, left_out), number + 1
        if objection is None:
            return answer.choice, left_out


def report(entry: Service, version: str, parted: Parted, export: Export) -> str:
    """What the register says was done, and what stands there when it is read anew."""
    applied = read_applied(parted)
    seen = read_back(parted)
    title = summary(entry.name, applied)
    show(f"salvaged-{entry.name}-{version}", report_salvage(entry.name, export, applied, seen), title)
    notify(f"salvaged/{entry.name}/{parted.point}/{title}", title, f"The export is kept in {export.directory}")
    return title
