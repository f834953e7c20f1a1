"""What follows a revert: develop is synchronised, the faulty release comes back mended, the next one is made."""

from collections.abc import Mapping
from pathlib import Path

from recovery.catalog import Service
from recovery.syncs import Synced
from tasks.git import sync_develop
from tests.histories.by_hand import ByHand, Desk
from tests.histories.chain import End
from tests.histories.merging import Overlap, made_of_both, merge
from tests.histories.model import SLOTS, Case, File, Kind, Tree, files, merges_by_lines, with_slot
from tests.histories.remote import Remote, Tip, attempt, files_of, git
from tests.histories.streams import stream_on_top

LACKS_NOTHING, TO_PEOPLE = "next release lacks nothing", "develop left to people"
LATE = 9_000_000  # above every other number of a thing or of a text


def check_next_release(remote: Remote, case: Case, service: Service, end: End, reverted: Tree, seen: Path) -> str:
    """Synchronise, and hold what came out against plain git and the model: nothing may be missing, nor asked in vain.

    `seen` is a clone in which the next release can be tried. Answers how it went.
    """
    assert end.plan
    assert end.pushed
    if case.revert_picked:
        pick_revert(case, seen, reverted, end.pushed.commit)
    main = _fix_main_alone(case, reverted)
    if main != reverted:
        changed = [file for number, file in main.items() if reverted.get(number) != file]
        remote.git(
            "fast-import", "--quiet", given=stream_on_top("main", end.pushed.commit, changed, "A hotfix on main alone")
        )
        git(seen, "fetch", "--quiet", "origin")
    before = remote.tips()
    synced = sync_develop.fn(service, end.plan, end.pushed)
    after = remote.tips()
    told = f"{synced.said} {case.develops} {case.story}"
    if case.develop is None:
        assert after == before, told
        assert synced.said.startswith("skipped: "), told
        return "no develop"
    develop = before["refs/heads/develop"].commit
    tried = Desk(seen, develop, end.pushed.parent, end.pushed.commit, before["refs/heads/main"].commit).merge_all()
    due = next_releases(case, reverted, main)
    told = f"{tried} {told}"
    if synced.develop is None:
        assert tried.people, f"people are asked in vain, says plain git: {told}"
        assert due is None, f"people are asked in vain, says the model: {told}"
        patch = before[f"refs/tags/{end.pushed.tag}"]
        waits = Tip(patch.commit, patch.commit, patch.tree, patch.parents)
        assert after == before | {f"refs/heads/sync/{end.pushed.tag}": waits}, told
        return TO_PEOPLE
    assert tried.people is None, told
    check_pushed(before, after, synced, tried, f"reland/{end.plan.faulty_tag}", told)
    check_contents(seen, tried, due, reverted, main, told)
    return LACKS_NOTHING if due else "next release is plain git's"


def check_pushed(
    before: Mapping[str, Tip], after: Mapping[str, Tip], synced: Synced, tried: ByHand, relands_on: str, told: str
) -> None:
    """Develop has a real merge, the re-land is on top of it, both are plain git's, and no other ref changed."""
    changed = {name: tip for name, tip in after.items() if before.get(name) != tip}
    old, new = before["refs/heads/develop"], changed.pop("refs/heads/develop")
    assert (new.commit, new.tree) == (synced.develop, tried.synced), told
    assert new.parents == (old.commit, tried.patch) or new.commit == tried.patch, told
    if tried.reland != tried.synced:
        reland = changed.pop(f"refs/heads/{relands_on}")
        assert (reland.commit, reland.tree, reland.parents) == (synced.reland, tried.reland, (new.commit,)), told
    assert not changed, told


def check_contents(
    seen: Path, tried: ByHand, due: tuple[Tree, Tree] | None, reverted: Tree, main: Tree, told: str
) -> None:
    """The next release is what the model says; where that cannot tell, it has what came to main alone at least."""
    for tree, wanted in zip((tried.without, tried.full), due or (None, None), strict=True):
        assert tree
        if wanted is not None:
            assert files_of(seen, tree) == files(wanted), told
        elif main != reverted:
            assert files_of(seen, tree).items() >= files({0: main[LATE]}).items(), told


def _fix_main_alone(case: Case, reverted: Tree) -> Tree:
    """What main holds once a hotfix came to it that develop knows nothing of; the reverted tree where none came."""
    if case.late_fix is None or case.develop is None:
        return reverted
    slots = tuple(LATE + slot for slot in range(SLOTS))
    fixed = reverted | {LATE: File(b"fix of main.txt", Kind.TEXT, slots, LATE)}
    texts = sorted(number for number, file in reverted.items() if file.kind.slotted)
    number = texts[case.late_fix % len(texts)]
    return fixed | {number: with_slot(reverted[number], case.late_fix % SLOTS, LATE)}


def next_releases(case: Case, reverted: Tree, main: Tree) -> tuple[Tree, Tree] | None:
    """What the next release must hold by the model, without what was taken out and with it.

    None where people are needed, or git has an excuse to ask for them.
    """
    assert case.develop is not None
    bases = case.merge_bases(case.main, case.develop)
    before, develop = case.nodes[case.main].tree, case.nodes[case.develop].tree
    if len(bases) != 1:
        return None
    base = case.nodes[bases.pop()].tree
    try:
        whole = _surely_merged(base, develop, before)
        synced = _surely_merged(base, develop, reverted)
        again = _surely_merged(reverted, synced, before)
        ended = _surely_merged(reverted, main, synced), _surely_merged(reverted, main, whole)
    except Overlap:
        return None
    return ended if files(again) == files(whole) else None


def _surely_merged(base: Tree, ours: Tree, theirs: Tree) -> Tree:
    """A merge that git has no excuse to leave to people. Raises Overlap."""
    tree, _, moved = merge(base, ours, theirs)
    by_lines = {
        path
        for paths in (*made_of_both(ours, theirs, tree), _changed_twice(base, ours, theirs))
        for path in paths
        if not merges_by_lines(ours, path) or not merges_by_lines(theirs, path)
    }
    if moved or by_lines:
        raise Overlap("git may ask people", by_lines)
    return tree


def _changed_twice(base: Tree, ours: Tree, theirs: Tree) -> set[bytes]:
    """Paths of what both sides changed, each in its own way: also where all that one did is in what the other did."""
    three = ((base[each], ours[each], theirs[each]) for each in base.keys() & ours.keys() & theirs.keys())
    return {one.path for was, one, other in three if len({was.object, one.object, other.object}) > 2}


def pick_revert(case: Case, seen: Path, reverted: Tree, commit: str) -> None:
    """A person picks the revert to develop, where that goes without a conflict; the model does the same."""
    assert case.develop is not None
    git(seen, "checkout", "--quiet", "--force", "--detach", "origin/develop")
    try:
        tree, _, moved = merge(case.nodes[case.main].tree, case.nodes[case.develop].tree, reverted)
    except Overlap:
        return
    if moved or attempt(seen, "cherry-pick", "-x", commit).returncode != 0:
        return
    case.develop = case.commit(tree, (case.develop,), "The revert, picked")
    git(seen, "push", "--quiet", "origin", "HEAD:refs/heads/develop")
