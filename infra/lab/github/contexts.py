"""How the checks of a commit stand: commit statuses and check runs together, by their name."""

from collections import Counter
from collections.abc import Sequence

from infra.lab.github.store import Store

PASSED = ("success", "neutral", "skipped")


def contexts(store: Store, repository: str, sha: str) -> dict[str, str]:
    """The last word of each context of a commit: `success`, `pending`, `in progress` or `failing`."""
    said = {}
    for status in store.all("status", repository, sha=sha):
        word = {"success": "success", "pending": "pending"}.get(status["state"], "failing")
        said[status["context"]] = word
    for run in store.all("check_run", repository, head_sha=sha):
        if run["status"] != "completed":
            said[run["name"]] = "in progress"
        else:
            said[run["name"]] = "success" if run["conclusion"] in PASSED else "failing"
    return said


def complaint(required: Sequence[str], said: dict[str, str]) -> str | None:
    """GitHub's sentence about required checks that have not passed, or None when all have."""
    open_ones = {name: said.get(name, "expected") for name in required if said.get(name) != "success"}
    if not open_ones:
        return None
    if len(required) == 1:
        name, word = next(iter(open_ones.items()))
        return f'Required status check "{name}" is {word}.'
    counts = Counter(open_ones.values())
    said_of = f"{len(open_ones)} of {len(required)} required status checks"
    if len(counts) == 1 and (word := next(iter(counts))) in ("expected", "in progress", "pending"):
        return f"{said_of} are {word}."
    # Those in progress are left out of GitHub's sum: the numbers need not add up.
    parts = [f"{counts[word]} {word}" for word in ("expected", "pending", "failing") if counts[word]]
    return f"{said_of} have not succeeded: {' and '.join(parts)}."
