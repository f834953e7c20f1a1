"""Answers as Markdown: what people read, and that nobody else's words can change the page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.hotfixes import HotfixPlan
from recovery.incidents import Cause
from recovery.readings import Watch
from recovery.responses import ResponsePlan
from recovery.reverts import Commit, Literal, Preview, Proof
from recovery.rollouts import UndoPlan
from recovery.shown import show_proof, show_response, show_revert, show_verdict
from recovery.verdicts import Answer, Finding, Trigger, Verdict
from recovery.ways import Decision, Way
from recovery.wording import revert_message
from tests.unit.test_reverts import PLAN

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WATCH = Watch("shop", "v1.2.0", NOW - timedelta(minutes=1), NOW + timedelta(minutes=59))
UNDO = UndoPlan("shop", "acme", "shop", "v1.2.0", "v1.1.0", "shop-4", "h4", False, "newest good one")
PREVIEW = Preview("c" * 40, "d" * 40, (), ("shop.py",), (), False, Literal.SAME, (), (), ())
PUSH = Decision(Way.PUSH, "main may be pushed to")
EVIL = "<img src=x> | ![x](http://evil/) `\n\n# Certified\n```\n**all** _is_ [well](http://evil/) \\"
HARMLESS = (
    r"\<img src=x\> \| !\[x\](http://evil/) \` \# Certified \`\`\` "
    r"\*\*all\*\* \_is\_ \[well\](http://evil/) \\"
)


def verdict(reason: str, *findings: Finding) -> Verdict:
    """A breach."""
    return Verdict(Answer.BREACH, reason, NOW, findings)


def response(reason: str, *steps: str, act: bool = True) -> ResponsePlan:
    """The plan of an answer."""
    return ResponsePlan("shop", "v1.2.0", Cause(sentence="x"), act, reason, UNDO, steps)


def test_a_verdict_is_shown_with_its_arithmetic() -> None:
    """The answer, its reason, the time it was judged at, and one row for each trigger."""
    findings = (Finding(Trigger.ERRORS, True, "31 of 100"), Finding(Trigger.AVAILABILITY, False, "0 of 100"))

    assert show_verdict(WATCH, verdict("31 of 100 failed", *findings)) == (
        "# shop v1.2.0: breach\n\n31 of 100 failed\n\n"
        "*watched from 11:59:00 to 12:59:00, judged 2026-01-01 12:00:00 UTC*\n\n"
        "| | arithmetic |\n|---|---|\n| **breach** | 31 of 100 |\n| no breach | 0 of 100 |\n"
    )


def test_a_verdict_without_findings_has_no_table() -> None:
    """Blind, for one."""
    assert "|" not in show_verdict(WATCH, verdict("nothing was read"))


@pytest.mark.parametrize(
    ("act", "rehearsed", "head"),
    [
        (True, False, "acting"),
        (True, True, "rehearsed, nothing was changed"),
        (False, False, "told only, nothing was changed"),
        (False, True, "rehearsed, nothing was changed"),
    ],
)
def test_a_response_says_whether_anything_is_changed(act: bool, rehearsed: bool, head: str) -> None:
    """In its first line, above the numbered steps."""
    assert show_response(response("checkout fails", "undo", "revert", act=act), rehearsed=rehearsed) == (
        f"# respond shop v1.2.0: {head}\n\ncheckout fails\n\n1. undo\n2. revert\n"
    )


def test_a_revert_shows_what_goes_what_stays_and_what_the_commit_will_say() -> None:
    """Also where nothing goes or stays."""
    plan = replace(PLAN, reason="newest one", kept=(Commit("a" * 40, "Later"),), taken_out=())
    shown = show_revert(plan, PREVIEW, PUSH)

    assert shown.startswith(
        "# Take v1.2.0 out of main, back to v1.1.0\n\n"
        f"v1.1.0 is the newest one. `main` would become tree `{'d' * 40}`, tagged v1.2.1.\n\n"
        "**push**: main may be pushed to\n\n"
    )
    assert "**Taken out**\n\n- nothing\n" in shown
    assert "**Kept**\n\n- `aaaaaaaaaaaa` Later\n" in shown
    assert "**In conflict**" not in shown
    assert shown.endswith(f"**The commit will say**\n\n```\n{revert_message(plan, PREVIEW)}```\n")
    assert "- nothing came after it\n" in show_revert(PLAN, PREVIEW, PUSH)


def test_a_revert_in_conflict_names_the_paths() -> None:
    """And promises no tree."""
    shown = show_revert(PLAN, replace(PREVIEW, tree=None, conflicts=("shop.py", "cart.py")), PUSH)

    assert ". It conflicts, tagged" in shown
    assert "**In conflict**\n\n- shop.py\n- cart.py\n" in shown


def test_a_revert_that_is_on_main_already_is_shown_as_that() -> None:
    """By which commit, and whether people decided a conflict; no commit will say anything more."""
    landed = replace(PLAN, landed="c" * 40)
    shown = show_revert(landed, PREVIEW, Decision(Way.TAG, "only the tag is missing"))
    decided = show_revert(landed, replace(PREVIEW, tree=None, conflicts=("shop.py",)), PUSH)

    assert f"`main` became tree `{PREVIEW.tree}` by `cccccccccccc`, tagged v1.2.1." in shown
    assert "will say" not in shown
    assert "It conflicts, and people decided: `cccccccccccc` is on `main`, tagged v1.2.1." in decided


def test_a_proof_is_shown_as_commands() -> None:
    """With what each must print."""
    shown = show_proof(PLAN, Proof((("git rev-parse v1.2.1", "f" * 40),)))

    assert shown == (
        f"# Proof: v1.2.0 is out\n\nIn a fresh clone of `acme/shop`:\n\n```\n$ git rev-parse v1.2.1\n{'f' * 40}\n```\n"
    )
    mended = HotfixPlan(
        "shop", "acme/shop", "main", "v", "v1.2.0", "e" * 40, None, None, "v1.2.1", "hotfix/v1.2.1", NOW,
        "checkout fails", "migrations", (), (), None,
    )  # fmt: skip
    assert show_proof(mended, Proof(())).startswith("# Proof: v1.2.0 is mended\n\nIn a fresh clone of `acme/shop`:")


@pytest.mark.parametrize(
    "shown",
    [
        show_verdict(replace(WATCH, version=EVIL), verdict("reason")),
        show_verdict(WATCH, verdict(EVIL)),
        show_verdict(WATCH, verdict("reason", Finding(Trigger.ERRORS, True, EVIL))),
        show_response(response(EVIL, "undo"), rehearsed=True),
        show_response(response("reason", EVIL), rehearsed=True),
        show_revert(replace(PLAN, taken_out=(Commit("a" * 40, EVIL),)), PREVIEW, PUSH),
        show_revert(replace(PLAN, kept=(Commit("a" * 40, EVIL),)), PREVIEW, PUSH),
        show_revert(replace(PLAN, reason=EVIL), PREVIEW, PUSH),
        show_revert(PLAN, PREVIEW, Decision(Way.HOTFIX, EVIL)),
        show_revert(PLAN, replace(PREVIEW, tree=None, conflicts=(EVIL,)), PUSH),
    ],
    ids=["version", "reason", "arithmetic", "cause", "step", "taken out", "kept", "stable", "decision", "path"],
)
def test_words_from_elsewhere_are_shown_and_not_obeyed(shown: str) -> None:
    """A label or a commit title makes no heading, no row, no link, no picture and no HTML; all of it is readable."""
    assert HARMLESS in shown
    assert "\n# Certified" not in shown.partition("**The commit will say**")[0]


@pytest.mark.parametrize("ticks", ["```", "`````"])
def test_a_commit_message_cannot_leave_its_block(ticks: str) -> None:
    """The fence is longer than any that the message has."""
    shown = show_revert(replace(PLAN, because=f"fails\n{ticks}\n# Certified"), PREVIEW, PUSH)
    fence = f"{ticks}`"

    assert f"\n{fence}\nRevert release v1.2.0\n\nfails\n{ticks}\n# Certified\n" in shown
    assert shown.endswith(f"\n{fence}\n")
