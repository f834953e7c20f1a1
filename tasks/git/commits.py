"""What the commits between two others say, read at once, and which of them answer a faulty release."""

from collections.abc import Sequence
from dataclasses import dataclass

from recovery.reverts import Commit
from recovery.versions import Version
from tasks.git.plumbing import Repository, rows
from tasks.git.reading import MENDS, tags_by

REVERTS = ("Reverts-Release",)
TRAILERS = (*REVERTS, MENDS)
_FORM = "%x1f".join(("%H", "%P", *(f"%(trailers:key={each},valueonly,separator=%x1e)" for each in TRAILERS), "%s"))


@dataclass(frozen=True, slots=True)
class Logged:
    """One commit: its parents, its title, and for each trailer of ours the releases that it names."""

    id: str
    parents: tuple[str, ...]
    title: str
    answers: dict[str, list[str]]


def logged(bare: Repository, older: str, newer: str) -> list[Logged]:
    """Every commit of a history that another one lacks, newest first."""
    if older == newer:
        return []
    printed = bare.git("log", "-z", f"--format={_FORM}", f"{older}..{newer}")
    found = []
    for record in filter(None, printed.split("\0")):
        commit, parents, *values, title = record.split("\x1f", 2 + len(TRAILERS))
        answers = {trailer: value.split("\x1e") for trailer, value in zip(TRAILERS, values, strict=True)}
        found.append(Logged(commit, tuple(parents.split()), title, answers))
    return found


def commits_of(bare: Repository, older: str, newer: str) -> tuple[Commit, ...]:
    """The first-parent commits between two, newest first: a merge stands for what it brought."""
    between = {each.id: each for each in logged(bare, older, newer)}
    line, at = [], between.get(newer)
    while at:
        line.append(Commit(at.id, _spelled(at.title)))
        at = between.get(next(iter(at.parents), ""))
    return tuple(line)


def answers_to(bare: Repository, faulty: str, commit: str, head: str, trailers: Sequence[str] = TRAILERS) -> list[str]:
    """The commits above the faulty one whose trailer says that they revert or mend this very commit, newest first."""
    said = f"{faulty} {commit}"
    above = logged(bare, commit, head)
    return [each.id for each in above if any(said in each.answers[trailer] for trailer in trailers)]


def brought_by(bare: Repository, older: str, newer: str, paths: Sequence[str] = ()) -> tuple[Commit, ...]:
    """Every commit that lies between two, merges included, newest first; at most a hundred are named.

    With paths only those that touched them, of whichever branch; a merge touches what neither of its sides had.
    """
    within = ("--full-history", "--", *paths) if paths else ()
    listed = bare.git("log", "--max-count=100", "--format=%H %s", f"{older}..{newer}", *within)
    pairs = (line.partition(" ") for line in rows(listed))
    return tuple(Commit(commit, _spelled(title)) for commit, _, title in pairs)


def reverted_on(bare: Repository, head: str) -> tuple[str, ...]:
    """The tags of all releases that commits on a branch say they take out."""
    form = "--format=%(trailers:key=Reverts-Release,valueonly)"
    listed = bare.git("log", "--grep=^Reverts-Release: ", form, head)
    return tuple(dict.fromkeys(line.split()[0] for line in rows(listed) if line.strip()))


def reverted_by(bare: Repository, head: str, without: Sequence[str]) -> list[tuple[str, str]]:
    """The releases, tag and commit, that commits say they take out; `without` are commits to leave out, as ^id."""
    form = "--format=%(trailers:key=Reverts-Release,valueonly)"
    # By standard input: a repository may have more tags than a command line has room for.
    listed = bare.git("log", "--grep=^Reverts-Release: ", form, "--stdin", given="\n".join([head, *without]) + "\n")
    return [(parts[0], parts[1]) for line in rows(listed) if len(parts := line.split()) == 2]


def brought_in_by(bare: Repository, commit: str, head: str) -> str:
    """The commit on a branch's own line that brought another one in: itself, or the oldest merge that has it.

    In two questions: `--ancestry-path` beside `--first-parent` sees no way that begins with a merge's other parent and
    has more than the one commit on it.
    """
    line = bare.git("rev-list", "--first-parent", head, f"^{commit}^").splitlines()
    if commit in line:
        return commit
    above = set(bare.git("rev-list", "--ancestry-path", f"{commit}..{head}").splitlines())
    return next((each for each in reversed(line) if each in above), commit)


def landed_as(bare: Repository, faulty: str, commit: str, head: str) -> str:
    """The commit by which the first revert of this very one came to a branch; empty where none did."""
    answers = answers_to(bare, faulty, commit, head, REVERTS)
    return brought_in_by(bare, answers[-1], head) if answers else ""


def patches_of(bare: Repository, tags: dict[str, str], faulty: Version, commit: str, head: str) -> dict[str, str]:
    """Tags of the commit that says that it reverts this very one, or of the commit by which that came to main."""
    found: dict[str, str] = {}
    for answer in answers_to(bare, faulty.tag, commit, head, REVERTS):
        there = {answer, brought_in_by(bare, answer, head)}
        found |= {tag: at for tag, at in tags.items() if at in there}
    return found


def holding(bare: Repository, tags: dict[str, str], faulty: Version, commit: str, head: str) -> tuple[str, ...]:
    """Tags in whose history such a commit lies, whatever else came in with it."""
    answers = answers_to(bare, faulty.tag, commit, head, REVERTS)
    return tuple(tag for answer in answers for tag in tags_by(bare, f"--contains={answer}") if tag in tags)


def _spelled(title: str) -> str:
    """A title as one line of text, whatever bytes it is made of."""
    return " ".join(title.encode("utf-8", "backslashreplace").decode().split())
