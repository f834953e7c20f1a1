"""What the fetched refs and commits say."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from recovery.errors import Refused, Unavailable
from recovery.reverts import Commit
from recovery.versions import Version
from tasks.git.plumbing import THERE, Repository, rows

REVERTS = ("Reverts-Release",)
MENDS = "Mends-Release"
TRAILERS = (*REVERTS, MENDS)
_TAG = (
    "%(refname)%00%(objecttype) %(objectname)%00%(*objecttype) %(*objectname)%00"
    f"%(contents:trailers:key={MENDS},valueonly)%00"
)


def tags_of(bare: Repository) -> dict[str, str]:
    """Every tag that stands for a commit, peeled however often it takes."""
    tags = {}
    for name, own, peeled, _ in _tags(bare):
        pairs = dict(kind.split(" ") for kind in (own, peeled) if kind.strip())
        if "commit" in pairs:
            tags[name] = pairs["commit"]
        elif peeled.startswith("tag "):  # a tag of a tag; git peels but once here
            status, commit, _ = bare.answer("rev-parse", "--verify", "--quiet", f"{THERE}/tags/{name}^{{commit}}")
            if status == 0:
                tags[name] = commit
    return tags


def mends_of(bare: Repository, tags: dict[str, str], faulty: str, commit: str) -> dict[str, str]:
    """The tags whose own message says that they mend this very commit: a merge's message is GitHub's to write."""
    said = {name: value for name, _, _, value in _tags(bare)}
    return {tag: tags[tag] for tag, value in said.items() if value.split() == [faulty, commit] and tag in tags}


def _tags(bare: Repository) -> list[tuple[str, str, str, str]]:
    """Each tag's name, type and object, what it stands for if it is annotated, and which release it says it mends."""
    parts = bare.git("for-each-ref", f"--format={_TAG}", f"{THERE}/tags").split("\0")
    records = zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=False)
    return [(ref.strip("\n").removeprefix(f"{THERE}/tags/"), own, peeled, value) for ref, own, peeled, value in records]


def names_of_tags(bare: Repository) -> list[str]:
    """The name of every tag that the remote has, whatever it stands for and whether it was fetched or not."""
    return [name.removeprefix("refs/tags/") for name in bare.listed if name.startswith("refs/tags/")]


def contents_of(bare: Repository, objects: Sequence[str]) -> list[bytes]:
    """What is in some objects, as git stores it; their lengths are told in bytes."""
    if not objects:
        return []
    printed = bare.git("cat-file", "--batch", given="".join(f"{each}\n" for each in objects))
    raw, found = printed.encode(errors="surrogateescape") + b"\n", []
    for _ in objects:
        head, raw = raw.split(b"\n", 1)
        size = int(head.split()[2])
        found.append(raw[:size])
        raw = raw[size + 1 :]
    return found


def tags_by(bare: Repository, condition: str) -> list[str]:
    """The tags that fulfil `--merged=COMMIT` (ancestors of it) or `--contains=COMMIT` (descendants)."""
    listed = bare.git("for-each-ref", "--format=%(refname)", condition, f"{THERE}/tags")
    return [ref.removeprefix(f"{THERE}/tags/") for ref in rows(listed)]


def head_of(bare: Repository, branch: str) -> str:
    """The commit of a branch. Raises Refused when there is no such branch."""
    found = branch_of(bare, branch)
    if found is None:
        raise Refused(f"{bare.url} has no branch {branch}: set `main` of the service in the catalogue")
    return found


def branch_of(bare: Repository, branch: str) -> str | None:
    """The commit of a branch, or None when there is no such branch."""
    return bare.listed.get(f"refs/heads/{branch}")


def is_ancestor(bare: Repository, older: str, newer: str) -> bool:
    """Answer whether a commit is in another one's history, or is it."""
    status, _, err = bare.answer("merge-base", "--is-ancestor", older, newer)
    if status not in (0, 1):
        raise Unavailable(f"git merge-base failed: {err}")
    return status == 0


def brought_by(bare: Repository, older: str, newer: str, paths: Sequence[str] = ()) -> tuple[Commit, ...]:
    """Every commit that lies between two, merges included, newest first; at most a hundred are named.

    With paths only those that touched them, of whichever branch; a merge touches what neither of its sides had.
    """
    within = ("--", *paths) if paths else ()
    return _listed(bare, ("--max-count=100", *(["--full-history"] if paths else [])), f"{older}..{newer}", within)


