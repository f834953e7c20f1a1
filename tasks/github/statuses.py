"""What ripcord says of a release, as a status on its commit."""

import re

from prefect import task

from recovery.bounded import DESCRIPTION, clipped
from recovery.catalog import Service
from recovery.errors import Refused
from tasks.github.client import open_repository
from tasks.github.tags import tagged_commit
from tasks.retry import ON_UNAVAILABLE, spoken

STATUS_CONTEXT = "ripcord/verdict"


@task(name="certify release", task_run_name="write {state} on {tag}", **ON_UNAVAILABLE)
@spoken
def write_status(
    service: Service, tag: str, state: str, sentence: str, context: str = STATUS_CONTEXT, anew: bool = False
) -> str:
    """Write a commit status on the tag's commit, the verdict's unless another is named; says what was done.

    One of the same state stays as it is; with `anew` only where it says the same, too, whatever it counts and times.
    """
    with open_repository(service.repository) as repository:
        found = tagged_commit(repository, tag)
        if found is None:
            raise Refused(f"{service.repository} has no tag {tag}: push it first, or look for its name")
        commit = repository.get_commit(found)
        newest = next((each for each in commit.get_statuses() if each.context == context), None)
        text = clipped(sentence, DESCRIPTION)
        if newest and newest.state == state and not (anew and _wording(newest.description or "") != _wording(text)):
            return f"skipped: {tag} already says {state}"
        commit.create_status(state, description=text, context=context)
        return f"wrote {state} on {tag}"


def _wording(text: str) -> str:
    """A text without its numbers, which differ from run to run; its end may be cut off elsewhere for them."""
    return re.sub(r"\d+(\.\d+)?", "#", text)[: DESCRIPTION // 2]
