"""Which release to go back to: chosen from GitHub Releases history, tags and ancestry, never from list order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from recovery.errors import Refused
from recovery.versions import Version, parse_version


@dataclass(frozen=True, slots=True)
class Release:
    """One entry of the Releases history."""

    id: int
    tag: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stable:
    """The release to go back to, and the sentence that says why this one."""

    version: Version
    commit: str
    reason: str


def candidates(faulty: Version, releases: Sequence[Release], quarantined: Collection[str]) -> list[Version]:
    """The versions that could be gone back to, newest first: published, final, older, of this service, not bad."""
    found = []
    for release in releases:
        if release.draft or release.prerelease or release.tag in quarantined:
            continue
        try:
            version = parse_version(release.tag, faulty.prefix)
        except Refused:
            continue  # another service's release in the same repository, or no version at all
        if not version.prerelease and version < faulty:
            found.append(version)
    return sorted(found, reverse=True)


def choose_stable(
    faulty: Version,
    releases: Sequence[Release],
    contained: dict[str, str],
    quarantined: Collection[str] = (),
) -> Stable:
    """Choose the newest candidate that lies in the faulty release's own history.

    `contained` maps the tags whose commits are ancestors of the faulty one to those commits.

    Raises Refused when there is none, or when it carries the very same commit as the faulty release.
    """
    possible = candidates(faulty, releases, quarantined)
    on_the_line = [version for version in possible if version.tag in contained]
    if not on_the_line:
        seen = ", ".join(release.tag for release in releases[:8]) or "no releases"
        raise Refused(
            f"no stable release before {faulty} in the Releases history (it has {seen}): "
            "nothing to go back to, prepare a hotfix instead"
        )
    stable = on_the_line[0]
    if contained[stable.tag] == contained.get(faulty.tag):
        raise Refused(f"{faulty} and {stable} are tags of the same commit: there is nothing to take back")
    skipped = [version.tag for version in possible if version > stable]
    aside = f"; newer but not contained in {faulty}: {', '.join(skipped)}" if skipped else ""
    return Stable(stable, contained[stable.tag], f"newest final release contained in {faulty}{aside}")
