"""Before a deployment: would the version before still run on the schema that the release leaves, and what follows.

The text of the migrations is judged as a recovery would judge it. Where they were run on a copy, what the smoke
queries said afterwards can take a yes away, and gives none: they ask only what they ask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from recovery.ranges import Change
from recovery.trials import Migration

SAID = 3  # migrations that the sentence names


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a release would bring, as Git says it; without a commit nothing is told, and `untold` says why."""

    version: str
    commit: str | None = None
    before: str | None = None  # the release to which a recovery would go back
    changes: tuple[Change, ...] = ()  # the service's migrations between the two
    files: tuple[Migration, ...] = ()  # as they are run on the way forward, in their order
    limit: timedelta = timedelta()  # time that they get on a copy
    untold: str = ""  # why nothing is told, or why there is nothing to go back to
    unrun: str = ""  # why the files are not run on a copy


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the migrations on a copy of the database: a clause, and what of the version before is broken."""

    said: str
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether the version before still runs on the new schema, in a sentence; None where nobody can tell.

    `broken` is what a copy has shown, whatever the text says; `commit` and `before` are what it is true of.
    """

    runs: bool | None
    reason: str
    recovery: str | None  # revert or hotfix, as a recovery would be; None where Git did not tell
    before: str | None = None
    commit: str | None = None
    broken: str | None = None

    @property
    def shortly(self) -> str:
        """The same in a few words, without what a server said: it stands where everybody reads it."""
        if self.recovery is None:
            return "what a recovery would be is not told"
        runs = "may not run" if self.runs is None else "runs" if self.runs else "does not run"
        before = f"{self.before} {runs} on the new schema; " if self.before else ""
        return f"{before}a recovery would be a {self.recovery}"

    def is_of(self, commit: str, before: str | None) -> bool:
        """Answer whether it was found of this commit, gone back from to that release: of no other it is true."""
        return (self.commit, self.before) == (commit, before)


def judge_outlook(ahead: Ahead, trial: Trial | None = None) -> Outlook:
    """Answer whether the version before still runs, and whether a recovery would be a revert or a hotfix."""
    if ahead.commit is None:
        why = f"whether the version before still runs on the new schema is not told: {ahead.untold}"
        return Outlook(None, why, None)
    if ahead.before is None:
        why = f"there is no release to go back to ({ahead.untold}): a recovery would be a hotfix"
        return Outlook(None, why, "hotfix", None, ahead.commit)
    broken = trial.broken if trial else None
    runs, because = _read(ahead)
    if broken:
        runs, because = False, broken
    elif trial:
        because = f"{because}; {trial.said}"
    elif ahead.changes and ahead.unrun:
        because = f"{because}; {ahead.unrun}"
    answer = "not told" if runs is None else "yes" if runs else "no"
    recovery = "revert" if runs else "hotfix"
    said = f"{ahead.before} still runs on the new schema: {answer}, because {because}"
    return Outlook(runs, f"{said}; a recovery would be a {recovery}", recovery, ahead.before, ahead.commit, broken)


def _read(ahead: Ahead) -> tuple[bool | None, str]:
    """What the text of the migrations says: what is incompatible outranks what nobody can tell."""
    if not ahead.changes:
        return True, f"no migration lies between {ahead.before} and {ahead.version}"
    for answer in (False, None, True):
        found = [each for each in ahead.changes if each.compatible is answer]
        if found:
            return answer, _listed([each.reason or each.path for each in found])
    raise AssertionError("a change has one of three answers")


def _listed(reasons: Sequence[str]) -> str:
    rest = f"; and {len(reasons) - SAID} more" if len(reasons) > SAID else ""
    return "; ".join(reasons[:SAID]) + rest
