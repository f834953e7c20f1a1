"""What must hold before develop is synchronised without a person, and what people are asked for."""

from dataclasses import replace

import pytest

from recovery.reverts import Commit, Pushed
from recovery.sync_wording import (
    MOST,
    propose_by_hand,
    propose_merged,
    propose_reland,
    reland_message,
    sync_message,
)
from recovery.syncs import Objection, Rehearsal, Reland, SyncPlan, objection_to, said_of_push, still_there
from tests.unit.test_reverts import NOW

FAULTY, PARENT, PATCH, BEFORE = "e" * 40, "d" * 40, "f" * 40, "b" * 40
PUSHED = Pushed(PATCH, PARENT, "t1", "v1.2.1", (), "pushed")
SYNC = SyncPlan(
    "shop", "acme/shop", "main", "develop", "v1.2.0", FAULTY, PUSHED, NOW, (Commit(FAULTY, "Coupons"),), reverts=True
)
BY_PULL_REQUEST = replace(SYNC, pushed=replace(PUSHED, others=("a" * 40,)))
OBJECTION = Objection("v1.2.1 does not merge into develop, both changed", ("shop/pay.py", "a b"))

LAWS = [
    ("sync", "v1.2.1 does not merge into develop, both changed x"),
    ("whole", "develop and main did not merge before v1.2.1 either, both changed x"),
    ("later", "what came to main after v1.2.1 touches what is to come back, in x"),
    ("reland", "on develop the revert cannot be reverted mechanically, both changed x"),
    ("reland_differs", "reverting the revert on develop would not give v1.2.0 back whole, see x"),
    ("release", "the next release from develop would not merge into main, both changed x"),
    ("release_differs", "the next release would lose what v1.2.0 has nothing to do with, in x"),
    ("reland_release", "the next release with v1.2.0 in it would not merge into main, both changed x"),
    ("reland_release_differs", "the next release with v1.2.0 in it would not be whole, see x"),
]


def test_nothing_speaks_against_a_rehearsal_that_went_well() -> None:
    """What was taken out may be missing from the next release, and only that."""
    well = Rehearsal(release_differs=("coupons", "pay"), taken_out=("pay", "coupons"), remains=("pay",))

    assert objection_to(Rehearsal(), SYNC) is None
    assert objection_to(well, SYNC) is None


@pytest.mark.parametrize(("law", "said"), LAWS)
def test_each_law_that_is_broken_is_an_objection_that_names_the_paths(law: str, said: str) -> None:
    """One broken law is enough."""
    assert str(objection_to(replace(Rehearsal(), **{law: ("x",)}), SYNC)) == said


def test_the_first_broken_law_is_the_one_that_is_told() -> None:
    """A conflict explains what follows from it."""
    for n, (_, said) in enumerate(LAWS):
        broken = {law: ("x",) for law, _ in LAWS[n:]}
        assert str(objection_to(replace(Rehearsal(), **broken), SYNC)) == said


def test_one_path_that_strays_is_found_among_those_that_were_taken_out() -> None:
    """Only what the faulty release has nothing to do with is named."""
    found = objection_to(Rehearsal(release_differs=("pay", "hotfix"), taken_out=("pay", "coupons")), SYNC)

    assert found is not None
    assert found.paths == ("hotfix",)


def test_what_does_not_differ_from_main_before_the_revert_is_still_there() -> None:
    """Of what was taken out alone."""
    assert still_there(("pay", "coupons"), ("coupons", "other")) == ("pay",)
    assert still_there(("pay",), ("pay",)) == ()


@pytest.mark.parametrize(
    ("relands", "foreign", "remains", "said"),
    [
        (True, False, (), "merged v1.2.1 into develop (bbbbbbbbbbbb); reland/v1.2.0 brings v1.2.0 back, to be mended"),
        (False, True, (), "merged v1.2.1 into develop (bbbbbbbbbbbb); reland/v1.2.0 was there already and was left as"),
        (
            False,
            False,
            ("pay",),
            "merged v1.2.1 into develop (bbbbbbbbbbbb); develop still has v1.2.0 in pay, by other",
        ),
        (False, False, (), "merged v1.2.1 into develop (bbbbbbbbbbbb)"),
    ],
)
def test_the_sentence_says_where_the_release_waits(
    relands: bool, foreign: bool, remains: tuple[str, ...], said: str
) -> None:
    """On its branch, on somebody else's, or in develop still."""
    assert said_of_push(SYNC, "merged", BEFORE, relands, foreign, remains).startswith(said)


