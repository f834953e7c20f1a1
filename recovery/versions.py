"""Which release is which: tags as versions, in numeric order, and the next free patch number."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import total_ordering

import semver

from recovery.bounded import clipped
from recovery.errors import Refused

# What Git allows in a tag and a shell or a ref parser could misread is refused before Git ever sees it.
LONGEST = 120  # characters of a tag: names of branches, files and titles are made of it
_PREFIX = re.compile(r"^(?:[a-z0-9][a-z0-9._-]{0,62}/)?v?$")


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version and the tag that carries it; compares by semver precedence, never as text."""

    tag: str
    prefix: str
    number: semver.Version

    def __str__(self) -> str:
        return self.tag

    def __lt__(self, other: "Version") -> bool:
        return bool(self.number < other.number)

    @property
    def prerelease(self) -> bool:
        """Answer whether semver calls it a pre-release (1.2.0-rc.1)."""
        return self.number.prerelease is not None

    @property
    def ref(self) -> str:
        """The full ref name, the only form in which Git is ever told a tag."""
        return f"refs/tags/{self.tag}"


def parse_version(tag: str, prefix: str = "v") -> Version:
    """Read a tag such as `v1.2.0` (or `shop/v1.2.0` with the prefix `shop/v`).

    Raises Refused when the tag is not the prefix followed by a semantic version.
    """
    shown = clipped(tag, 80)
    if not _PREFIX.match(prefix):
        raise Refused(f"tag prefix {prefix!r} is not usable: write it like 'v' or 'shop/v'")
    if not tag.startswith(prefix) or not semver.Version.is_valid(tag.removeprefix(prefix)):
        raise Refused(
            f"{shown!r} is not a release tag: expected {prefix}MAJOR.MINOR.PATCH such as {prefix}1.2.0, "
            "see the tags with 'git tag --list'"
        )
    if len(tag) > LONGEST:
        raise Refused(f"{shown!r} has {len(tag):,} characters: a release tag has {LONGEST} at most")
    return Version(tag, prefix, semver.Version.parse(tag.removeprefix(prefix)))


def release_of(image_tag: str, prefix: str) -> str:
    """The release that a service's image names by its tag, in which no slash can stand.

    Of `svc-a/v1.2.0` pipelines make `svc-a-v1.2.0`, as docker/metadata-action does, or `v1.2.0`: the image is the
    service's own. What names no release in one of these ways is given back as it is.
    """
    directory, slash, letter = prefix.rpartition("/")
    for begin in (f"{directory}-{letter}", letter) if slash else ():
        number = image_tag.removeprefix(begin)
        if image_tag.startswith(begin) and semver.Version.is_valid(number):
            return f"{prefix}{number}"
    return image_tag


def prefix_of(tag: str) -> str:
    """What stands before the number in a release tag."""
    name = tag.rpartition("/")[2]
    return tag.removesuffix(name) + ("v" if name.startswith("v") else "")


def next_patch(faulty: Version, taken: Collection[str]) -> Version:
    """The next free patch release above the faulty one; `taken` are all tags that exist or are burned.

    Of a pre-release it is the next pre-release: the final version's name is kept for the work that it was to bring.
    """
    number = _above(faulty.number)
    while f"{faulty.prefix}{number}" in taken:
        number = _above(number)
    return Version(f"{faulty.prefix}{number}", faulty.prefix, number)


def _above(number: semver.Version) -> semver.Version:
    if number.prerelease is None:
        return number.bump_patch()
    *before, last = number.prerelease.split(".")
    # rc10 sorts below rc9, as text does: only what is a number of its own is counted on.
    after = [str(int(last) + 1)] if last.isdigit() else [last, "1"]
    return number.replace(prerelease=".".join([*before, *after]), build=None)
