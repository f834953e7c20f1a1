"""What the fetched refs say, and in what trees differ."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from recovery.errors import Refused, Unavailable
from tasks.git.plumbing import THERE, Repository, rows

MENDS = "Mends-Release"
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
    bare.learn_differences(_RENAMES, [pair for pair in pairs if _may_rename(bare, *pair)])


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
    if not _may_rename(bare, one, other):
        return []
    listed = bare.git("diff-tree", *_RENAMES, one, other)
    return [(old, new) for _, old, new in (line.split("\t") for line in rows(listed))]


def _may_rename(bare: Repository, one: str, other: str) -> bool:
    """A file that was renamed is gone in one place and new in another."""
    return {"A", "D"} <= {each.status for each in differing(bare, one, other).values()}
