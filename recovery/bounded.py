"""Texts that GitHub takes: it refuses longer ones as a whole, and with them the Release, the request or the verdict.

A list gives way first, then the longest paragraph; what anybody must be able to run stays whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# In characters; of bodies and notes GitHub takes a few hundred more (65,536 and 125,000).
TITLE = 256
DESCRIPTION = 140  # of a commit status
BODY = 65_000  # of a pull request or a comment
NOTES = 124_000  # of a Release
MESSAGE = 60_000  # of a commit: no limit of Git's, but of those who read it
SENTENCE = 2_000  # why something is done
NAME = 160  # what people called one piece of work


@dataclass(frozen=True, slots=True)
class Group:
    """Lines below one that stays: the files below a command, the commits below a heading."""

    head: str
    lines: tuple[str, ...]

    def shown(self, most: int, mark: str) -> list[str]:
        """The head and the first lines, and how many more there are."""
        rest = len(self.lines) - most
        more = [f"{mark}… and {rest:,} more"] if rest > 0 else []
        return [*([self.head] if self.head else []), *(f"{mark}{each}" for each in self.lines[:most]), *more]


@dataclass(frozen=True, slots=True)
class Listing:
    """A paragraph of groups, whose lines may be left out from the end; `mark` begins each of them."""

    groups: tuple[Group, ...]
    mark: str = "- "
    before: str = ""
    after: str = ""

    def shown(self, most: int) -> str:
        """The paragraph with so many lines of each group."""
        lines = [line for group in self.groups for line in group.shown(most, self.mark)]
        return "\n".join([*([self.before] if self.before else []), *lines, *([self.after] if self.after else [])])


def listed(head: str, lines: Sequence[str], mark: str = "- ") -> Listing | str:
    """One list under a heading; nothing where there are no lines."""
    return Listing((Group(head, tuple(lines)),), mark) if lines else ""


def clipped(text: str, most: int) -> str:
    """The beginning of a text, if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def shortened(paths: Sequence[str], most: int = 5) -> str:
    """A list of paths as people read it: the first ones and how many more there are."""
    rest = len(paths) - most
    return ", ".join(paths[:most]) + (f" and {rest} more" if rest > 0 else "")


def composed(paragraphs: Sequence[str | Listing], most: int) -> str:
    """The paragraphs with an empty line between, as long as they may be: every list has as many lines as fit."""
    there = [each for each in paragraphs if each]
    longest = max((len(group.lines) for each in there if isinstance(each, Listing) for group in each.groups), default=0)
    if len(_joined(there, longest)) <= most:
        return _joined(there, longest)
    fits, fails = -1, longest
    while fails - fits > 1:
        tried = (fits + fails) // 2
        fits, fails = (tried, fails) if len(_joined(there, tried)) <= most else (fits, tried)
    if fits >= 0:
        return _joined(there, fits)
    over = len(_joined(there, 0)) - most
    texts = [each for each in there if isinstance(each, str)]
    largest = max(texts, key=len, default="")
    shorter = clipped(largest, max(len(largest) - over, 1))
    return clipped(_joined([shorter if each is largest else each for each in there], 0), most)


def _joined(paragraphs: Sequence[str | Listing], most: int) -> str:
    shown = [each if isinstance(each, str) else each.shown(most) for each in paragraphs]
    return "\n\n".join(text for each in shown if (text := each.strip("\n")))
