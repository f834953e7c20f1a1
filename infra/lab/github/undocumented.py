"""What GitHub does though its own description does not say so, each with the reason why it is let pass."""

import re

EVERYWHERE = {
    301: "a repository that was renamed: whoever reads it is sent on",
    304: "what has not changed since it was asked for is not sent again",
    307: "a repository that was renamed: whoever writes to it is sent on with what was written",
    401: "no operation says what a token that is none gets",
    403: "few operations say what a token without rights gets",
    404: "what is not there, or not to be seen, is not found by any operation",
}
"""Answers that GitHub gives at any operation, though its description speaks of them at some only."""
UNDOCUMENTED = {
    ("repos/update-release", 422): "an immutable release keeps its tag, and a tag's name is taken",
    ("repos/create-commit-status", 422): "there is no such commit, or the status lacks what it must have",
    ("repos/delete-release-asset", 422): "an immutable release keeps its assets",
}
"""Answers that GitHub gives at these operations, and its description leaves out."""
OLD_ADDRESSES = {
    re.compile("(/repos/[^/]+/[^/]+)/statuses/(.+)"): r"\1/commits/\2/statuses",  # what PyGithub asks for
    re.compile("(/repos/[^/]+/[^/]+)/git/refs/(.+)"): r"\1/git/ref/\2",  # the address that a ref itself gives
}
"""Addresses to read from that GitHub no longer describes and still serves, and those that took their place."""
PROBED = ("repos/create-release", "repos/create-commit-status", "pulls/create")
"""Asked for with nothing at all, and refused: so a caller tries whether it may, and changes nothing."""
PAGES = ("page", "per_page")
"""PyGithub asks every list for its pages; where GitHub has none, it does not mind."""
