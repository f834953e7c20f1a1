"""Tell how a recovery ended, well or badly; a failed one must still be told."""

from collections.abc import Sequence
from contextlib import suppress

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from recovery.errors import RecoveryError
from recovery.readings import Point
from recovery.syncs import Synced
from recovery.timelines import Story
from tasks.artifacts import show
from tasks.documents import read_document, write_post_mortem
from tasks.github import open_pull
from tasks.notify import notify


def report(story: Story, points: Sequence[Point], synced: Synced) -> str:
    """Write the post-mortem, open what people must merge, and tell the stakeholders; returns the headline."""
    document = write_post_mortem(story, points)
    pulls = [open_pull(proposal) for proposal in synced.proposals]
    show(f"post-mortem-{story.service}-{story.version}", read_document(document), story.headline)
    asked = "".join(f" {pull.url} {pull.head} into {pull.base}." for pull in pulls)
    text = f"{story.harm}. {synced.said}.{asked} Post-mortem: {document}"
    notify(f"restored/{story.service}/{story.version}", story.headline, text)
    return story.headline


def tell_of_failure(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Tell that a run needs a person; telling must not be able to fail anything further."""
    who = f"{flow_run.parameters.get('service')} {flow_run.parameters.get('version')}"
    title = f"{flow.name} {who} needs a person"
    with suppress(RecoveryError):
        notify.fn(f"failed/{flow.name}/{flow_run.id}", title, state.message or "it failed without a message")


def tell_of_monitor(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:
    """Tell that the monitor itself is in trouble, at most once an hour for the same trouble."""
    trouble = state.message or "it failed without a message"
    hour = f"{flow_run.created:%Y%m%dT%H}" if flow_run.created else ""
    with suppress(RecoveryError):
        notify.fn(f"failed/monitor/{hour}/{trouble[:200]}", "the monitor cannot watch, a person must look", trouble)
