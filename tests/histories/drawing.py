"""Draw whole histories: how a team comes to its releases, what it does afterwards, and what GitHub lists."""

from random import Random

from recovery.releases import Release
from tests.histories.chain import SEEN_AT
from tests.histories.changes import Changes
from tests.histories.model import Case, Tree, beside
from tests.histories.picking import bring, feature, pick, pick_parts, pick_to_develop, pick_to_main, release_picked

STYLES = (
    "merge", "squash", "rebase", "fast-forward", "octopus", "evil", "foxtrot", "pulls", "bump", "empty", "same",
    "picked",
)  # fmt: skip
DEVELOPS = ("ahead", "ahead", "diverged", "source", "with a part", "behind", "equal", "absent")


def draw_case(random: Random) -> Case:
    """One case: releases that were fine, a faulty one, and what came after it.

    Drawn from one number and not choice by choice: hypothesis makes five of six examples from the one before, by
    copying a choice to where another was, and six times as many histories would be needed to see as much.
    """
    case = Case()
    drawn = Changes(random)
    case.partial = drawn.chance(4)
    if drawn.chance(5):
        case.prefix, case.catalogue = "svc-a/v", {"tag_prefix": "svc-a/v", "paths": ("svc-a/",)}
    case.faulty = f"{case.prefix}1.2.0"
    branch = _stable(case, drawn)
    aside = _aside(case, drawn) if drawn.chance(5) else None
    if aside and drawn.chance(3):
        bring(case, *aside, "Merge the hotfix")
        aside = None
    begun = case.main
    before = case.nodes[begun].tree
    if drawn.chance(6):
        pick_to_main(case, drawn)
    case.style = "picked" if branch else STYLES[drawn.whole(len(STYLES) - 1)]
    _release(case, drawn, case.style, branch)
    case.tags[case.faulty] = (case.main, not drawn.chance(3))
    _list(case, "1.2.0")
    if drawn.chance(2):
        case.develops = DEVELOPS[drawn.whole(len(DEVELOPS) - 1)]
        _develop(case, drawn, begun)
    if drawn.chance(6):
        case.branches["feature/gifts"] = feature(case, drawn, case.tags[f"{case.prefix}1.1.0"][0], "Gifts")[-1]
    for _ in range(drawn.whole(3)):
        _later(case, drawn, before)
    if aside and not drawn.chance(3):
        bring(case, *aside, "Merge the hotfix")
    if drawn.chance(25):
        case.main = case.nodes[case.main].parents[0]  # released from elsewhere
    _beside(case, drawn)
    if case.develops == "equal":
        case.develop = case.main
    if case.develop is not None:
        case.late_fix = drawn.whole(20) if drawn.chance(3) else None
        if drawn.chance(3):
            pick_to_develop(case, drawn)
        case.revert_picked = drawn.chance(6)
    return case


def _list(case: Case, number: str, draft: bool = False, prerelease: bool = False) -> None:
    tag = f"{case.prefix}{number}"
    case.releases.append(Release(len(case.releases) + 1, tag, tag, "", draft, prerelease, SEEN_AT))


def _stable(case: Case, drawn: Changes) -> list[int]:
    """v1.0.0 and v1.1.0; the latter may have been bad itself, known by a trailer or to the catalogue.

    Answers the commits of a feature that was begun meanwhile; one of them may have been picked into v1.1.0.
    """
    case.main = case.commit(drawn.start(), (), "Begin")
    first = case.nodes[case.main].tree
    case.tags[f"{case.prefix}1.0.0"] = (case.main, True)
    _list(case, "1.0.0")
    branch = feature(case, drawn, case.main, "Coupons") if drawn.chance(8) else []
    case.on_main(drawn.changed(first), "Work on v1.1.0")
    if branch:
        case.branches["feature/coupons"] = branch[-1]
        case.main = pick(case, branch[0], case.main)
    stable = f"{case.prefix}1.1.0"
    case.tags[stable] = (case.main, not drawn.chance(3))
    _list(case, "1.1.0")
    if drawn.chance(10):
        case.catalogue["quarantine"] = (stable,)
    elif drawn.chance(8):
        said = f"Revert release {stable}\n\nReverts-Release: {stable} {'1' * 40}"
        case.main = case.commit(first, (case.main,), said)
        if drawn.chance(2):  # made on a branch of its own, and picked
            case.main = pick(case, case.main, case.nodes[case.main].parents[0])
        case.tags[f"{case.prefix}1.1.1"] = (case.main, True)
        _list(case, "1.1.1")
    if drawn.chance(3):
        case.on_main(drawn.changed(case.nodes[case.main].tree), "Work that belongs to the release")
    return branch


def _aside(case: Case, drawn: Changes) -> tuple[int, int]:
    """A hotfix release made on a branch: where it left the stable one, and its commit."""
    start = case.tags[f"{case.prefix}1.1.0"][0]
    made = case.commit(drawn.changed(case.nodes[start].tree), (start,), "Hotfix v1.1.7")
    case.tags[f"{case.prefix}1.1.7"] = (made, True)
    _list(case, "1.1.7")
    return start, made


