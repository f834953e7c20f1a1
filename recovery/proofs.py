"""The proof of a patch release: plain commands, and the object ids that they print in a fresh clone with any git."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1

from recovery.reverts import Proof, Pushed, RevertPlan

MOST_LISTED = 20  # lines of a difference that are written out; of a longer one, the id of all of them as one text
_COMMIT_OF = 'c() { git -c user.name=proof -c user.email=proof commit-tree -m proof "$@"; }'
_DIFFERENCE = ("git", "--literal-pathspecs", "diff-tree", "-r", "--ignore-submodules=none")  # which some hide

Line = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a fresh clone says of a revert: trees, and differences as `git diff-tree -r` prints them."""

    stable: str
    wanted: str  # the faulty release's tree with the service's paths as they are in the stable one
    again: str | None  # the tree with the release put on again; None where that conflicts, as the revert had
    changed: str  # from main before the revert to the patch release
    kept: str  # from what is wanted to the patch release
    by_hand: str  # from the release put on again to main before: what people had taken out themselves


def prove_tags(main: str, faulty: tuple[str, str, str], pushed: Pushed) -> tuple[Line, ...]:
    """The faulty release's name, tag and commit are what they were; the patch release is this commit, on main."""
    tag, tagged, commit = faulty
    return (
        (_git("rev-parse", tag), tagged),
        (_git("rev-parse", f"{tag}^{{commit}}"), commit),
        (_git("rev-parse", f"{pushed.tag}^{{commit}}"), pushed.commit),
        (_git("merge-base", f"origin/{main}", pushed.tag), pushed.commit),
        (_git("rev-parse", f"{pushed.tag}^@"), "\n".join((pushed.parent, *pushed.others))),
        (_git("rev-parse", f"{pushed.tag}^{{tree}}"), pushed.tree),
    )


def proof_of(plan: RevertPlan, pushed: Pushed, read: Reading) -> Proof:
    """The postconditions of a revert as commands.

    The strongest holds when nothing was kept: the tree of the patch release is that of the stable one. Otherwise it is
    shown what the revert changed and what was kept, each with its object ids, and the round trip must hold: putting
    the release on again gives back main as it was. Where people decided a conflict there may be no way back by merging.
    """
    tags = prove_tags(
        plan.main, (plan.faulty_tag, plan.faulty_object or plan.faulty_commit, plan.faulty_commit), pushed
    )
    on_top = (
        (_git("merge-base", plan.faulty_tag, pushed.tag), plan.faulty_commit),
        (_git("rev-list", "--first-parent", f"{pushed.parent}..{pushed.tag}"), pushed.commit),
        (_git("rev-parse", f"{plan.stable_tag}^{{tree}}"), read.stable),
    )
    if read.stable == pushed.tree:
        return Proof((*tags, *on_top))
    within = ((_wanted(plan), read.wanted),) if plan.paths else ()
    shown = (difference(pushed.parent, pushed.tag, read.changed), difference(read.wanted, pushed.tag, read.kept))
    if read.again is None:
        return Proof((*tags, *on_top, *within, *shown))
    trip = (
        (_round_trip(plan, pushed, read.wanted), read.again),
        difference(read.again, pushed.parent, read.by_hand),
    )
    return Proof((*tags, *on_top, *within, *shown, *trip))


def difference(one: str, other: str, printed: str, paths: Sequence[str] = ()) -> Line:
    """The command that shows in what two trees differ, and what it prints."""
    command = shlex.join((*_DIFFERENCE, one, other, *(("--", *paths) if paths else ())))
    if printed.count("\n") < MOST_LISTED:
        return command, printed
    text = f"{printed}\n".encode(errors="surrogateescape")
    return f"{command} | git hash-object --stdin", sha1(
        b"blob %d\0" % len(text) + text, usedforsecurity=False
    ).hexdigest()


def _wanted(plan: RevertPlan) -> str:
    """The faulty release's tree in an index of its own, the service's paths exchanged for those of the stable one."""
    paths = shlex.join(path.rstrip("/") for path in plan.paths)
    stable, faulty = shlex.quote(plan.stable_tag), shlex.quote(plan.faulty_tag)
    return (
        f"(export GIT_INDEX_FILE=.git/proof; git read-tree {faulty}; "
        f"git ls-files -z -- {paths} | git update-index -z --force-remove --stdin; "
        f"git ls-tree -r -z {stable} -- {paths} | git update-index -z --index-info; git write-tree)"
    )


def _round_trip(plan: RevertPlan, pushed: Pushed, wanted: str) -> str:
    """The release put on again, by a merge of trees: commits stand for them, for a git before 2.40 knows no other way.

    In .git no .gitattributes of the work tree has a say, as none had in the merge that made the revert.
    """
    ours, theirs = (shlex.quote(f"{tag}^{{tree}}") for tag in (pushed.tag, plan.faulty_tag))
    merge = f"git -C .git merge-tree --write-tree $(c {ours} -p $b) $(c {theirs} -p $b)"
    return f"{_COMMIT_OF}; b=$(c {wanted}); {merge}"


def _git(*words: str) -> str:
    return shlex.join(("git", *words))
