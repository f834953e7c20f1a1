"""Names of tags and branches: in which order, what was built on what, and which ones are free."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from recovery.errors import Refused
from recovery.releases import Release
from recovery.versions import Version, parse_version


def newest(tags: Iterable[str], prefix: str) -> str | None:
    """The highest version among tags; what is no version of this prefix is passed over."""
    versions = _versions(tags, prefix)
    return max(versions).tag if versions else None


def oldest(tags: Iterable[str], prefix: str) -> str | None:
    """The lowest version among tags; what is no version of this prefix is passed over."""
    versions = _versions(tags, prefix)
    return min(versions).tag if versions else None


def next_below(tags: Iterable[str], version: Version) -> Version | None:
    """The highest version below another one, of its prefix; None where there is none."""
    return max((each for each in _versions(tags, version.prefix) if each < version), default=None)


def versions_above(tags: Iterable[str], version: Version) -> list[str]:
    """The tags of every version above another one, of its prefix."""
    return [each.tag for each in _versions(tags, version.prefix) if version < each]


def built_on(
    faulty: Version, later: Iterable[str], releases: Sequence[Release]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The final releases among the tags that contain a faulty one, and the pre-releases, each oldest first.

    A pre-release is one by its name or by its Release's flag: production does not wait for it.
    """
    flagged = {release.tag for release in releases if release.prerelease}
    found = sorted(_versions(later, faulty.prefix))
    previews = tuple(each.tag for each in found if each.prerelease or each.tag in flagged)
    return tuple(each.tag for each in found if each.tag not in previews), previews


def given_away(tags: Iterable[str], releases: Sequence[Release]) -> set[str]:
    """The names that the patch release cannot have: of tags, and of Releases whose tag may be gone.

    A draft has taken none yet, and comes and goes between two looks: by its name ours would be another every time.
    """
    return occupied([*tags, *(release.tag for release in releases if not release.draft)])


def occupied(tags: Iterable[str]) -> set[str]:
    """The names that no new tag can have: Git keeps refs like files, and v1.2.1 cannot be beside v1.2.1/rc."""
    parts = (tag.split("/") for tag in tags)
    return {"/".join(each[:length]) for each in parts for length in range(1, len(each) + 1)}


def in_the_way(branch: str, branches: Iterable[str]) -> str | None:
    """The branch beside which another one cannot be, as Git keeps refs like files; None where there is none."""
    return next((each for each in branches if branch.startswith(f"{each}/") or each.startswith(f"{branch}/")), None)


def _versions(tags: Iterable[str], prefix: str) -> list[Version]:
    found = []
    for tag in tags:
        with suppress(Refused):
            found.append(parse_version(tag, prefix))
    return found
