"""The command line: `ripcord check | plan | respond | hotfix | gate | status | serve | watch | up | demo`.

Exit codes: 0 done; 1 refused, nothing was changed; 2 the command line was wrong; 3 a system did not answer,
nothing was changed; 4 something was changed and a person must look.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable

EXIT_REFUSED, EXIT_UNAVAILABLE, EXIT_INCOMPLETE = 1, 3, 4

app = typer.Typer(
    name="ripcord", help="Autopilot for a Rollback & Disaster Recovery Plan.", no_args_is_help=True,
    pretty_exceptions_enable=False, add_completion=False,
)  # fmt: skip
out, err = Console(), Console(stderr=True)

ServiceName = Annotated[str, typer.Argument(help="Service, as the catalogue names it.")]
VersionTag = Annotated[str, typer.Argument(help="The faulty release's tag, such as v1.2.0.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def check(as_json: AsJson = False) -> None:
    """Is everything reachable, allowed and sane, before the night it is needed?"""
    from deployments.checks import run_checks

    with _sentences():
        results = run_checks()
        if as_json:
            _print_json([{"what": each.what, "ok": each.ok, "said": each.said} for each in results])
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

    with _sentences():
        planned = plan_now(service, version)
        if as_json:
            _print_json(planned)
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
    number: Annotated[int, typer.Option(min=1, help="Incident number; raise it for a deliberate repeat.")] = 1,
    wait: Annotated[bool, typer.Option(help="Wait for the end, telling the steps.")] = True,
    as_json: AsJson = False,
) -> None:
    """Bring a service back from a faulty release: starts the run, or finds the one that already does it."""
    from deployments.following import follow_run, start

    with _sentences():
        launched = start(service, version, because, number, to, hotfix)
        if not as_json:
            out.print(f"{'started' if launched.fresh else 'already there'}: {launched.name}\n{launched.url}")
        state, message = follow_run(launched.run_id, quiet=as_json) if wait else ("SCHEDULED", "not waited for")
        if as_json:
            _print_json({"run": launched.run_id, "url": launched.url, "state": state, "message": message})
        if state not in ("COMPLETED", "SCHEDULED"):
            raise Incomplete(f"{launched.name} ended {state}: {message}; look at {launched.url}")


@app.command()
def hotfix(
    service: ServiceName,
    version: VersionTag,
    because: Annotated[str, typer.Option(help="What is wrong, in a sentence; commit and pull request say it.")],
    wait: Annotated[bool, typer.Option(help="Wait until a person is asked, telling the steps.")] = True,
    as_json: AsJson = False,
) -> None:
    """Prepare a hotfix from main with a draft pull request, and ask what becomes of it; the cluster stays as it is."""
    from deployments.following import follow_run, start_hotfix

    with _sentences():
        launched = start_hotfix(service, version, because)
        if not as_json:
            out.print(f"{'started' if launched.fresh else 'already there'}: {launched.name}\n{launched.url}")
        state, message = follow_run(launched.run_id, quiet=as_json) if wait else ("SCHEDULED", "not waited for")
        if as_json:
            _print_json({"run": launched.run_id, "url": launched.url, "state": state, "message": message})
        elif state == "PAUSED":
            out.print(f"a person is asked: press Resume at {launched.url}")
        if state not in ("COMPLETED", "SCHEDULED", "PAUSED"):
            raise Incomplete(f"{launched.name} ended {state}: {message}; look at {launched.url}")


@app.command()
def gate(
    service: ServiceName,
    version: Annotated[str, typer.Argument(help="The tag that is about to be deployed, such as v1.2.0.")],
    as_json: AsJson = False,
) -> None:
    """Prove the way back of the database before a deployment: exit code 0 is yes, every other one is no."""
    from deployments.gating import run_gate

    with _sentences():
        way = run_gate(service, version)
        if as_json:
            _print_json(asdict(way))
        else:
            out.print(f"{'yes' if way.proved else 'yes, unproved'}: {way.reason}", markup=False, highlight=False)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what runs, what is under watch, and the recoveries under way."""
    from deployments.planning import status_now

    with _sentences():
        rows = status_now()
        if as_json:
            _print_json(rows)
            return
        table = Table("service", "version", "since", "standing", "rollout")
        for row in rows:
            table.add_row(*(str(row[key] or "-") for key in ("service", "version", "since", "standing", "rollout")))
        out.print(table)


@app.command()
def serve() -> None:
    """Run the alert receiver with the warm responder in this process."""
    from deployments.receiver import main as serve_receiver

    with _sentences():
        serve_receiver()


@app.command()
def watch() -> None:
    """Run the monitor's cycles in this warm process."""
    import asyncio

    from deployments.responder import watch as watch_releases
    from tasks.settings import read_catalogue as check_catalogue

    with _sentences():
        check_catalogue()
        asyncio.run(watch_releases())


@app.command()
def up() -> None:
    """Run everything on this machine: deployments, worker, receiver, watcher; what dies is started again."""
    from deployments.up import run_all

    with _sentences():
        run_all(lambda sentence: out.print(sentence, markup=False, highlight=False))


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Leave after the story; exit code 0 only if all held.")] = False,
) -> None:
    """Tell the story of a faulty release on a whole local world of real servers."""
    from deployments.demo import tell

    with _sentences():
        raise typer.Exit(tell(stay=not leave))


@contextmanager
def _sentences() -> Iterator[None]:
    """Whatever ripcord refuses is one sentence on standard error and an exit code, never a traceback."""
    try:
        yield
    except RecoveryError as error:
        codes: dict[type[RecoveryError], int] = {Refused: EXIT_REFUSED, Unavailable: EXIT_UNAVAILABLE}
        err.print(f"ripcord: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(codes.get(type(error), EXIT_INCOMPLETE)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def main() -> None:
    """Entry point of the `ripcord` command."""
    app()


if __name__ == "__main__":
    main()
