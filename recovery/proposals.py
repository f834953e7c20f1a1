"""What a hotfix could be: the least that mends it first, each proposal with its reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from recovery.bounded import NAME, clipped, shortened
from recovery.catalog import Service
from recovery.ranges import Change, Contribution, Range, is_migration, is_own
from recovery.reverts import Commit

MOST = 3  # pull requests that are proposed: a person at night chooses among few
_FILE = re.compile(r"[\w./@-]*\w\.[A-Za-z]{1,5}\b(?!\.)")
_WORD = re.compile(r"[a-z]+|[0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DONE = {"A": "added", "D": "deleted"}
# What sentences about incidents say anyway, and what paths are full of.
_SAID_ANYWAY = """
about after again alert answer answered asked availability because been before cannot click critical customer
error every fail failed failing failure from have http https into last limit main more need only over person
probe release request restored rollback service several since some status succeed succeeded test than that their
there they this timeout trouble under user version very watch were when where which while window with your
delete error exception html java json node post ruby toml type yaml
"""


class FixKind(StrEnum):
    """What a proposal takes out."""

    PULL_REQUEST = "pull request"
    RANGE = "range"
    EMPTY = "nothing"


@dataclass(frozen=True, slots=True)
class FixProposal:
    """A fix that can be made mechanically: `paths` go from what they are in `after` to what they are in `before`."""

    kind: FixKind
    title: str
    reason: str
    keeps: tuple[str, ...] = ()  # paths that stay as they are, each with why
    takes_out: tuple[Commit, ...] = ()
    paths: tuple[str, ...] = ()
    after: str | None = None  # commits
    before: str | None = None


def propose(service: Service, between: Range, sentence: str) -> tuple[FixProposal, ...]:
    """The proposals, the best one first; the last one is always a branch to start from.

    `sentence` is the cause's: a pull request that touches what it speaks of is the least that can be taken out.
    """
    everything = _whole(service, between)
    if everything is None:
        return (_nothing(between),)
    hints = hints_of(sentence, _everywhere(service, between.changes))
    scored: list[tuple[int, bool, int, int, Contribution, list[str]]] = []
    for pull in between.contributions:
        paths = _movable(service, pull.paths)
        touched = _touched(hints, pull, paths)
        if touched and set(paths) != set(everything.paths):
            migrations = len([path for path in pull.paths if is_migration(service, path)])
            scored.append((-len(touched), migrations > 0, len(paths), len(scored), pull, touched))
    ranked = [_one(service, between, pull, touched) for *_, pull, touched in sorted(scored, key=lambda each: each[:4])]
    return (*ranked[:MOST], everything, _nothing(between))


def hints_of(sentence: str, aside: frozenset[str] = frozenset()) -> dict[str, str]:
    """The words of a sentence that could name code, and how the sentence writes them: '/checkout', 'check out'.

    `aside` are words that would fit every file.
    """
    aside |= frozenset(_stem(word) for word in _SAID_ANYWAY.split())
    hints: dict[str, str] = {}
    for file in _FILE.findall(sentence):
        hints |= {word: file for word in _words(file) if len(word) > 3}
    spoken = re.findall(r"/?[A-Za-z][\w-]*", sentence)
    for first, second in pairwise([*spoken, ""]):
        hints |= {word: first for word in _words(first) if len(word) > 3 and word not in hints}
        if all(len(part) > 2 and part.isalpha() and _stem(part.lower()) not in aside for part in (first, second)):
            hints.setdefault(_stem(f"{first}{second}".lower()), f"{first} {second}")
    return {word: shown for word, shown in hints.items() if word not in aside}


def _one(service: Service, between: Range, pull: Contribution, touched: Sequence[str]) -> FixProposal:
    number = f" (#{pull.number})" if pull.number else ""
    keeps = _kept(service, between, pull.paths)
    return FixProposal(
        kind=FixKind.PULL_REQUEST,
        title=f'Revert "{clipped(pull.name, NAME)}"{number}',
        reason=f"{clipped(str(pull), NAME)} is the least that fits: {'; '.join(touched)}"
        + ("; its migrations stay" if keeps else ""),
        keeps=keeps,
        takes_out=(Commit(pull.id, pull.title),),
        paths=_movable(service, pull.paths),
        after=pull.id,
        before=pull.parent,
    )


def _whole(service: Service, between: Range) -> FixProposal | None:
    paths = _movable(service, [change.path for change in between.changes])
    if between.stable_commit is None or not paths:
        return None
    keeps = _kept(service, between, [change.path for change in between.changes])
    return FixProposal(
        kind=FixKind.RANGE,
        title=f"Take {between.faulty_tag} back" + (", its migrations kept" if keeps else ""),
        reason=f"all code is that of {between.stable_tag} again"
        + (f", and the database keeps what {between.faulty_tag} made of it" if keeps else ""),
        keeps=keeps,
        takes_out=tuple(Commit(pull.id, pull.title) for pull in between.contributions),
        paths=paths,
        after=between.faulty_commit,
        before=between.stable_commit,
    )


def _nothing(between: Range) -> FixProposal:
    return FixProposal(
        FixKind.EMPTY, f"Mend {between.faulty_tag}", "a branch to start from: the fix is for a person to write"
    )


def _movable(service: Service, paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if is_own(service, path) and not is_migration(service, path))


def _kept(service: Service, between: Range, paths: Sequence[str]) -> tuple[str, ...]:
    done = {change.path: _DONE.get(change.status, "changed") for change in between.changes}
    return tuple(
        f"{path} ({done.get(path, 'changed')} by {between.faulty_tag}, the database may have run it)"
        for path in paths
        if is_own(service, path) and is_migration(service, path)
    )


def _touched(hints: dict[str, str], pull: Contribution, paths: Sequence[str]) -> list[str]:
    """What of the cause a pull request touches, in sentences; paths before titles."""
    said: dict[str, str] = {}
    titled = _words(f"{pull.title} {pull.body}")
    for word, shown in hints.items():
        fitting = [path for path in paths if word in _words(path)]
        if fitting:
            said.setdefault(shown, f"it touches {shortened(fitting, 2)} and the cause says {shown!r}")
        elif word in titled:
            said.setdefault(shown, f"its title and the cause say {shown!r}")
    return sorted(said.values(), key=lambda each: each.startswith("its title"))


def _everywhere(service: Service, changes: Sequence[Change]) -> frozenset[str]:
    """Words of the service's name, and those that stand in the path of every file."""
    words = [_words(change.path) for change in changes]
    common = frozenset.intersection(*words) if len(words) > 1 else frozenset()
    return common | _words(service.name)


def _words(text: str) -> frozenset[str]:
    found = {*_WORD.findall(text.lower()), *_WORD.findall(_CAMEL.sub(" ", text).lower())}
    return frozenset(_stem(word) for word in found)


def _stem(word: str) -> str:
    return word.removesuffix("s") if len(word) > 4 else word