def commits_of(bare: Repository, older: str, newer: str) -> tuple[Commit, ...]:
    """The first-parent commits between two, newest first: a merge stands for what it brought."""
    return _listed(bare, ("--first-parent",), f"{older}..{newer}")


def _listed(bare: Repository, options: Sequence[str], between: str, within: Sequence[str] = ()) -> tuple[Commit, ...]:
    listed = bare.git("log", *options, "--format=%H %s", between, *within)
    pairs = (line.partition(" ") for line in rows(listed))
    return tuple(Commit(commit, _spelled(title)) for commit, _, title in pairs)


def _spelled(title: str) -> str:
    """A title as one line of text, whatever bytes it is made of."""
    return " ".join(title.encode("utf-8", "backslashreplace").decode().split())


def answers_to(bare: Repository, faulty: str, commit: str, head: str, trailers: Sequence[str] = TRAILERS) -> list[str]:
    """The commits above the faulty one whose trailer says that they revert or mend this very commit, newest first."""
    form = "".join(f"%x1f%(trailers:key={trailer},valueonly,separator=%x1f)" for trailer in trailers)
    found = f"--grep=^({'|'.join(trailers)}): "
    listed = bare.git("log", "--extended-regexp", found, f"--format=%H{form}", f"{commit}..{head}")
    said = (line.split("\x1f") for line in rows(listed))
    return [row[0] for row in said if f"{faulty} {commit}" in row[1:]]


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
    """The commit on a branch's own line that brought another one in: itself, or the oldest merge that has it."""
    line = bare.git("rev-list", "--first-parent", head, f"^{commit}^").splitlines()
    if commit in line:
        return commit
    holding = bare.git("rev-list", "--first-parent", "--ancestry-path", f"{commit}..{head}").splitlines()
    return holding[-1] if holding else commit


def patches_of(bare: Repository, tags: dict[str, str], faulty: Version, commit: str, head: str) -> dict[str, str]:
    """Tags above the faulty one in whose history a commit says that it reverts this very commit."""
    found = {}
    for answer in answers_to(bare, faulty.tag, commit, head, REVERTS):
        for tag in tags_by(bare, f"--contains={answer}"):
            if tag in tags and tags[tag] != commit:
                found[tag] = tags[tag]
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One path in two trees: modes and object ids, zeros where it is missing, and how it differs: A, M, D or T."""

    modes: tuple[str, str]
    objects: tuple[str, str]
    status: str


_RAW = ("-r", "--raw", "--no-abbrev", "--no-renames")
_RENAMES = ("-r", "--raw", "--no-abbrev", "--find-renames", "--diff-filter=R")


def learn_differing(bare: Repository, *pairs: tuple[str, str]) -> None:
    """Ask at once in what some trees differ, before `differing` is called for each two of them."""
    bare.learn_differences(_RAW, pairs)


def learn_renamed(bare: Repository, *pairs: tuple[str, str]) -> None:
    """Ask at once what was renamed between some trees, before `renamed` is called for each two of them."""
    bare.learn_differences(_RENAMES, pairs)


def differing(bare: Repository, one: str, other: str, paths: Sequence[str] = ()) -> dict[str, Difference]:
    """The paths in which two trees differ, quoted as git quotes them (`core.quotePath`)."""
    if one == other:
        return {}
    within = ["--", *paths] if paths else []
    listed = bare.git("diff-tree", *_RAW, one, other, *within)
    found = {}
    for line in rows(listed):
        fields, _, path = line.partition("\t")
        old, new, before, after, status = fields.lstrip(":").split()
        found[path] = Difference((old, new), (before, after), status)
    return found


def unquoted(path: str) -> str:
    """A path as it is in the tree: with `core.quotePath` git writes odd ones as C, and Python, would."""
    return ast.literal_eval(f"b{path}").decode(errors="surrogateescape") if path.startswith('"') else path


def renamed(bare: Repository, one: str, other: str) -> list[tuple[str, str]]:
    """The files that were renamed between two trees, as the merge sees them: old path and new one."""
    listed = bare.git("diff-tree", *_RENAMES, one, other)
    return [(old, new) for _, old, new in (line.split("\t") for line in rows(listed))]
