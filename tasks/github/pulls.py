"""Pull requests: open one and no twin, comment on it once, take it out of draft, close it."""

from collections.abc import Callable
from dataclasses import replace

from github import GithubException, UnknownObjectException
from github.PullRequest import PullRequest as Vendor
from github.Repository import Repository
from prefect import get_run_logger, task

from recovery.errors import Incomplete, Refused
from recovery.pulls import Proposal, PullRequest
from tasks.github.client import open_repository, settled, wait_a_little, words
from tasks.retry import PATIENTLY, spoken

LOOKS = 5  # that GitHub may take to show a head that was pushed


@task(name="open pull request", task_run_name="open a pull request of {proposal.head}", **PATIENTLY)
def open_pull(proposal: Proposal) -> PullRequest:
    """Open a pull request, unless an open one of these branches is there, or one that was merged with this head.

    Says whether its text names the commit that is proposed. Raises Refused when a branch is missing, brings nothing, or
    is not at that commit.
    """
    with open_repository(proposal.repository) as repository:
        found = _standing(repository, proposal)
        if found is not None:
            get_run_logger().info(f"skipped: {found.html_url} is there already")
            renewed = proposal.commit not in (found.body or "")
            return replace(_as_proposed(repository, proposal, pull_of(repository, found)), renewed=renewed)
        try:
            made = settled(lambda: _create(repository, proposal), lambda: _standing(repository, proposal))
        except GithubException as error:
            raise _not_opened(repository, proposal, error) from error
        get_run_logger().info(f"opened {made.html_url}")
        return _as_proposed(repository, proposal, pull_of(repository, made))


@task(name="comment", task_run_name="comment on #{pull.number}", **PATIENTLY)
@spoken
def comment_on(pull: PullRequest, body: str, key: str) -> str:
    """Say something on a pull request once: a hidden marker with the key keeps the second time away."""
    with open_repository(pull.repository) as repository:
        return _comment(repository, pull, body, key)


@task(name="mark ready", task_run_name="mark #{pull.number} as ready for review", **PATIENTLY)
@spoken
def mark_ready(pull: PullRequest) -> str:
    """Take a pull request out of draft. Raises Incomplete when GitHub took it and does not show it."""
    with open_repository(pull.repository) as repository:
        found = repository.get_pull(pull.number)
        if not found.draft:
            return f"skipped: {pull.url} is no draft"
        if found.merged:  # by a push, which GitHub takes for a merge of whatever it brings
            return f"skipped: {pull.url} is merged already"
        if found.state != "open":
            raise Refused(f"{pull.url} is closed: reopen it first")
        settled(found.mark_ready_for_review, lambda: _seen(repository, pull, lambda seen: not seen.draft))
        if repository.get_pull(pull.number).draft:
            raise Incomplete(f"{pull.url} is a draft still: press 'Ready for review' there")
        return f"marked {pull.url} as ready for review"


@task(name="close pull request", task_run_name="close #{pull.number}", **PATIENTLY)
@spoken
def close_pull(pull: PullRequest, why: str) -> str:
    """Close a pull request without merging it, saying why. Raises Refused when it was merged."""
    with open_repository(pull.repository) as repository:
        found = repository.get_pull(pull.number)
        if found.merged:
            raise Refused(f"{pull.url} was merged as {found.merge_commit_sha[:12]}: take that back instead")
        if found.state == "closed":
            return f"skipped: {pull.url} is closed already"
        _comment(repository, pull, why, "closed")
        settled(lambda: found.edit(state="closed"), lambda: _seen(repository, pull, lambda it: it.state == "closed"))
        if repository.get_pull(pull.number).state != "closed":
            raise Incomplete(f"{pull.url} is open still: close it there", done=("said why",))
        return f"closed {pull.url}"


def pull_of(repository: Repository, each: Vendor) -> PullRequest:
    """A pull request without its vendor's type."""
    return PullRequest(
        repository=repository.full_name,
        number=each.number,
        url=each.html_url,
        head=each.head.ref,
        sha=each.head.sha,
        base=each.base.ref,
        draft=bool(each.draft),
        open=each.state == "open",
        merged_as=each.merge_commit_sha if each.merged_at else None,
    )


def _standing(repository: Repository, proposal: Proposal) -> Vendor | None:
    """The open one of these branches; else the newest that was merged with the head as it is, or is gone by now."""
    owner = repository.full_name.partition("/")[0]
    listed = repository.get_pulls(state="all", head=f"{owner}:{proposal.head}", base=proposal.base)
    # Once more by hand: where a repository was renamed meanwhile, the vendor's client follows without the query.
    found = [each for each in listed if (each.head.ref, each.base.ref) == (proposal.head, proposal.base)]
    opened = [each for each in found if each.state == "open"]
    if opened:
        return opened[0]
    tip = _tip(repository, proposal.head) if found else None
    merged = [each for each in found if each.merged_at and tip in (None, each.head.sha)]
    return max(merged, key=lambda each: each.number, default=None)


def _as_proposed(repository: Repository, proposal: Proposal, seen: PullRequest) -> PullRequest:
    """The request with the head that was proposed, which GitHub may show a moment after the push."""
    for _ in range(LOOKS):
        if seen.merged_as or not seen.open or proposal.commit in ("", seen.sha):
            return seen
        wait_a_little()
        seen = pull_of(repository, repository.get_pull(seen.number))
    raise Refused(
        f"{seen.head} of {seen.url} is at {seen.sha[:12]} and not at {proposal.commit[:12]}, which was proved: "
        "look who pushed to it, then plan again"
    )


def _tip(repository: Repository, branch: str) -> str | None:
    try:
        return repository.get_git_ref(f"heads/{branch}").object.sha
    except UnknownObjectException:
        return None  # GitHub deletes merged branches where it is told to


def _create(repository: Repository, proposal: Proposal) -> Vendor:
    def create(*, draft: bool) -> Vendor:
        return repository.create_pull(
            proposal.base, proposal.head, title=proposal.title, body=proposal.body, draft=draft
        )

    try:
        return create(draft=proposal.draft)
    except GithubException as error:
        if not proposal.draft or error.status != 422 or "draft" not in words(error).lower():
            raise
        get_run_logger().warning(f"{proposal.repository} has no drafts: opened as ready for review")
        return create(draft=False)


def _not_opened(repository: Repository, proposal: Proposal, error: GithubException) -> Exception:
    said = words(error)
    if error.status != 422:
        return error
    if "No commits between" in said:
        return Refused(f"{proposal.head} brings nothing that {proposal.base} lacks: there is nothing to merge")
    return Refused(
        f"GitHub opens no pull request of {proposal.head} into {proposal.base} of {repository.full_name} ({said}): "
        "push the branch first, and look whether the base is there"
    )


def _comment(repository: Repository, pull: PullRequest, body: str, key: str) -> str:
    marker = f"<!-- ripcord:{key} -->"
    issue = f"{repository.url}/issues/{pull.number}/comments"

    def look() -> str | None:
        comments = repository.get_pull(pull.number).get_issue_comments()
        return next((each.html_url for each in comments if marker in (each.body or "")), None)

    def write() -> str:
        said = {"body": f"{body}\n\n{marker}"}
        return str(repository.requester.requestJsonAndCheck("POST", issue, input=said)[1]["html_url"])

    if found := look():
        return f"skipped: it stands there already, {found}"
    return f"said {settled(write, look)}"


def _seen(repository: Repository, pull: PullRequest, holds: Callable[[Vendor], bool]) -> Vendor | None:
    found = repository.get_pull(pull.number)
    return found if holds(found) else None
