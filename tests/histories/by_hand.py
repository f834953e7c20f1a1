"""What plain git makes of the merges that follow a revert, in a clone, as a careful person would try them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.histories.remote import attempt, git


@dataclass(frozen=True, slots=True)
class ByHand:
    """The trees that plain git gives, and why people are needed; None where they are not.

    `without` is the next release from the synchronised develop, `full` the one with the re-land merged first.
    """

    people: str | None
    patch: str
    synced: str | None = None
    reland: str | None = None
    without: str | None = None
    full: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """A clone to try merges in, and the commits they are made of."""

    path: Path
    develop: str
    before: str  # main before the patch release
    patch: str
    main: str  # main now

    def merge_all(self) -> ByHand:
        """Try all of them, and look whether anything would be missing that the revert did not take out."""
        whole = self._made(self.develop, "merge", "--no-edit", self.before)
        synced = self._made(self.develop, "merge", "--no-edit", self.patch)
        if not whole or not synced:
            return ByHand("develop does not merge", self.patch)
        reland = self._made(synced[0], "revert", "--no-edit", self.patch)
        if not reland:
            return ByHand("the revert does not revert", self.patch, synced[1])
        due, without, full = whole, synced, reland
        if self.main != self.patch:
            late = self._made(whole[0], "cherry-pick", "--allow-empty", f"{self.patch}..{self.main}")
            ended = [self._made(self.main, "merge", "--no-edit", each[0]) for each in (synced, reland)]
            if not late or not ended[0] or not ended[1]:
                return ByHand("what came to main later does not merge", self.patch, synced[1], reland[1])
            due, without, full = late, ended[0], ended[1]
        told = (self.patch, synced[1], reland[1], without[1], full[1])
        if reland[1] != whole[1] or full[1] != due[1]:
            return ByHand("the release would not come back whole", *told)
        strays = self._strays(due[1], without[1], whole[1])
        if strays:
            return ByHand(f"more than the release would be missing: {sorted(strays)}", *told)
        return ByHand(None, *told)

    def _made(self, start: str, *command: str) -> tuple[str, str] | None:
        """The commit and the tree that a command gives on a commit; None where it stops for people."""
        git(self.path, "checkout", "--quiet", "--force", "--detach", start)
        done = attempt(self.path, *command)
        nothing = b"nothing to commit" in done.stdout and not git(self.path, "ls-files", "--unmerged")
        if done.returncode != 0 and not nothing:
            return None
        commit, tree = git(self.path, "rev-parse", "HEAD", "HEAD^{tree}").split()
        return commit, tree

    def _strays(self, due: str, without: str, whole: str) -> set[str]:
        """What the next release would lack, and the revert did not take out under this name or develop's."""
        taken_out = set(self._diff("--name-only", "--no-renames", self.before, self.patch))
        strays = set(self._diff("--name-only", "--no-renames", due, without)) - taken_out
        if strays:
            renamed = self._diff("--name-status", "--find-renames", "--diff-filter=R", self.before, whole)
            for old, new in zip(renamed[1::3], renamed[2::3], strict=True):
                if {old, new} & taken_out:
                    strays -= {old, new}
        return strays

    def _diff(self, *options: str) -> Sequence[str]:
        return git(self.path, "diff", "-z", *options).split("\0")[:-1]
