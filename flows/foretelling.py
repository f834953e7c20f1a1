"""What a recovery from a release would be, before it is deployed."""

from recovery.catalog import Service
from recovery.outlooks import Ahead
from tasks.git import read_ahead
from tasks.github import read_releases
from tasks.retry import LOOKING_BRIEFLY


def look_ahead(entry: Service, version: str) -> Ahead:
    """What the release would bring. This informs: whatever comes of it, a mistake of ours too, the gate goes on."""
    try:
        return read_ahead(entry, version, read_releases.with_options(**LOOKING_BRIEFLY)(entry))
    except Exception as error:
        return Ahead(version, untold=" ".join(str(error).split())[:300] or type(error).__name__)
