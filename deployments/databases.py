"""The commands about a service's database: `ripcord gate | restore | salvage | fix-forward | drill`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deployments.console import (
    AsJson,
    Number,
    Rehearse,
    ServiceName,
    VersionTag,
    Wait,
    app,
    print_json,
    say,
    sentences,
    tell_run,
)

Before = Annotated[str, typer.Argument(help="The release before which the point was made, such as v1.2.0.")]


@app.command()
def gate(
    service: ServiceName,
    version: Annotated[str, typer.Argument(help="The tag that is about to be deployed, such as v1.2.0.")],
    as_json: AsJson = False,
) -> None:
    """Prove the way back of the database before a deployment: exit code 0 is yes, every other one is no."""
    from deployments.gating import run_gate

    with sentences():
        way = run_gate(service, version)
        if as_json:
            print_json(asdict(way))
        else:
            say(f"{'yes' if way.proved else 'yes, unproved'}: {way.sentence}", "said", as_json=False)


@app.command()
def restore(
    service: ServiceName,
    version: Before,
    because: Annotated[str, typer.Option(help="What is corrupt, in a sentence; the question and the report say it.")],
    off: Annotated[
        bool,
        typer.Option("--off", help="The damaged server's host is silent because you switched it off."),
    ] = False,
    rehearse: Rehearse = False,
    number: Number = 1,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Take the database back to its restore point, in a catastrophe: a person is asked before anything is lost."""
    from deployments.restoring import rehearse as rehearse_restore
    from deployments.restoring import start_restore

    with sentences():
        if rehearse:
            say(rehearse_restore(service, version, because, off), "rehearsed", as_json=as_json)
            return
        tell_run(start_restore(service, version, because, number, off), wait=wait, as_json=as_json)


@app.command()
def salvage(
    service: ServiceName,
    version: VersionTag,
    apply: Annotated[bool, typer.Option("--apply", help="Ask a person what goes back, and take it back.")] = False,
    number: Number = 1,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Find what was written after the point of a restore; export it, and with --apply take back what a person picks."""
    from deployments.salvaging import run_export, start_salvage

    with sentences():
        if not apply:
            say(run_export(service, version), "said", as_json=as_json)
            return
        tell_run(start_salvage(service, version, number), wait=wait, as_json=as_json)


@app.command("fix-forward")
def fix_forward(
    service: ServiceName,
    version: Annotated[str, typer.Argument(help="The release that hurt the database, such as v1.2.0.")],
    because: Annotated[str, typer.Option(help="What is wrong, in a sentence; the plan and the question say it.")],
    script: Annotated[Path | None, typer.Option(help="File of the fix, SQL statements without a secret.")] = None,
    pull: Annotated[int | None, typer.Option(min=1, help="Or the pull request that brings the fix.")] = None,
    path: Annotated[str | None, typer.Option(help="Which of its files, where it brings several.")] = None,
    rehearse: Rehearse = False,
    number: Number = 1,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Mend the database by a script: tried on a clone, asked where data is lost, applied once in one transaction."""
    from deployments.fixing import read_fix, start_fix
    from deployments.fixing import rehearse as rehearse_fix

    with sentences():
        text = read_fix(service, script, pull, path)
        if rehearse:
            say(rehearse_fix(service, version, text, because), "rehearsed", as_json=as_json)
            return
        tell_run(start_fix(service, version, text, because, number), wait=wait, as_json=as_json)


@app.command()
def drill(
    service: Annotated[str, typer.Argument(help="Service, as the catalogue names it; all of them by default.")] = "all",
    as_json: AsJson = False,
) -> None:
    """Restore the newest set of each database beside its server, prove and time it; nothing in use is touched."""
    from deployments.drilling import run_drill

    with sentences():
        say(run_drill(service), "held", as_json=as_json)
