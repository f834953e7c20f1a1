"""Names for what we make in somebody else's system: readable, short enough, the same on every try."""

import hashlib
import re


def ending(version: str, attempt: int) -> str:
    """What a release, and the attempt at its point, add to a name."""
    word = re.sub(r"[^a-z0-9]+", "-", version.lower()).strip("-") or "release"
    return word if attempt == 1 else f"{word}-{attempt}"


def fitting(name: str, longest: int) -> str:
    """The name, or as much of it as fits with a digest of the whole."""
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: longest - 9].rstrip('-')}-{digest}"
