"""Read the one SQL file that a pull request brings: the script of a fix."""

from prefect import task

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.fix_scripts import LARGEST, Proposed, choose_script
from recovery.pulls import PullRequest
from tasks.git.copies import ephemeral
from tasks.git.plumbing import THERE
from tasks.git.ranges import changed
from tasks.retry import ON_UNAVAILABLE


@task(name="read script", task_run_name="read the script of #{pull.number}", **ON_UNAVAILABLE)
def read_pull_script(service: Service, pull: PullRequest, path: str | None = None) -> Proposed:
    """Read the script that a pull request adds or changes, as it stands at the request's head.

    Raises Refused when it brings none, several and none is named, or one that is too large or no UTF-8.
    """
    base = pull.merged_as or pull.base
    with ephemeral(service.repository, (pull.base,), (pull.sha,)) as bare:
        onto = f"{base}^1" if pull.merged_as else f"{THERE}/heads/{base}"
        fork = bare.git("merge-base", "--end-of-options", onto, pull.sha)
        found = choose_script(pull.url, changed(bare, fork, pull.sha), path)
        size = int(bare.git("cat-file", "-s", "--end-of-options", f"{pull.sha}:{found}"))
        if size > LARGEST:
            raise Refused(f"{found} in {pull.url} has {size} bytes and {LARGEST} are taken: make it several fixes")
        text = bare.git("cat-file", "blob", "--end-of-options", f"{pull.sha}:{found}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(f"{found} in {pull.url} is not UTF-8: save it as that") from None
    return Proposed(found, pull.sha, text)
