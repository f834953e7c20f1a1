"""The recoveries that are walked and killed: what each finds on the Git host, and what it must leave there once."""

from recovery.hotfixes import Answer
from tests.integration.killed_source import ABANDONED, ASKED, CONFIRMED, DECLINED, MENDED, RESTORED, Case, Variation
from tests.walks.standins import FIX

CHECKOUT = {"shop/checkout.py", "README.md"}  # the one pull request of the release that touches the checkout
RELANDED = {"reland/v1.2.0": ["draft"]}
FOR_PEOPLE = {"sync/v1.2.1": ["open"]}
BY_REQUEST = {"revert/v1.2.0": ["merged"]}
MERGED = {"hotfix/v1.2.1": ["merged"]}


def burned(case: Case) -> None:
    """An immutable release had the next number, and is gone with its tag."""
    case.host.immutable_releases(case.repository)
    made = case.api("POST", "releases", {"tag_name": "v1.2.1", "target_commitish": "main"})
    case.api("DELETE", f"releases/{made['id']}")
    case.api("DELETE", "git/refs/tags/v1.2.1")
    case.host.immutable_releases(case.repository, enabled=False)


def closed(case: Case) -> None:
    """An earlier try has opened its pull request, and somebody has closed that."""
    case.run(2)
    (pull,) = [each for each in case.api("GET", "pulls") if each["head"]["ref"] == "revert/v1.2.0"]
    case.api("PATCH", f"pulls/{pull['number']}", {"state": "closed"})


def deleted(case: Case) -> None:
    """The same, and its branch was deleted."""
    closed(case)
    case.api("DELETE", "git/refs/heads/revert/v1.2.0")


def left_behind(case: Case) -> None:
    """An earlier try has opened its pull request, and main has moved on since."""
    case.run(2)
    case.write("main", "later.py", "later = True\n")


def out_of_date(case: Case) -> None:
    """The same, and main takes what is up to date alone: the branch is made anew while its request is open."""
    left_behind(case)
    case.host.protect(case.repository, "main", ruleset=True, strict=True)


def protected_develop(case: Case) -> None:
    """Develop takes what somebody has approved of: else the commit of an open pull request could be pushed, too."""
    case.host.protect(case.repository, "develop", ruleset=True, reviews=1)


def made_elsewhere(case: Case) -> None:
    """A newer stable release came from a branch that main does not have."""
    case.branch("side", "v1.1.0")
    case.write("side", "fixed.py", "fixed = True\n")
    case.release("v1.1.1", "side")


def conflicting(case: Case) -> None:
    """Later work on main has touched the very lines of the checkout: nothing can be taken out mechanically."""
    case.write("main", "shop/checkout.py", "def checkout():\n    raise NotImplementedError\n")
    case.write("main", "README.md", "Written anew.\n")


def merged_and_overtaken(case: Case) -> None:
    """An earlier try died when its request was merged, and later work has touched the same lines since."""
    case.run(3)
    assert case.api("GET", "pulls?state=closed")[0]["merged_at"]
    conflicting(case)


