"""Read a repository's history; bring a revert or a hotfix to `main`; prove it afresh; synchronise develop."""

from tasks.git.ahead import read_ahead
from tasks.git.history import preview_revert, read_history, read_taken_back
from tasks.git.hotfix import push_hotfix, read_answered, read_branch, tag_hotfix
from tasks.git.proof import check_repository, prove_hotfix, prove_revert
from tasks.git.proposing import push_branch
from tasks.git.push import push_revert, read_pushed, tag_merged
from tasks.git.ranges import read_range
from tasks.git.scripts import read_pull_script
from tasks.git.sync import preview_sync, sync_develop, sync_hotfix

__all__ = [
    "check_repository",
    "preview_revert",
    "preview_sync",
    "prove_hotfix",
    "prove_revert",
    "push_branch",
    "push_hotfix",
    "push_revert",
    "read_ahead",
    "read_answered",
    "read_branch",
    "read_history",
    "read_pull_script",
    "read_pushed",
    "read_range",
    "read_taken_back",
    "sync_develop",
    "sync_hotfix",
    "tag_hotfix",
    "tag_merged",
]
