"""Read one pull request by its number."""

from github import UnknownObjectException
from prefect import task

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.pulls import PullRequest
from tasks.github.client import open_repository
from tasks.github.pulls import pull_of
from tasks.retry import LOOKING_AGAIN


@task(name="read pull request", task_run_name="read #{number}", **LOOKING_AGAIN)
def read_pull(service: Service, number: int) -> PullRequest:
    """Read a pull request of the service's repository. Raises Refused for one that is not there or of a fork."""
    with open_repository(service.repository) as repository:
        try:
            found = repository.get_pull(number)
        except UnknownObjectException:
            raise Refused(f"{service.repository} has no pull request #{number}: name another") from None
        if found.head.repo is None or found.head.repo.full_name != repository.full_name:
            raise Refused(f"{found.html_url} comes from a fork: push its branch to {repository.full_name}")
        return pull_of(repository, found)
