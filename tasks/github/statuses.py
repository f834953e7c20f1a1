"""The verdict on a release, as a status on its commit."""

from prefect import task

from recovery.catalog import Service
from tasks.github.client import open_repository
from tasks.retry import ON_UNAVAILABLE, spoken

STATUS_CONTEXT = "ripcord/verdict"


@task(name="certify release", task_run_name="write {state} on {tag}", **ON_UNAVAILABLE)
@spoken
def write_status(service: Service, tag: str, state: str, sentence: str) -> str:
    """Write the verdict on the tag's commit as a commit status; says what was done."""
    with open_repository(service.repository) as repository:
        commit = repository.get_commit(f"refs/tags/{tag}" if "/" in tag else tag)
        newest = next((each for each in commit.get_statuses() if each.context == STATUS_CONTEXT), None)
        if newest and newest.state == state:
            return f"skipped: {tag} already says {state}"
        commit.create_status(state, description=sentence[:140], context=STATUS_CONTEXT)
        return f"wrote {state} on {tag}"
