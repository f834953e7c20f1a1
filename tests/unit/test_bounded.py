"""Texts stay as short as GitHub takes them, and keep what matters: the reason, the commands, how much was left out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.bounded import BODY, MESSAGE, NOTES, TITLE, Group, Listing, clipped, composed, listed
from recovery.hotfix_wording import commit_message, hotfix_notes, propose_hotfix
from recovery.hotfixes import HotfixBranch
from recovery.pulls import Proposal
from recovery.releases import Publication
from recovery.reverts import Commit, Literal, Preview, Proof
from recovery.sync_wording import propose_by_hand, propose_reland
from recovery.syncs import Objection, Reland
from recovery.wording import propose_revert, publication_of, revert_message, revert_words
from tests.unit.test_hotfixes import planned
from tests.unit.test_reverts import PLAN, pushed
from tests.unit.test_syncs import SYNC

LINES = st.lists(st.text("ab ", min_size=1, max_size=30), max_size=40)
MANY = tuple(Commit(f"{number:040}", f"Work {number} " + "w" * 5_000) for number in range(3_000))
PATHS = tuple(f"src/{number}/{'p' * 60}" for number in range(9_000))
SEEN = Preview("e", "t", (), PATHS, (), False, Literal.SAME, (), PATHS, PATHS)
HUGE = replace(
    PLAN, because="checkout fails " * 20_000, taken_out=MANY, kept=MANY, title="Revert release v1." + "2" * 300
)
PROOF = Proof((("git rev-parse v1.2.1", "f" * 40), ("git diff --name-only v1.1.0 v1.2.1", "\n".join(PATHS))))


@given(lists=st.lists(LINES, max_size=3), most=st.integers(120, 600), head=st.text("cd", max_size=20))
def test_a_text_is_never_too_long_and_says_how_much_it_left_out(lists: list[list[str]], most: int, head: str) -> None:
    """Every line is there, or counted; with room enough nothing is left out."""
    paragraphs = [head, *(listed(f"list {number}", each) for number, each in enumerate(lists))]

    short, whole = composed(paragraphs, most), composed(paragraphs, 10_000)

    assert len(short) <= most
    assert short == whole or len(whole) > most
    assert "… and" not in whole
    assert short.startswith(head)
    left = [int(row.split()[3]) for row in short.split("\n") if row.startswith("- … and ")]
    shown = [row for row in short.split("\n") if row.startswith("- ") and not row.startswith("- … and ")]
    assert len(shown) + sum(left) == sum(map(len, lists))


def test_the_number_that_was_left_out_is_one_that_people_read() -> None:
    """With its thousands apart."""
    assert composed([listed("All", ["x"] * 1_300)], 320).endswith("\n- … and 1,226 more")


def test_the_longest_paragraph_gives_way_where_the_lists_are_not_enough() -> None:
    """What comes after it is still there."""
    said = composed(["a reason", "long " * 100, Listing((Group("$ git log", ("x" * 90,)),), "", "```", "```")], 100)

    assert said.startswith("a reason\n\nlong long")
    assert said.endswith("…\n\n```\n$ git log\n… and 1 more\n```")
    assert len(said) <= 100


@pytest.mark.parametrize(("text", "short"), [("abc", "abc"), ("abcd", "ab…"), ("a  d", "a…"), ("", "")])
def test_a_text_that_is_cut_says_so(text: str, short: str) -> None:
    """By its last character."""
    assert clipped(text, 3) == short


def texts_of_a_huge_revert() -> tuple[Publication, Proposal, Proposal, Proposal]:
    """Three thousand commits, nine thousand files, and a cause that somebody pasted a log into."""
    after = replace(pushed(), kept=MANY)
    sync = replace(SYNC, taken_out=MANY)
    return (
        publication_of(HUGE, after, PROOF),
        propose_revert(HUGE, SEEN, "f" * 40),
        propose_reland(sync, Reland("a" * 40, "t", "b" * 40)),
        propose_by_hand(sync, Objection("both changed", tuple(f"{each}{'q' * 4_000}" for each in PATHS)), "b" * 40),
    )


def test_a_huge_revert_can_be_published_and_proposed() -> None:
    """The reason at the head and every command of the proof are there."""
    publication, *proposals = texts_of_a_huge_revert()

    assert len(publication.title) <= TITLE
    assert len(publication.notes) <= NOTES
    assert publication.notes.startswith("Takes v1.2.0 back: this release is v1.1.0 and what came after.\n\ncheckout ")
    assert f"$ git rev-parse v1.2.1\n{'f' * 40}\n$ git diff --name-only v1.1.0 v1.2.1\nsrc/0/" in publication.notes
    assert publication.notes.endswith(" more\n```")
    assert "**Taken out**\n- Work 0 www" in publication.notes
    for proposal in proposals:
        assert len(proposal.title) <= TITLE
        assert len(proposal.body) <= BODY
    assert proposals[0].body.endswith("It is merged as soon as its required checks are green, and tagged v1.2.1.")
    assert "**The fault is still in it.**" in proposals[1].body


def test_the_message_of_a_huge_revert_ends_in_its_trailers() -> None:
    """By them the revert is known again; so with the words of a merge."""
    message, (title, words) = revert_message(HUGE, SEEN), revert_words(HUGE)

    assert len(message) <= MESSAGE + 1
    assert message.endswith("Restored-Tree: t\nIncident: shop/v1.2.0\n")
    assert " more\n\nKeeps what came after it:\n\n  00000000" in message
    assert (len(title) <= TITLE, len(words) < BODY) == (True, True)
    assert words.endswith("Incident: shop/v1.2.0\n")


def test_a_huge_hotfix_can_be_proposed_and_published() -> None:
    """Its title is known again in the commit that a squash makes, since it is cut before."""
    plan = replace(planned(), because=HUGE.because, reason="migrations " * 30_000)
    [whole] = [replace(each, takes_out=MANY, keeps=PATHS) for each in plan.proposals if each.kind == "range"]
    branch = HotfixBranch(plan.branch, "c" * 40, "d" * 40, "t", "pushed", PATHS, whole)
    proposal, publication = propose_hotfix(plan, branch), hotfix_notes(plan, branch, pushed(), PROOF)

    assert len(proposal.title) <= TITLE
    assert len(proposal.body) <= BODY
    assert "git switch hotfix/v1.2.1" in proposal.body
    assert proposal.body.endswith("Incident: shop/v1.2.0\n")
    assert len(publication.notes) <= NOTES
    assert len(commit_message(plan, whole)) <= MESSAGE + 1
    assert commit_message(plan, whole).endswith("Incident: shop/v1.2.0\n")
