"""A change that goes through a pull request: what guards the branch, whether it may be merged now, and how."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from recovery.errors import Refused

METHODS = ("merge", "squash", "rebase")
"""From best to worst: a merge keeps the commit that was proved, a squash its tree, a rebase the tree of the last."""
_GOOD = frozenset({"success", "neutral", "skipped"})
_BAD = frozenset({"failure", "error", "cancelled", "timed_out", "action_required", "startup_failure", "stale"})
_MERGEABLE = frozenset({"clean", "has_hooks", "unstable"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pull request to be opened; head and base are names of branches."""

    repository: str
    head: str
    base: str
    title: str
    body: str
    draft: bool = False
    commit: str = ""  # what the head was when it was proposed; empty: whatever it is


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as it was seen; `sha` is the head's commit."""

    repository: str
    number: int
    url: str
    head: str
    sha: str
    base: str
    draft: bool
    open: bool
    merged_as: str | None  # the commit on the base that brought it in
    renewed: bool = False  # its text names another commit than the one that is proposed now


@dataclass(frozen=True, slots=True)
class Protection:
    """What a branch asks of a change before it takes it."""

    pull_request: bool = False
    required_checks: tuple[str, ...] = ()
    signatures: bool = False
    merge_queue: bool = False
    strict: bool = False  # the head must contain the base
    reviews: int = 0

    @property
    def refuses_push(self) -> bool:
        """Answer whether a new commit can only come by a pull request."""
        return self.pull_request or self.merge_queue or bool(self.required_checks)

    def __str__(self) -> str:
        asked = [
            "a pull request" if self.pull_request else "",
            f"{self.reviews} {'review' if self.reviews == 1 else 'reviews'}" if self.reviews else "",
            f"the checks {', '.join(self.required_checks)}" if self.required_checks else "",
            "to be up to date" if self.strict else "",
            "signed commits" if self.signatures else "",
            "its merge queue" if self.merge_queue else "",
        ]
        said = ", ".join(each for each in asked if each)
        return f"asks for {said}" if said else "asks for nothing"


@dataclass(frozen=True, slots=True)
class Checks:
    """What GitHub says about merging now: its `mergeable_state`, and how each check and status came out."""

    mergeable: bool | None
    state: str
    outcomes: dict[str, str] = field(default_factory=dict)
    approvals: int = 0
    objections: tuple[str, ...] = ()  # who asked for changes and has not taken it back
    behind: bool = False  # the base asks for a head that is up to date, and has commits that the head lacks


class Readiness(StrEnum):
    """`waiting` can pass by itself or by a person's review; `behind` passes when the head is made anew on the base as
    it is by now; `blocked` does not pass without a person.
    """

    READY = "ready"
    WAITING = "waiting"
    BEHIND = "behind"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a pull request may be merged now, and the sentence with the way out."""

    verdict: Readiness
    reason: str


def judge_checks(pull: PullRequest, checks: Checks, protection: Protection) -> Standing:
    """Answer whether to merge, to wait, or to tell a person; what only a person can mend outranks all waiting."""
    if pull.merged_as:
        return Standing(Readiness.READY, f"{pull.url} is merged as {pull.merged_as[:12]}")
    blocked = _obstacle(pull, checks, protection)
    if blocked:
        return Standing(Readiness.BLOCKED, blocked)
    if checks.behind:  # before the checks: those of a head that is left behind are asked for once more
        return Standing(
            Readiness.BEHIND, f"{pull.url} does not contain the newest {pull.base}: press 'Update branch' there"
        )
    missing = _missing(pull, checks, protection)
    if missing:
        return Standing(Readiness.WAITING, missing)
    aside = sorted(name for name, outcome in checks.outcomes.items() if outcome not in _GOOD)
    besides = f"; not asked for by {pull.base}: {', '.join(aside)}" if aside else ""
    return Standing(Readiness.READY, f"{pull.url} may be merged{besides}")


def worst_outcome(first: str | None, second: str) -> str:
    """Of two checks of one name the one that keeps a change out."""
    if first is None or first in _GOOD:
        return second
    return second if second in _BAD and first not in _BAD else first


def choose_method(allowed: Sequence[str]) -> str:
    """The best way of merging that is allowed. Raises Refused when none is."""
    for method in METHODS:
        if method in allowed:
            return method
    raise Refused(
        f"no way of merging is allowed here (GitHub names {', '.join(allowed) or 'none'}, usable are "
        f"{', '.join(METHODS)}): allow one in the repository's settings or merge by hand"
    )


def _obstacle(pull: PullRequest, checks: Checks, protection: Protection) -> str:
    """What does not pass by waiting."""
    failed = [name for name in protection.required_checks if checks.outcomes.get(name) in _BAD]
    if not pull.open:
        return f"{pull.url} was closed without being merged: reopen it, or carry on without it"
    if pull.draft:
        return f"{pull.url} is a draft: read it, then press 'Ready for review'"
    if checks.state == "dirty" or checks.mergeable is False:
        return f"{pull.url} conflicts with {pull.base}: resolve the conflicts there, then merge it"
    if protection.merge_queue:
        return f"{pull.base} takes changes from its merge queue only: press 'Merge when ready' on {pull.url}"
    if failed:
        said = ", ".join(f"{name} ({checks.outcomes[name]})" for name in failed)
        return f"a check that {pull.base} asks for did not succeed: {said}; mend it or run it again, see {pull.url}"
    return ""


def _missing(pull: PullRequest, checks: Checks, protection: Protection) -> str:
    """What still is to come, from GitHub itself, from a check, from people."""
    if checks.mergeable is None or checks.state == "unknown":
        return f"GitHub has not yet found out whether {pull.url} can be merged"
    pending = [name for name in protection.required_checks if checks.outcomes.get(name, "") not in _GOOD]
    if checks.state in _MERGEABLE:  # GitHub sees checks that our token may not
        pending = [name for name in pending if name in checks.outcomes]
    if pending:
        said = ", ".join(f"{name} ({checks.outcomes.get(name, 'not started')})" for name in pending)
        return f"waiting for {said}, which {pull.base} asks for: see {pull.url}"
    if checks.objections:
        return f"{', '.join(checks.objections)} asked for changes: answer them on {pull.url}"
    if checks.state not in _MERGEABLE:
        if checks.approvals < protection.reviews:
            return f"{pull.url} has {checks.approvals} of {protection.reviews} approvals: review it"
        return (
            f"GitHub blocks {pull.url} ({checks.state}) and does not say over its API why: look there for a code "
            "owner's review, an open conversation, a signature or a deployment that is asked for"
        )
    return ""