def test_both_requests_to_merge_warn_of_a_squash() -> None:
    """And say what it would cost."""
    for proposal in (propose_by_hand(SYNC, OBJECTION, BEFORE), propose_merged(SYNC)):
        assert (proposal.head, proposal.base, proposal.draft) == ("sync/v1.2.1", "develop", False)
        assert "with a merge commit; do not squash or rebase it" in proposal.body
        assert "its features are missing from the next release, without a conflict" in proposal.body


def test_the_request_by_hand_has_every_command_in_order() -> None:
    """Merge, then bring back, with the files in quotes where a shell would take them apart."""
    body = propose_by_hand(SYNC, OBJECTION, BEFORE).body
    commands = [
        "- `shop/pay.py`\n- `a b`",
        "git checkout -b sync/v1.2.1 origin/sync/v1.2.1",
        "git merge --no-edit origin/develop",
        "git push origin sync/v1.2.1",
        "git checkout -b reland/v1.2.0 origin/develop",
        f"git revert --no-commit {PATCH}",
        f"git --literal-pathspecs checkout {BEFORE} -- shop/pay.py 'a b'",
        "git push origin reland/v1.2.0",
    ]

    places = [body.index(command) for command in commands]
    assert places == sorted(places)


def test_a_revert_that_a_pull_request_merged_is_reverted_by_its_first_parent() -> None:
    """Git refuses to revert a merge without being told which side stays."""
    reland = Reland("c" * 40, "t2", BEFORE)

    assert f"git revert --no-commit -m 1 {PATCH}" in propose_by_hand(BY_PULL_REQUEST, OBJECTION, BEFORE).body
    assert f"git revert --no-edit -m 1 {PATCH}" in propose_reland(BY_PULL_REQUEST, reland).body
    assert "-m 1" not in propose_reland(SYNC, reland).body


def test_the_reland_is_a_draft_that_says_what_it_brings_and_when_it_may_be_merged() -> None:
    """Its tree, the two computations, the fault, the next release."""
    proposal = propose_reland(SYNC, Reland("c" * 40, "t2", BEFORE))

    assert (proposal.head, proposal.base, proposal.draft) == ("reland/v1.2.0", "develop", True)
    for said in (
        f"- Coupons ({FAULTY[:12]})",
        f"git rev-parse {'c' * 40}^{{tree}}\ngit merge-tree --write-tree {BEFORE} {PARENT}\n",
        "print `t2`",
        "**The fault is still in it.** Mend it here, on top, before this is merged or squashed into `develop`",
        "The next release has v1.2.0 whole then",
    ):
        assert said in proposal.body


def test_a_patch_that_mends_asks_for_no_reland() -> None:
    """There is nothing to bring back, and no word of it."""
    mends = replace(SYNC, reverts=False)
    texts = [propose_by_hand(mends, OBJECTION, BEFORE).body, propose_merged(mends).body, sync_message(mends)]

    assert not [text for text in texts if "reland" in text or "taken out" in text]
    assert all("v1.2.0 was mended on" in text or "was mended on `main`" in text for text in texts)
    assert "still has" not in said_of_push(mends, "merged", BEFORE, False, False, ("pay",))


def test_many_files_do_not_burst_the_text() -> None:
    """A pull request's text is limited; the rest is counted."""
    body = propose_by_hand(SYNC, Objection("both changed", tuple(f"file{n}" for n in range(MOST + 7))), BEFORE).body

    assert f"- `file{MOST - 1}`\n- and 7 more\n" in body
    assert f"file{MOST}" not in body


def test_the_commits_have_short_titles_and_trailers_of_their_own() -> None:
    """Neither may pass for a revert of the release: those are found by their trailer."""
    for message in (sync_message(SYNC), reland_message(SYNC)):
        title, blank, *rest = message.splitlines()
        assert len(title) < 50
        assert blank == ""
        assert max(map(len, rest)) < 100
        assert not [line for line in rest if line.startswith(("Reverts-Release", "Mends-Release"))]
        assert rest[-1] == "Incident: shop/v1.2.0"
