"""The command line: `ripcord check | plan | respond | hotfix | status | serve | watch | up | demo`, and the database's.

Exit codes: 0 done; 1 refused, nothing was changed; 2 the command line was wrong; 3 a system did not answer,
nothing was changed; 4 something was changed and a person must look.
"""

from typing import Annotated

import typer
from rich.table import Table

from deployments.console import (
    EXIT_REFUSED,
    AsJson,
    Number,
    ServiceName,
    VersionTag,
    Wait,
    app,
    out,
    print_json,
    sentences,
    tell_run,
)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Is everything reachable, allowed and sane, before the night it is needed?"""
    from deployments.checks import run_checks

    with sentences():
        results = run_checks()
        if as_json:
            print_json([{"what": each.what, "ok": each.ok, "said": each.said} for each in results])
        else:
            for each in results:
                out.print(f"[{'green' if each.ok else 'red'}]{'ok ' if each.ok else 'NO '}[/] {each.what}: ", end="")
                out.print(each.said, markup=False, highlight=False)
        if not all(each.ok for each in results):
            raise typer.Exit(EXIT_REFUSED)


@app.command()
def plan(service: ServiceName, version: VersionTag, as_json: AsJson = False) -> None:
    """Show what `respond` would do now. Changes nothing."""
    from deployments.planning import plan_now

    with sentences():
        planned = plan_now(service, version)
        if as_json:
            print_json(planned)
        else:
            out.print(planned["reason"], markup=False)
            for number, step in enumerate(planned["steps"], 1):
                out.print(f" {number}. {step}", markup=False, highlight=False)


@app.command()
def respond(
    service: ServiceName,
    version: VersionTag,
    because: Annotated[str, typer.Option(help="Why, in a sentence; it goes into the post-mortem.")],
    to: Annotated[str | None, typer.Option(help="The stable release to go back to, where you choose it.")] = None,
    hotfix: Annotated[bool, typer.Option(help="Undo the cluster, then prepare a hotfix; no full rollback.")] = False,
    data_corrupt: Annotated[
        bool, typer.Option("--data-corrupt", help="Data are spoiled: a person is asked about the database, too.")
    ] = False,
    number: Number = 1,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Bring a service back from a faulty release: starts the run, or finds the one that already does it."""
    from deployments.following import start

    with sentences():
        launched = start(service, version, because, number, to, hotfix, data_corrupt)
        tell_run(launched, wait=wait, as_json=as_json)


@app.command()
def hotfix(
    service: ServiceName,
    version: VersionTag,
    because: Annotated[str, typer.Option(help="What is wrong, in a sentence; commit and pull request say it.")],
    number: Number = 1,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Prepare a hotfix from main with a draft pull request, and ask what becomes of it; the cluster stays as it is."""
    from deployments.following import start_hotfix

    with sentences():
        tell_run(start_hotfix(service, version, because, number), wait=wait, as_json=as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what runs, what is under watch, and the recoveries under way."""
    from deployments.planning import status_now

    with sentences():
        rows = status_now()
        if as_json:
            print_json(rows)
            return
        table = Table("service", "version", "since", "standing", "rollout")
        for row in rows:
            table.add_row(*(str(row[key] or "-") for key in ("service", "version", "since", "standing", "rollout")))
        out.print(table)


@app.command()
def serve() -> None:
    """Run the alert receiver with the warm responder in this process."""
    from deployments.receiver import main as serve_receiver

    with sentences():
        serve_receiver()


@app.command()
def watch() -> None:
    """Run the monitor's cycles in this warm process."""
    import asyncio

    from deployments.responder import watch as watch_releases
    from tasks.settings import read_catalogue as check_catalogue

    with sentences():
        check_catalogue()
        asyncio.run(watch_releases())


@app.command()
def up() -> None:
    """Run everything on this machine: deployments, worker, receiver, watcher; what dies is started again."""
    from deployments.up import run_all

    with sentences():
        run_all(lambda sentence: out.print(sentence, markup=False, highlight=False))


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Leave after the story; exit code 0 only if all held.")] = False,
) -> None:
    """Tell the story of a faulty release on a whole local world of real servers."""
    from deployments.demo import tell

    with sentences():
        raise typer.Exit(tell(stay=not leave))


import deployments.databases  # noqa: E402, F401 its commands stand after these


def main() -> None:
    """Entry point of the `ripcord` command."""
    app()


if __name__ == "__main__":
    main()