VARIATIONS = {
    "push": Variation(
        effects=8, pulls=RELANDED, told=[RESTORED],
    ),
    "doubted stable release": Variation(
        effects=10, prepare=made_elsewhere, answers=("yes",), pulls=RELANDED, told=[RESTORED, CONFIRMED],
        also=["v1.1.1"],
    ),
    "declined stable release": Variation(
        effects=4, prepare=made_elsewhere, answers=("no",), told=[CONFIRMED, DECLINED], also=["v1.1.1"], patch=None,
    ),
    "burned number": Variation(
        effects=9, prepare=burned, patch="v1.2.2", pulls=RELANDED, told=[RESTORED.replace("v1.2.1", "v1.2.2")],
    ),
    "squashed release": Variation(
        effects=8, history="squashed", pulls=FOR_PEOPLE, told=[RESTORED], develop=False,
    ),
    "rebased release": Variation(
        effects=8, history="rebased", pulls=FOR_PEOPLE, told=[RESTORED], develop=False,
    ),
    "protected develop": Variation(
        effects=10, prepare=protected_develop, pulls={**FOR_PEOPLE, **RELANDED}, told=[RESTORED],
        develop=False,
    ),
    "develop for people": Variation(
        effects=8, prepare=lambda case: case.write("develop", "shop/coupons.py", "coupons = {}\n"),
        pulls=FOR_PEOPLE, told=[RESTORED], develop=False,
    ),
    "pull request": Variation(effects=6, walk="revert", catalogue={"via": "pull-request"}, pulls=BY_REQUEST),
    "unforeseen protection": Variation(
        effects=7, walk="revert", prepare=lambda case: case.host.protect(case.repository, "main"), pulls=BY_REQUEST,
    ),
    "squash": Variation(
        effects=6, walk="revert", catalogue={"via": "pull-request"}, pulls=BY_REQUEST,
        prepare=lambda case: case.host.allow_merges(case.repository, "squash"),
    ),
    "rebase": Variation(
        effects=6, walk="revert", catalogue={"via": "pull-request"}, pulls=BY_REQUEST,
        prepare=lambda case: case.host.allow_merges(case.repository, "rebase"),
    ),
    "closed pull request": Variation(
        effects=5, walk="revert", catalogue={"via": "pull-request"}, prepare=closed,
        pulls={"revert/v1.2.0": ["closed", "merged"]},
    ),
    "deleted branch": Variation(
        effects=6, walk="revert", catalogue={"via": "pull-request"}, prepare=deleted,
        pulls={"revert/v1.2.0": ["closed", "merged"]},
    ),
    "main moved on": Variation(
        effects=6, walk="revert", catalogue={"via": "pull-request"}, prepare=left_behind, pulls=BY_REQUEST,
        left={"later.py"},
    ),
    "made anew": Variation(
        effects=6, walk="revert", catalogue={"via": "pull-request"}, prepare=out_of_date, goes_on=True,
        pulls=BY_REQUEST, left={"later.py"},
    ),
    "merged and overtaken": Variation(
        effects=3, walk="revert", catalogue={"via": "pull-request"}, prepare=merged_and_overtaken, pulls=BY_REQUEST,
        later=2,
    ),
    "burned number by pull request": Variation(
        effects=7, walk="revert", catalogue={"via": "pull-request"}, prepare=burned, patch="v1.2.2", pulls=BY_REQUEST,
    ),
    "hotfix": Variation(
        effects=14, history="migrated", answers=[Answer.TAKE], pulls=MERGED, told=[MENDED, ASKED], out=CHECKOUT,
    ),
    "hotfix of people's own": Variation(
        effects=14, history="migrated", answers=[Answer.OWN, Answer.OWN], pulls=MERGED, told=[MENDED, ASKED],
        out=CHECKOUT, left={FIX},
    ),
    "abandoned hotfix": Variation(
        effects=9, history="migrated", answers=[Answer.ABANDON], pulls={"hotfix/v1.2.1": ["closed"]},
        told=[ABANDONED, ASKED], patch=None,
    ),
    "squashed hotfix": Variation(
        effects=14, history="migrated", answers=[Answer.TAKE], pulls=MERGED, told=[MENDED, ASKED], out=CHECKOUT,
        prepare=lambda case: case.host.allow_merges(case.repository, "squash"),
    ),
    "rebased hotfix": Variation(
        effects=14, history="migrated", answers=[Answer.OWN, Answer.OWN], pulls=MERGED, told=[MENDED, ASKED],
        prepare=lambda case: case.host.allow_merges(case.repository, "rebase"), out=CHECKOUT, left={FIX},
    ),
    "hotfix with a burned number": Variation(
        effects=15, history="migrated", answers=[Answer.TAKE], pulls=MERGED, out=CHECKOUT, prepare=burned,
        patch="v1.2.2", told=[MENDED.replace("by v1.2.1", "by v1.2.2"), ASKED],
    ),
    "hotfix and a protected develop": Variation(
        effects=16, history="migrated", answers=[Answer.TAKE], told=[MENDED, ASKED], out=CHECKOUT,
        prepare=protected_develop, pulls={**FOR_PEOPLE, **MERGED}, develop=False,
    ),
    "conflict": Variation(
        effects=14, prepare=conflicting, answers=[Answer.TAKE, Answer.OWN], told=[MENDED, ASKED], pulls=MERGED,
        out=set(), left={FIX},
    ),
}  # fmt: skip
