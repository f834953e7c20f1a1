"""What a Git host's words mean for a push of which nothing was taken."""

import pytest

from recovery.errors import Refused, Unavailable
from tasks.git.fates import Lost, lost_by
from tasks.git.plumbing import failure

REF = "!\tabc:refs/heads/develop\t"


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("[remote rejected] (protected branch hook declined)", Lost.PROTECTED),
        ("[remote rejected] (push declined due to repository rule violations)", Lost.PROTECTED),
        ("remote: error: GH006: Protected branch update failed for refs/heads/develop.", Lost.PROTECTED),
        ("remote: - Changes must be made through a pull request.", Lost.PROTECTED),
        ("[remote rejected] (pre-receive hook declined)", Lost.PROTECTED),
        ("refusing to allow a GitHub App to create or update workflow `a.yml` without", Lost.PROTECTED),
        ("remote: Permission to acme/shop.git denied to ripcord.", Lost.PROTECTED),
        ("[rejected] (stale info)", Lost.MOVED),
        ("[rejected] (non-fast-forward)", Lost.MOVED),
        ("[rejected] (fetch first)", Lost.MOVED),
        ("[rejected] (already exists)", Lost.MOVED),
        ("[remote rejected] (failed to update ref)", Lost.MOVED),
        ("[remote rejected] (atomic transaction failed)", Lost.MOVED),
        ("remote: error: cannot lock ref 'refs/heads/develop': is at 1 but expected 2", Lost.MOVED),
        ("fatal: the receiving end does not support --atomic push", None),
        ("fatal: unable to access: Could not resolve host", None),
    ],
)
def test_a_push_is_lost_to_a_rule_or_to_somebody_faster(said: str, lost: Lost | None) -> None:
    """Anything else is told as it was said."""
    assert lost_by(f"{REF}{said}") is lost


def test_a_rule_outranks_a_branch_that_moved() -> None:
    """All refs of one push are told together: trying again would never end."""
    assert lost_by(f"{REF}[rejected] (stale info)\n{REF}[remote rejected] (hook declined)") is Lost.PROTECTED


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: unable to access 'https://git/': Could not resolve host: git (Domain name not found)", Unavailable),
        ("fatal: unable to access 'https://git/': Couldn't resolve host 'git': Host not found", Unavailable),
        ("fatal: unable to access 'https://git/': Could not resolve proxy: not found", Unavailable),
        ("fatal: unable to access 'https://git/': getaddrinfo: Name or service not known", Unavailable),
        ("fatal: unable to access 'https://git/': Failed to connect to git port 403", Unavailable),
        ("fatal: unable to access 'https://git/': The requested URL returned error: 502", Unavailable),
        ("sh: 1: git-remote-https: not found", Unavailable),
        ("remote: Repository not found.\nfatal: repository 'https://git/a/b.git/' not found", Refused),
        ("fatal: repository 'https://git/a/b.git/' not found", Refused),
        ("fatal: unable to access 'https://git/': The requested URL returned error: 403", Refused),
        ("fatal: Authentication failed for 'https://git/'", Refused),
        ("error: gpg failed to sign the data\nfatal: failed to write commit object", Refused),
        ("error: Couldn't load public key /key: No such file or directory?", Refused),
    ],
)
def test_what_is_missing_is_refused_and_what_is_down_is_tried_again(said: str, kind: type[Exception]) -> None:
    """A name that is not found by the resolver is an outage; a repository that is not found is none."""
    assert type(failure("https://git/a/b.git", "fetch", 128, said)) is kind
