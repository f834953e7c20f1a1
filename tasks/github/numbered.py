"""Read one pull request by its number, or how a branch was merged."""

from github import UnknownObjectException
from prefect import task

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.pulls import PullRequest
from tasks.github.client import open_repository
from tasks.github.pulls import pull_of
from tasks.retry import LOOKING_AGAIN, LOOKING_PATIENTLY


@task(name="read merge", task_run_name="read how {branch} was merged", **LOOKING_PATIENTLY)
def read_merge(service: Service, branch: str) -> str | None:
    """The commit by which the newest merged pull request of a branch came to main; None where there is none.

    Of several commits that GitHub has put on main one by one, only GitHub knows the last.
    """
    with open_repository(service.repository) as repository:
        owner = repository.full_name.partition("/")[0]
        listed = repository.get_pulls(state="closed", head=f"{owner}:{branch}", base=service.main)
        merged = [
            each for each in listed if each.merged_at and (each.head.ref, each.base.ref) == (branch, service.main)
        ]
        return max(merged, key=lambda each: each.number).merge_commit_sha if merged else None


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
