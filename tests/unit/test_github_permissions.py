"""Which permission a refused request lacked, in the words of GitHub's settings."""

import pytest

from tasks.github.permissions import permission


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("contents=write", "Contents: write"),
        ("pull_requests=write,contents=read", "Pull requests: write and Contents: read"),
        ("contents=write; contents=write,workflows=write", "Contents: write or Contents: write and Workflows: write"),
        ("repository_hooks=read", "Repository hooks: read"),
    ],
)
def test_githubs_own_word_counts(accepted: str, said: str) -> None:
    """Sets parted by semicolons, any of which suffices."""
    assert permission("POST", "/repos/acme/shop/pulls", accepted) == said


@pytest.mark.parametrize(
    ("verb", "address", "said"),
    [
        ("POST", "/repos/acme/shop/releases", "Contents: write"),
        ("GET", "https://api.github.com/repos/acme/shop/releases?per_page=100", "Contents: read"),
        ("POST", "/repos/acme/shop/pulls", "Pull requests: write"),
        ("PUT", "/repos/acme/shop/pulls/7/merge", "Contents: write"),
        ("POST", "/repositories/12/issues/7/comments", "Pull requests: write"),
        ("POST", "http://127.0.0.1/api/graphql", "Pull requests: write"),
        ("POST", "/repos/acme/shop/statuses/abc", "Commit statuses: write"),
        ("GET", "/repos/acme/shop/deployments/1/statuses", "Deployments: read"),
        ("GET", "/repos/acme/releases/actions/runs", "Actions: read"),
        ("GET", "/repos/acme/shop/commits/abc/check-runs", "Checks: read"),
        ("GET", "/repos/acme/shop/branches/main/protection", "Administration: read"),
        ("GET", "/repos/acme/releases", "Metadata: read"),
    ],
)
def test_where_github_does_not_say_the_address_does(verb: str, address: str, said: str) -> None:
    """Whatever the repository is called."""
    assert permission(verb, address) == said
