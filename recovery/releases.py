"""Which release to go back to: chosen from GitHub Releases history, tags and ancestry, never from list order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from recovery.bounded import clipped
from recovery.errors import Refused
from recovery.versions import Version, parse_version

# The first words of a Release's notes once it was answered.
TAKEN_BACK, MENDED_BY = "> Taken back by ", "> Mended by "


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

    @property
    def taken_back(self) -> bool:
        """Answer whether its notes say that it was taken back or mended: nobody should go back to it."""
        return self.body.startswith((TAKEN_BACK, MENDED_BY))


@dataclass(frozen=True, slots=True)
class Publication:
    """A patch release to be published, and what is then noted on the release that it answers."""

    repository: str
    tag_prefix: str
    tag: str
    title: str
    notes: str
    faulty_tag: str
    note: str


@dataclass(frozen=True, slots=True)
class Stable:
    """The release to go back to, and the sentence that says why this one.

    `doubt` says why a person must confirm the choice first; None where there is nothing to doubt.
    """

    version: Version
    commit: str
    reason: str
    doubt: str | None = None


def candidates(faulty: Version, releases: Sequence[Release], bad: Collection[str]) -> list[Version]:
    """The versions that could be gone back to, newest first: published, final, older, of this service, not bad."""
    found = []
    for release in releases:
        if release.draft or release.prerelease or release.taken_back or release.tag in bad:
            continue
        try:
            version = parse_version(release.tag, faulty.prefix)
        except Refused:
            continue  # another service's release in the same repository, or no version at all
        if not version.prerelease and version < faulty:
            found.append(version)
    return sorted(set(found), reverse=True)


def choose_stable(
    faulty: Version,
    releases: Sequence[Release],
    contained: Mapping[str, str],
    bad: Collection[str] = (),
    on_main: Collection[str] = (),
    confirmed: str | None = None,
) -> Stable:
    """Choose the newest candidate that lies in the faulty release's own history.

    `contained` maps the tags whose commits are ancestors of the faulty one to those commits, `bad` are versions
    known to be faulty, `on_main` the tags that `main` contains by now, `confirmed` is the tag that a person chose.
    A newer candidate that was made elsewhere, and is on `main` nowhere, is a doubt: going back drops its work.

    Raises Refused when there is none, or when it carries the very same commit as the faulty release.
    """
    possible = candidates(faulty, releases, bad)
    on_the_line = [version for version in possible if version.tag in contained]
    if confirmed is not None:
        on_the_line = [version for version in on_the_line if version.tag == confirmed]
        if not on_the_line:
            known = ", ".join(version.tag for version in possible if version.tag in contained) or "none"
            raise Refused(
                f"{clipped(confirmed, 80)!r} is no stable release in the history of {faulty}: "
                f"choose one of these: {known}"
            )
    if not on_the_line:
        seen = ", ".join(release.tag for release in releases[:8]) or "no releases"
        raise Refused(
            f"no stable release before {faulty} in the Releases history (it has {seen}): "
            "nothing to go back to, prepare a hotfix instead"
        )
    stable = on_the_line[0]
    if contained[stable.tag] == contained.get(faulty.tag):
        raise Refused(f"{faulty} and {stable} are tags of the same commit: there is nothing to take back")
    why = "chosen by a person" if confirmed else f"newest final release contained in {faulty}"
    aside = [version.tag for version in possible if version > stable and version.tag not in contained]
    if aside:
        why += f"; newer but not contained in {faulty}: {', '.join(aside)}"
    lost = [tag for tag in aside if tag not in on_main]
    doubt = None
    if lost and not confirmed:
        doubt = (
            f"{', '.join(lost)} is newer than {stable} and was made elsewhere: going back to {stable} would ship "
            f"without it, merge it into main first or confirm with '--to {stable}'"
        )
    return Stable(stable, contained[stable.tag], why, doubt)
