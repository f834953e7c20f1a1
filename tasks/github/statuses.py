"""What ripcord says of a release, as a status on its commit."""

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
def write_status(service: Service, tag: str, state: str, sentence: str, context: str = STATUS_CONTEXT) -> str:
    """Write a commit status on the tag's commit, the verdict's unless another is named; says what was done."""
    with open_repository(service.repository) as repository:
        found = tagged_commit(repository, tag)
        if found is None:
            raise Refused(f"{service.repository} has no tag {tag}: push it first, or look for its name")
        commit = repository.get_commit(found)
        newest = next((each for each in commit.get_statuses() if each.context == context), None)
        if newest and newest.state == state:
            return f"skipped: {tag} already says {state}"
        commit.create_status(state, description=clipped(sentence, DESCRIPTION), context=context)
        return f"wrote {state} on {tag}"
