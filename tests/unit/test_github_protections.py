"""What GitHub's rules leave of the ways to merge, and how both kinds of protection add up."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from github import GithubException
from github.Repository import Repository

from recovery.pulls import Protection
from tasks.github.protections import allowed_methods, protection_of

ALL = (True, True, True)


def repository(answers: dict[str, Any], settings: tuple[bool | None, ...] = ALL) -> Repository:
    """A repository that answers these paths, and to all others that they may not be read."""

    def ask(verb: str, url: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        if url not in answers:
            raise GithubException(403, {"message": "Resource not accessible"})
        return {}, answers[url]

    merge, squash, rebase = settings
    fake = SimpleNamespace(
        url="", requester=SimpleNamespace(requestJsonAndCheck=ask), allow_merge_commit=merge,
        allow_squash_merge=squash, allow_rebase_merge=rebase,
    )  # fmt: skip
    return cast(Repository, fake)


def rules(*found: dict[str, Any]) -> dict[str, Any]:
    """The rules of main, as every reader gets them."""
    return {"/rules/branches/main": list(found)}


@pytest.mark.parametrize(
    ("found", "settings", "allowed"),
    [
        ((), ALL, ("merge", "squash", "rebase")),
        ((), (False, True, True), ("squash", "rebase")),
        ((), (None, None, None), ("merge", "squash", "rebase")),
        (({"type": "required_linear_history"},), ALL, ("squash", "rebase")),
        (({"type": "pull_request", "parameters": {"allowed_merge_methods": ["squash"]}},), ALL, ("squash",)),
        (({"type": "pull_request", "parameters": {}},), ALL, ("merge", "squash", "rebase")),
        (({"type": "deletion"}, {"type": "non_fast_forward"}), ALL, ("merge", "squash", "rebase")),
    ],
)
def test_settings_and_rules_together_leave_the_ways_of_merging(
    found: tuple[dict[str, Any], ...], settings: tuple[bool | None, ...], allowed: tuple[str, ...]
) -> None:
    """Settings that the token does not see forbid nothing: GitHub decides then."""
    assert allowed_methods(repository(rules(*found), settings), "main", Protection()) == allowed


def test_a_rebase_is_not_signed_by_github() -> None:
    """So it is no way where signatures are asked for."""
    assert allowed_methods(repository({}), "main", Protection(signatures=True)) == ("merge", "squash")


def test_both_kinds_of_protection_add_up() -> None:
    """Whatever one of them asks for is asked for; each check is named once."""
    classic = {
        "required_status_checks": {"strict": True, "contexts": ["build", "lint"]},
        "required_pull_request_reviews": {"required_approving_review_count": 2},
        "required_signatures": {"enabled": True},
    }
    checks = {"required_status_checks": [{"context": "build"}, {"context": "test"}]}
    found = rules(
        {"type": "required_status_checks", "parameters": checks},
        {"type": "pull_request", "parameters": {"required_approving_review_count": 1}},
    ) | {"/branches/main/protection": classic}

    assert protection_of(repository(found), "main") == Protection(
        True, ("build", "test", "lint"), signatures=True, strict=True, reviews=2
    )


def test_nothing_that_can_be_read_asks_for_nothing() -> None:
    """A token without the right to look is no error here; GitHub refuses what it refuses."""
    assert protection_of(repository({}), "main") == Protection()
