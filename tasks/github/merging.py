"""Wait until a pull request may be merged, and merge it."""

import time
from datetime import timedelta
from urllib.parse import quote

from github import GithubException
from github.PullRequest import PullRequest as Vendor
from github.Repository import Repository
from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from recovery.pulls import Checks, Protection, PullRequest, Readiness, choose_method, judge_checks, worst_outcome
from tasks.github.client import open_repository, readable, settled, wait_a_little, words
from tasks.github.protections import allowed_methods, protection_of
from tasks.github.pulls import LOOKS, pull_of
from tasks.retry import PATIENTLY

_VERDICTS = {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}


@task(name="merge pull request", task_run_name="wait for #{pull.number} and merge it", **PATIENTLY)
def wait_and_merge(
    service: Service,
    pull: PullRequest,
    title: str,
    message: str,
    timeout: timedelta | None = None,
    *,
    renewable: bool = False,
) -> PullRequest:
    """Merge a pull request as soon as its branch's protection allows, in the best way that is allowed.

    A `renewable` one, whose head can be made anew, comes back unmerged where its base asks for a head that is up to
    date and has left it behind.

    What is merged is the head that was given: raises Refused when it moved. Raises Incomplete, with the link and
    the way out, when only a person can go on, or when nothing came of waiting; by default as long as the catalogue
    gives its `checks`.
    """
    limit = timeout if timeout is not None else service.checks
    deadline = time.monotonic() + limit.total_seconds()
    done = (f"opened {pull.url}",)
    with open_repository(pull.repository) as repository:
        protection = protection_of(repository, pull.base)
        method = choose_method(allowed_methods(repository, pull.base, protection))
        said, lagging = "", LOOKS
        while True:
            found = repository.get_pull(pull.number)
            now = pull_of(repository, found)
            if now.merged_as:
                get_run_logger().info(f"skipped: {pull.url} is merged already, as {now.merged_as}")
                return now
            if now.sha != pull.sha and lagging:
                lagging -= 1  # GitHub may show a head that was just pushed a moment later
                wait_a_little()
                continue
            _same_head(pull, now)
            standing = judge_checks(now, _checks(repository, found, protection), protection)
            if standing.verdict is Readiness.BLOCKED:
                raise Incomplete(standing.reason, done=done)
            if standing.verdict is Readiness.BEHIND and renewable:
                get_run_logger().info(f"{pull.base} moved on: {pull.head} is made anew")
                return now
            reason = standing.reason
            if standing.verdict is Readiness.READY:
                reason = _merge(repository, found, now, method, title, message)
                if not reason:
                    return _read_back(repository, now, method, done)
            if time.monotonic() > deadline:
                raise Incomplete(f"{reason} (waited {limit}); merge it there, then go on", done=done)
            if reason != said:
                said = reason
                get_run_logger().info(reason)
            wait_a_little()


def _merge(repository: Repository, found: Vendor, now: PullRequest, method: str, title: str, message: str) -> str:
    """Merge; empty when it is done, or why GitHub does not yet: what it showed before may have been old."""

    def merged() -> str | None:
        return pull_of(repository, repository.get_pull(now.number)).merged_as

    try:
        settled(lambda: found.merge(message, title, method, sha=now.sha).sha, merged)
    except GithubException as error:
        if error.status not in (405, 409):
            raise
        _same_head(now, pull_of(repository, repository.get_pull(now.number)))
        if "merge queue" in words(error):
            raise Incomplete(
                f"{now.base} takes changes from its merge queue only ({words(error)}): press 'Merge when ready' on "
                f"{now.url}",
                done=(f"opened {now.url}",),
            ) from error
        return f"GitHub does not merge {now.url} yet ({words(error)}): look there"
    return ""


def _same_head(pull: PullRequest, now: PullRequest) -> None:
    if now.sha != pull.sha:
        raise Refused(
            f"{pull.head} of {pull.url} moved from {pull.sha[:12]} to {now.sha[:12]}, which nobody proved: "
            "look who pushed to it, or whether GitHub shows an old head still, then plan again"
        )


def _read_back(repository: Repository, pull: PullRequest, method: str, done: tuple[str, ...]) -> PullRequest:
    for _ in range(3):  # GitHub may show it a moment later
        now = pull_of(repository, repository.get_pull(pull.number))
        if now.merged_as:
            get_run_logger().info(f"merged {pull.url} into {pull.base} as {now.merged_as} ({method})")
            return now
        wait_a_little()
    raise Incomplete(f"GitHub took the merge of {pull.url} and does not show it: look there", done=done)


def _checks(repository: Repository, found: Vendor, protection: Protection) -> Checks:
    commit = f"/commits/{found.head.sha}"
    outcomes: dict[str, str] = {}
    runs = readable(repository, f"{commit}/check-runs", per_page=100) or {}
    for each in runs.get("check_runs", ()):
        outcome = each["conclusion"] or each["status"]
        outcomes[each["name"]] = worst_outcome(outcomes.get(each["name"]), outcome)
    statuses = readable(repository, f"{commit}/status", per_page=100) or {}
    for each in statuses.get("statuses", ()):
        outcomes[each["context"]] = worst_outcome(outcomes.get(each["context"]), each["state"])
    last: dict[str, str] = {}
    if protection.reviews or found.mergeable_state == "blocked":
        said = readable(repository, f"/pulls/{found.number}/reviews", per_page=100) or ()
        last = {
            (each["user"] or {}).get("login", "ghost"): each["state"] for each in said if each["state"] in _VERDICTS
        }
    return Checks(
        mergeable=found.mergeable,
        state=found.mergeable_state or "unknown",
        outcomes=outcomes,
        approvals=list(last.values()).count("APPROVED"),
        objections=tuple(sorted(who for who, state in last.items() if state == "CHANGES_REQUESTED")),
        behind=_behind(repository, found, protection),
    )


def _behind(repository: Repository, found: Vendor, protection: Protection) -> bool:
    """Answer whether the head must be brought up to date; as long as a check is missing GitHub says "blocked" alone."""
    if not (protection.strict and found.mergeable_state == "blocked"):
        return bool(found.mergeable_state == "behind")
    compared = readable(repository, f"/compare/{quote(found.base.ref)}...{found.head.sha}", per_page=1) or {}
    return int(compared.get("behind_by", 0)) > 0
