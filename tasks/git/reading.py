"""What the fetched refs and commits say."""

from recovery.errors import Refused, Unavailable
from recovery.reverts import Commit
from recovery.versions import Version
from tasks.git.plumbing import THERE, Repository


def tags_of(bare: Repository) -> dict[str, str]:
    """Every tag that stands for a commit, peeled."""
    listed = bare.git(
        "for-each-ref", "--format=%(refname) %(objecttype) %(objectname) %(*objecttype) %(*objectname)", f"{THERE}/tags"
    )
    tags = {}
    for line in listed.splitlines():
        ref, *kinds = line.split()
        pairs = dict(zip(kinds[::2], kinds[1::2], strict=True))
        if "commit" in pairs:
            tags[ref.removeprefix(f"{THERE}/tags/")] = pairs["commit"]
    return tags


def tags_by(bare: Repository, condition: str) -> list[str]:
    """The tags that fulfil `--merged=COMMIT` (ancestors of it) or `--contains=COMMIT` (descendants)."""
    listed = bare.git("for-each-ref", "--format=%(refname)", condition, f"{THERE}/tags")
    return [ref.removeprefix(f"{THERE}/tags/") for ref in listed.splitlines()]


def head_of(bare: Repository, branch: str) -> str:
    """The commit of a branch. Raises Refused when there is no such branch."""
    status, out, _ = bare.answer("rev-parse", "--verify", "--quiet", f"{THERE}/heads/{branch}^{{commit}}")
    if status != 0:
        raise Refused(f"{bare.url} has no branch {branch}: set `main` of the service in the catalogue")
    return out


def is_ancestor(bare: Repository, older: str, newer: str) -> bool:
    status, _, err = bare.answer("merge-base", "--is-ancestor", older, newer)
    if status not in (0, 1):
        raise Unavailable(f"git merge-base failed: {err}")
    return status == 0


def brought_by(bare: Repository, older: str, newer: str) -> tuple[Commit, ...]:
    """Every commit that lies between two, merges included, newest first; at most a hundred are named."""
    return _listed(bare, "--max-count=100", f"{older}..{newer}")


def commits_of(bare: Repository, older: str, newer: str) -> tuple[Commit, ...]:
    """The first-parent commits between two, newest first: a merge stands for what it brought."""
    return _listed(bare, "--first-parent", f"{older}..{newer}")


def _listed(bare: Repository, option: str, between: str) -> tuple[Commit, ...]:
    listed = bare.git("log", option, "--format=%H %s", between)
    pairs = (line.partition(" ") for line in listed.splitlines())
    return tuple(Commit(commit, title) for commit, _, title in pairs)


def patches_of(bare: Repository, tags: dict[str, str], faulty: Version, commit: str) -> dict[str, str]:
    """Tags above the faulty one whose commit's trailer says that it reverts this very commit."""
    found = {}
    for tag in tags_by(bare, f"--contains={commit}"):
        each = tags.get(tag, commit)
        if each == commit:
            continue
        form = "--format=%(trailers:key=Reverts-Release,valueonly)"
        if bare.git("log", "-1", form, "--end-of-options", each).split() == [faulty.tag, commit]:
            found[tag] = each
    return found
