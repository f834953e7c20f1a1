"""Read and write Releases, pull requests, deployments and commit statuses on GitHub."""

from tasks.github.access import check_github
from tasks.github.merging import wait_and_merge
from tasks.github.numbered import read_merge, read_pull
from tasks.github.pipeline import read_deployed, watch_pipeline
from tasks.github.protections import read_protection
from tasks.github.pulls import close_pull, comment_on, mark_ready, open_pull
from tasks.github.releases import publish_release, read_releases
from tasks.github.statuses import write_status

__all__ = [
    "check_github",
    "close_pull",
    "comment_on",
    "mark_ready",
    "open_pull",
    "publish_release",
    "read_deployed",
    "read_merge",
    "read_protection",
    "read_pull",
    "read_releases",
    "wait_and_merge",
    "watch_pipeline",
    "write_status",
]
