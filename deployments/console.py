"""What all commands share: the application, its words, its exit codes, and how a run that was started is told."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable

if TYPE_CHECKING:  # Prefect takes seconds to load, and --help needs none of it
    from tasks.runs import Launched

EXIT_REFUSED, EXIT_UNAVAILABLE, EXIT_INCOMPLETE = 1, 3, 4

app = typer.Typer(
    name="ripcord", help="Autopilot for a Rollback & Disaster Recovery Plan.", no_args_is_help=True,
    pretty_exceptions_enable=False, add_completion=False,
)  # fmt: skip
out, err = Console(), Console(stderr=True)

ServiceName = Annotated[str, typer.Argument(help="Service, as the catalogue names it.")]
VersionTag = Annotated[str, typer.Argument(help="The faulty release's tag, such as v1.2.0.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Wait = Annotated[bool, typer.Option(help="Wait for the end, or until a person is asked, telling the steps.")]
Rehearse = Annotated[bool, typer.Option("--rehearse", help="Show what would be done. Nothing more.")]
Number = Annotated[int, typer.Option(min=1, help="Raise it for a deliberate repeat.")]


@contextmanager
def sentences() -> Iterator[None]:
    """Whatever ripcord refuses is one sentence on standard error and an exit code, never a traceback."""
    try:
        yield
    except RecoveryError as error:
        codes: dict[type[RecoveryError], int] = {Refused: EXIT_REFUSED, Unavailable: EXIT_UNAVAILABLE}
        err.print(f"ripcord: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(codes.get(type(error), EXIT_INCOMPLETE)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def print_json(value: object) -> None:
    """A value for machines."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def say(sentence: str, key: str, *, as_json: bool) -> None:
    """A sentence for people, or under its key for machines."""
    print_json({key: sentence}) if as_json else out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def tell_run(launched: "Launched", *, wait: bool, as_json: bool) -> None:
    """Tell of a run that was started or found, and follow it. Raises Incomplete when it did not end well."""
    from deployments.following import follow_run

    if not as_json:
        out.print(f"{'started' if launched.fresh else 'already there'}: {launched.name}\n{launched.url}")
    state, message = follow_run(launched.run_id, quiet=as_json) if wait else ("SCHEDULED", "not waited for")
    if as_json:
        print_json({"run": launched.run_id, "url": launched.url, "state": state, "message": message})
    elif state == "PAUSED":
        out.print(f"a person is asked: press Resume at {launched.url}")
    if state not in ("COMPLETED", "SCHEDULED", "PAUSED"):
        raise Incomplete(f"{launched.name} ended {state}: {message}; look at {launched.url}")