def _release(case: Case, drawn: Changes, style: str, branch: list[int]) -> None:
    """Bring the faulty release to main in one of the ways teams have."""
    start, tree = case.main, case.nodes[case.main].tree
    if style == "same":
        return
    if style == "empty":
        case.on_main(tree, "Nothing")
    elif style in ("rebase", "fast-forward"):
        for number in range(drawn.whole(3, 2)):
            tree = drawn.changed(tree)
            case.on_main(tree, f"Step {number}")
    elif style == "squash":
        case.on_main(drawn.changed(tree), "Coupons (#7)")
    elif style == "pulls":
        for number in range(drawn.whole(3, 2)):
            _merge(case, drawn, f"Pull {number}")
    elif style == "octopus":
        branches = []
        for number in range(drawn.whole(3, 2)):
            new = drawn.changed(tree)
            branches.append(case.commit(new, (start,), f"Part {number}"))
            tree = new  # as if one were made after the other; their own trees do not matter to a merge's
        case.on_main(tree, "All parts", *branches)
    elif style == "picked":
        release_picked(case, drawn, branch or feature(case, drawn, start, "Coupons"))
    elif style == "foxtrot":
        made = case.commit(drawn.changed(tree), (start,), "Feature")
        work = case.on_main(drawn.changed(tree, ()), "Work on main")
        new = {each: file for each, file in case.nodes[work].tree.items() if each not in tree}
        case.main = made
        case.on_main(beside(new, case.nodes[made].tree), "Merge main", work)
    else:
        _merge(case, drawn, "Merge coupons", evil=style == "evil")
        if style == "bump":
            case.on_main(drawn.changed(case.nodes[case.main].tree, (0,)), "Bump")


def _merge(case: Case, drawn: Changes, title: str, evil: bool = False) -> None:
    tree, tip = case.nodes[case.main].tree, case.main
    for _ in range(drawn.whole(2, 1)):
        tree = drawn.changed(tree)
        tip = case.commit(tree, (tip,), f"Work on {title}")
    case.on_main(drawn.changed(tree) if evil else tree, title, tip)


def _later(case: Case, drawn: Changes, before: Tree) -> None:
    """What came after the release: most of it elsewhere, some in the same files, some of it a person's own revert."""
    tree, faulty = case.nodes[case.main].tree, case.nodes[case.tags[case.faulty][0]].tree
    touched = {each for each in {*before, *faulty} if before.get(each) != faulty.get(each)}
    what = drawn.whole(16)
    if what >= 14:
        case.on_main(drawn.elsewhere_in(tree, before, faulty), "Work elsewhere in the same files")
    elif what <= 3:
        case.on_main(drawn.changed(tree, set(tree) - touched), "Work elsewhere")
    elif what <= 4:
        case.on_main(drawn.changed(tree), "Work anywhere")
    elif what <= 7:
        case.on_main(drawn.changed(tree, touched), "Work on the same files")
    elif what == 8:
        new = dict(tree)
        drawn.copy(new)
        case.on_main(new, "Import")
    elif what == 9:
        _merge(case, drawn, "Hotfix")
    elif what <= 11:
        pick_to_main(case, drawn)
    else:
        _by_hand(case, drawn, before, touched)


def _by_hand(case: Case, drawn: Changes, before: Tree, touched: set[int]) -> None:
    """A person takes the release out, all or some of it, and perhaps puts it on again."""
    tree = case.nodes[case.main].tree
    some = touched if drawn.chance(2) else {each for each in sorted(touched) if drawn.chance(2)}
    new = beside(
        {each: file for each, file in tree.items() if each not in some},
        {each: before[each] for each in some if each in before},
    )
    case.on_main(new, 'Revert "Merge coupons"')
    if drawn.chance(3):
        case.on_main(tree, 'Revert "Revert "Merge coupons""')


def _develop(case: Case, drawn: Changes, begun: int) -> None:
    """Work towards the next release: on top of the faulty one, or of something else; main was `begun` without it."""
    faulty = case.tags[case.faulty][0]
    merged = [each for each in case.ancestors(faulty) - case.ancestors(begun) if len(case.nodes[each].parents) > 1]
    starts = {
        "ahead": faulty,
        "diverged": begun,
        "source": case.nodes[max(merged)].parents[-1] if merged else begun,  # where the release was made
        "with a part": begun,
        "behind": case.nodes[begun].parents[0],
    }
    case.develop = starts.get(case.develops)
    if case.develops == "absent" and drawn.chance(2):
        case.catalogue["develop"] = None
    if case.develop is None or case.develops == "behind":
        return
    if case.develops == "with a part":
        pick_parts(case, drawn, begun)
    for number in range(drawn.whole(2, 0 if case.develops == "ahead" else 1)):
        tree = drawn.changed(case.nodes[case.develop].tree)
        case.develop = case.commit(tree, (case.develop,), f"Towards v1.3.0, {number}")


def _beside(case: Case, drawn: Changes) -> None:
    """Tags and Releases that are none of the faulty one's business, or are."""
    if drawn.chance(8):
        _list(case, "1.1.9", draft=True)
    if drawn.chance(8):
        case.tags[f"{case.prefix}1.2.0-rc.1"] = (case.nodes[case.tags[case.faulty][0]].parents[0], True)
        _list(case, "1.2.0-rc.1", prerelease=drawn.chance(2))
    if drawn.chance(10):
        _list(case, "1.2.1", draft=drawn.chance(2))  # burned: a Release of that name, and no tag any more
    if drawn.chance(10):
        case.tags[f"{case.prefix}1.2.1"] = (0, False)
    if drawn.chance(15):
        case.tags[f"{case.prefix}1.3.0"] = (case.main, True)
    if drawn.chance(12):
        case.tags[f"{case.prefix}1.3.0-rc.1"] = (case.main, True)
        _list(case, "1.3.0-rc.1", prerelease=drawn.chance(2))
    if drawn.chance(8):
        case.tags["svc-b/v9.0.0" if case.prefix != "v" else "nightly"] = (case.main, True)
