"""Tell the story of a faulty release on the lab's servers, while it happens, and check every claim from outside."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deployments.claims import Claim, check_claims
from deployments.timing import timeline
from infra.lab.founding import world
from infra.lab.process import DiskFull, LabError, wait_until
from infra.lab.world import World
from recovery.errors import Unavailable

SERVICE, GOOD, FAULTY, PATCH = "shop", "v1.1.0", "v1.2.0", "v1.2.1"


def tell(*, stay: bool) -> int:
    """Run the demo; returns 0 only if every claim held. Stays up until Ctrl-C unless told otherwise.

    Raises Unavailable when the lab cannot be set up, with the reason.
    """
    console = Console(highlight=False)
    began = time.monotonic()

    def say(sentence: str, style: str = "") -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  ", end="")
        console.print(sentence, style=style, markup=False)

    try:
        directory = Path(tempfile.mkdtemp(prefix="ripcord-demo-"))
        directory.chmod(0o755)
    except OSError as error:
        raise Unavailable(f"no directory for the lab: {error.strerror}; make room, or name another in TMPDIR") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kept = False
    try:
        with world(directory, say=say) as lab:
            _introduce(lab, say)
            _release_and_certify(lab, say)
            _release_and_recover(lab, say)
            claims = check_claims(lab, SERVICE, GOOD, FAULTY, PATCH)
            _conclude(lab, claims, console)
            kept = not all(claim.holds for claim in claims)
            if stay:
                say("everything stays up; Ctrl-C ends it and leaves no process behind")
                threading.Event().wait()
            return 1 if kept else 0
    except DiskFull as error:
        raise Unavailable(str(error)) from None
    except LabError as error:
        kept = True
        raise Unavailable(f"{error}\nthe logs are in {directory}") from None
    except OSError as error:
        raise Unavailable(f"the lab in {directory} cannot be set up: {error.strerror}") from None
    finally:
        if not kept:
            shutil.rmtree(directory, ignore_errors=True)


def _introduce(lab: World, say: Callable[..., None]) -> None:
    say(f"Prefect UI: {lab.prefect.ui_url}   (it asks for the password {lab.prefect.credential})", "bold")
    say(f"the shop: {lab.shops[SERVICE].url}   Prometheus: {lab.prometheus.url}")
    say(f"kubectl: KUBECONFIG={lab.cluster.kubeconfig}   logs: {lab.directory}")


def _release_and_certify(lab: World, say: Callable[..., None]) -> None:
    say(f"the team releases {GOOD}", "bold")
    lab.teams[SERVICE].release(GOOD)
    lab.pipeline.wait_for(f"acme/{SERVICE}", GOOD)
    say(f"the pipeline has deployed {GOOD}; it is under watch for {lab.pace.watch} (in production: one hour)")
    wait_until(lambda: _standing(lab, "healthy"), what=f"the certificate of {GOOD}", seconds=180, every=0.5)
    say(f"{GOOD} is certified healthy", "green")


def _release_and_recover(lab: World, say: Callable[..., None]) -> None:
    say(f"the team releases {FAULTY}; its checkout fails for customers with a coupon", "bold")
    lab.teams[SERVICE].release(FAULTY)
    lab.pipeline.wait_for(f"acme/{SERVICE}", FAULTY)
    say(f"the pipeline has deployed {FAULTY}; nobody but ripcord is watching")
    street = lab.customers[SERVICE]
    wait_until(lambda: street.count().first_failure, what="the first failed customer", seconds=60)
    say("the first customer cannot check out", "red")
    wait_until(lambda: lab.runs("respond"), what="an answer", seconds=120, every=0.3)
    run = lab.runs("respond")[0]
    source = run["parameters"]["because"]["source"]
    say(f"{source} has called: {lab.prefect.ui_url}/runs/flow-run/{run['id']}", "bold")
    wait_until(lambda: lab.version_served(SERVICE) != FAULTY, what="the undo", seconds=60, every=0.2)
    say(f"the cluster is taken back to {lab.version_served(SERVICE)}", "green")
    wait_until(lambda: lab.version_served(SERVICE) == PATCH, what=f"the deployment of {PATCH}", seconds=120, every=0.3)
    say(f"main has its revert commit, {PATCH} is tagged, released and being deployed", "green")
    ended = lab.wait_for_run("respond", run["name"], ("COMPLETED", "FAILED", "CRASHED"), 180)
    message = (ended["state"].get("message") or "") if ended["state_type"] != "COMPLETED" else ""
    say(f"{run['name']}: {ended['state_name']} {message}", "green" if not message else "red")
    time.sleep(2 * float(lab.pace.step.removesuffix("s")))  # some customers more, for the last claim's sake


def _conclude(lab: World, claims: list[Claim], console: Console) -> None:
    table = Table("time (UTC)", "after", "what", "source", title="Timeline")
    for row in timeline(lab, SERVICE, FAULTY, PATCH):
        table.add_row(*row)
    console.print(table)
    counted = lab.customers[SERVICE].count()
    console.print(f"{counted.customers_failed} customers failed, {counted.customers_served} were served.")
    console.print("\nEvery claim, checked from outside; run the commands again yourself:", style="bold")
    for claim in claims:
        console.print(f"[{'green' if claim.holds else 'red'}]{'holds' if claim.holds else 'FAILS'}[/]  {claim.what}")
        console.print(f"       $ {claim.command}", style="dim", markup=False, soft_wrap=True)
        if not claim.holds:
            console.print(f"       saw: {claim.seen}", style="red", markup=False)
    for document in sorted((lab.directory / "archive").rglob("*.md")):
        console.print(f"Post-mortem: {document}", markup=False)
    if os.environ.get("CI"):
        console.print(f"{sum(claim.holds for claim in claims)} of {len(claims)} claims hold")


def _standing(lab: World, standing: str) -> bool:
    shown = lab.cluster.kubectl("-n", "acme", "get", "replicasets", "-o", "jsonpath={.items[*].metadata.annotations}")
    return f'\\"standing\\": \\"{standing}\\"' in shown or f'"standing": "{standing}"' in shown.replace("\\", "")
