"""Where the head of a pull request is: GitHub's record of it, which may lag behind its branch after a push."""

import time

from infra.lab.github.bare import Bare
from infra.lab.github.store import ZERO, Document, RefChange, Store


def head_of(bare: Bare, pull: Document) -> str:
    """The commit that GitHub takes for the head: as long as the request is open, its branch's, though maybe late."""
    if lags(pull):
        return str(pull["late_head"])
    return tip_of(bare, pull) or str(pull["head_sha"])


def tip_of(bare: Bare, pull: Document) -> str | None:
    """Where the branch of an open request is; None when it is gone, or the request closed."""
    return bare.commit_of(f"heads/{pull['head']}") if pull["state"] == "open" else None


def lags(pull: Document) -> bool:
    """Answer whether GitHub has not noticed yet that the branch has moved."""
    return bool(pull["state"] == "open" and time.time() < pull.get("late_until", 0))


def fall_behind(store: Store, repository: str, change: RefChange) -> None:
    """A branch has moved: where heads are to lag, the requests from it do so for a while."""
    named = store.first("repository", full_name=repository) or {}
    seconds = named.get("head_lag_seconds", 0)
    if not seconds or ZERO in (change.before, change.after):
        return
    for pull in store.all("pull", repository, head=change.name.removeprefix("refs/heads/"), state="open"):
        late = pull["late_head"] if lags(pull) else change.before
        store.change(pull, late_head=late, late_until=time.time() + seconds)
