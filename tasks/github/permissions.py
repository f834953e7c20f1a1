"""Which permission of a token a request needs: from GitHub's own word, or from the address."""

import re

_NAMES = {
    "pull_requests": "Pull requests",
    "statuses": "Commit statuses",
    "issues": "Issues",
    "contents": "Contents",
}
_REPOSITORY = re.compile(r"^.*?/(repos/[^/]+/[^/]+|repositories/\d+)")
_BY_ADDRESS = (
    (r"/(releases|git)\b|/branches/[^/]+$|/merge$", "Contents"),
    (r"/deployments", "Deployments"),
    (r"/statuses|/status$", "Commit statuses"),
    (r"/actions/", "Actions"),
    (r"/check-runs", "Checks"),
    (r"/pulls|/issues/\d+/comments|/graphql$", "Pull requests"),
    (r"/protection$", "Administration"),
)


def permission(verb: str, address: str, accepted: str = "") -> str:
    """The permission in the words of GitHub's settings, such as `Contents: write`.

    `accepted` is GitHub's header `X-Accepted-GitHub-Permissions`: sets parted by `;`, each parted by `,`.
    """
    sets = [[_spoken(each) for each in one.split(",") if "=" in each] for one in accepted.split(";")]
    said = " or ".join(" and ".join(one) for one in sets if one)
    if said:
        return said
    level = "read" if verb in ("GET", "HEAD") else "write"
    below = _REPOSITORY.sub("", address.partition("?")[0])
    name = next(
        (name for pattern, name in _BY_ADDRESS if re.search(pattern, below)), "Contents" if below else "Metadata"
    )
    return f"{name}: {level}"


def _spoken(pair: str) -> str:
    name, _, level = pair.strip().partition("=")
    return f"{_NAMES.get(name, name.replace('_', ' ').capitalize())}: {level}"
