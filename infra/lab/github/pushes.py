"""Notice what a push has changed, and tell the webhooks and the pull requests."""

from typing import Any

from infra.lab.github.answers import now
from infra.lab.github.bare import Bare, Commit
from infra.lab.github.heads import fall_behind
from infra.lab.github.people import person, repository_shape
from infra.lab.github.platform import Platform
from infra.lab.github.store import ZERO, RefChange

MOST_TAGS = 3
"""GitHub's documented limit: a push of more than three tags makes no events for its tags."""


def announce_push(platform: Platform, repository: str, pusher: str) -> None:
    """Compare the refs with those last seen and announce every change once."""
    bare = platform.bare(repository)
    changes = platform.store.observe(repository, bare.refs())
    tags = [change for change in changes if change.name.startswith("refs/tags/")]
    for change in changes:
        if change.name.startswith("refs/heads/"):
            fall_behind(platform.store, repository, change)
            _close_merged(platform, repository, pusher, change)
        if change not in tags or len(tags) <= MOST_TAGS:
            payload = _payload(platform, repository, pusher, change)
            platform.courier.announce(repository, "push", payload)


def _payload(platform: Platform, repository: str, pusher: str, change: RefChange) -> dict[str, Any]:
    bare = platform.bare(repository)
    html = f"{platform.url}/{repository}"
    head = None if change.after == ZERO else bare.commit_of(change.name.removeprefix("refs/"))
    new = _new_commits(bare, change) if change.name.startswith("refs/heads/") else []
    forced = ZERO not in (change.before, change.after) and not _moved_forward(bare, change)
    return {
        "ref": change.name,
        "before": change.before,
        "after": change.after,
        "base_ref": None,
        "created": change.before == ZERO,
        "deleted": change.after == ZERO,
        "forced": forced,
        "compare": f"{html}/compare/{change.before[:12]}...{change.after[:12]}",
        "commits": [_commit(html, commit) for commit in new],
        "head_commit": _commit(html, bare.commit(head)) if head else None,
        "repository": repository_shape(platform, platform.repository(repository)),
        "pusher": {"name": pusher, "email": f"{pusher}@users.noreply.lab"},
        "sender": person(platform, pusher),
    }


def _new_commits(bare: Bare, change: RefChange) -> list[Commit]:
    if change.after == ZERO:
        return []
    span = change.after if change.before == ZERO else f"{change.before}..{change.after}"
    return bare.commits(span, limit=2048)[::-1]


def _moved_forward(bare: Bare, change: RefChange) -> bool:
    return bare.kind(change.after) == "commit" and bare.contains(change.after, change.before)


def _commit(html: str, commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": True,
        "message": commit.message,
        "timestamp": commit.committer.date,
        "url": f"{html}/commit/{commit.sha}",
        "author": {"name": commit.author.name, "email": commit.author.email},
        "committer": {"name": commit.committer.name, "email": commit.committer.email},
        "added": [],
        "removed": [],
        "modified": [],
    }


def _close_merged(platform: Platform, repository: str, pusher: str, change: RefChange) -> None:
    """A pull request whose head has arrived in its base counts as merged, whoever merged it and how."""
    if change.after == ZERO:
        return
    bare = platform.bare(repository)
    branch = change.name.removeprefix("refs/heads/")
    for pull in platform.store.all("pull", repository, base=branch, state="open"):
        head = bare.commit_of(f"heads/{pull['head']}") or pull["head_sha"]
        if bare.contains(change.after, head):
            merge = _merge_of(bare, change, head)
            platform.store.change(
                pull, state="closed", merged_at=now(), closed_at=now(), merged_by=pusher, merge_commit_sha=merge,
                head_sha=head, updated_at=now(),
            )  # fmt: skip


def _merge_of(bare: Bare, change: RefChange, head: str) -> str:
    """The commit on the base's own line that brought the head in: the oldest that has it."""
    span = f"{head}..{change.after}"
    line = bare.git("rev-list", "--first-parent", "--ancestry-path", "--reverse", span).split()
    return next((sha for sha in line if bare.contains(sha, head)), head)
