"""Which Release people and installers are shown as the latest one."""

from collections.abc import Sequence

from recovery.errors import Refused
from recovery.releases import Release
from recovery.versions import Version, parse_version


def newer_than(tag: str, prefix: str, releases: Sequence[Release]) -> str | None:
    """The highest final release above `tag` by semver, among those of the same prefix; None when it is the newest."""
    finals = [_version(each.tag, prefix) for each in releases if not each.draft and not each.prerelease]
    ours = parse_version(tag, prefix)
    newer = [each for each in finals if each is not None and not each.prerelease and each > ours]
    return max(newer).tag if newer else None


def becomes_latest(tag: str, prefix: str, releases: Sequence[Release], latest: str | None) -> bool:
    """Answer whether a new release is to be the latest: the newest one, and no other service's place is taken.

    A pre-release never is: GitHub shows none as the latest.
    """
    if parse_version(tag, prefix).prerelease:
        return False
    elsewhere = latest is not None and _version(latest, prefix) is None
    return not elsewhere and newer_than(tag, prefix, releases) is None


def _version(tag: str, prefix: str) -> Version | None:
    try:
        return parse_version(tag, prefix)
    except Refused:
        return None
