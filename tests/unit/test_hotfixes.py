"""When a full rollback is not feasible, what is proposed instead, and what people are told of it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.hotfix_wording import commit_message, pull_request_body, pull_request_title
from recovery.hotfixes import Answer, BranchCommit, BranchState, HotfixPlan, judge_feasibility, object_to, plan_hotfix
from recovery.incidents import Cause
from recovery.outlooks import Outlook
from recovery.proposals import FixKind, hints_of, propose
from recovery.ranges import Change, Contribution, Range, is_own, matches, number_of
from recovery.releases import Release
from recovery.reverts import History
from recovery.versions import parse_version

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHOP = Service(name="shop", namespace="acme", repository="acme/shop")
FAULTY, STABLE, HEAD = "e" * 40, "b" * 40, "f" * 40
VERSION = parse_version("v1.2.0")
MIGRATION = "shop/migrations/0002_coupons.sql"
CHECKOUT = "checkout: 7 of 12 probes failed in 1m0s = 58.33 %, limit 5 %"


def contribution(number: int, title: str, *paths: str) -> Contribution:
    """A pull request that GitHub merged."""
    merged = f"Merge pull request #{number} from acme/branch"
    return Contribution(f"{number:040x}", f"{number - 1:040x}", merged, title, paths)


COUPONS = contribution(11, "Keep coupons", "shop/coupons.py", MIGRATION)
REDEEM = contribution(12, "Redeem coupons", "shop/checkout.py", "README.md")
NEWS = contribution(13, "Tell what is new", "shop/catalogue.py")


def between(*contributions: Contribution, changes: tuple[Change, ...] | None = None) -> Range:
    """What lies between v1.1.0 and v1.2.0."""
    paths = dict.fromkeys(path for each in contributions for path in each.paths)
    made = tuple(Change(path, "A" if path == MIGRATION else "M") for path in paths) if changes is None else changes
    return Range("v1.2.0", FAULTY, "v1.1.0", STABLE, made, contributions)


WHOLE = between(NEWS, REDEEM, COUPONS)
HISTORY = History(
    HEAD, FAULTY, True, ("v1.1.0", "v1.2.0"), {"v1.1.0": STABLE, "v1.2.0": FAULTY}, {"v1.1.0": ()}, (), (), {}
)
RELEASES = [Release(1, "v1.1.0", "", "", False, False, NOW), Release(2, "v1.2.0", "", "", False, False, NOW)]
CAUSE = Cause(sentence=CHECKOUT, seen_at=NOW)


def planned(history: History = HISTORY, lies: Range = WHOLE, releases: list[Release] = RELEASES) -> HotfixPlan:
    """The plan for v1.2.0."""
    return plan_hotfix(SHOP, VERSION, history, releases, lies, CAUSE, "a migration lies between")


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("**/migrations/**", "migrations/1.sql", "migrations"),
        ("**/migrations/**", "a/b/migrations/c/d.py", "a/migrations.md"),
        ("**/migrations/**", "shop/migrations/1.sql", "shop/old_migrations/1.sql"),
        ("**/alembic/versions/**", "x/alembic/versions/3f_a.py", "x/alembic/env.py"),
        ("db/*.sql", "db/1.sql", "db/old/1.sql"),
        ("db/*.sql", "db/.sql", "a/db/1.sql"),
        ("db/**/*.sql", "db/1.sql", "db/1.sqlx"),
        ("db/**/*.sql", "db/a/b/1.sql", "dba/1.sql"),
        ("db/", "db/a/b", "db"),
        ("/db/V?__*.sql", "db/V1__a.sql", "db/V12__a.sql"),
        ("*.sql", "a/b/c.sql", "a/c.sql/d"),
        ("schema.rb", "db/schema.rb", "db/schemaxrb"),
        ("a[1].sql", "x/a[1].sql", "x/a1.sql"),
        ("a/**/b/**/c", "a/b/b/x/c", "a/b/x/c/d"),
        ("a/**/b/**/c", "a/x/b/y/b/c", "a/c/b"),
        ("*a*b", "xaxbxb", "xbxa"),
        ("a/***b", "a/xb", "a/x/b"),
    ],
)
def test_a_glob_crosses_directories_only_where_it_says_so(glob: str, fits: str, fits_not: str) -> None:
    """One star stays within a directory, two cross any number of them, none included."""
    assert matches(fits, [glob])
    assert not matches(fits_not, [glob])


def test_a_glob_of_many_stars_is_answered_at_once() -> None:
    """A catalogue cannot hang the judgement."""
    assert not matches("a/" * 60 + "x", ["**/x/" * 20 + "y"])
    assert not matches("a/" * 60 + "x", ["**/" * 20 + "y"])
    assert not matches("a" * 200, ["*a" * 20 + "b"])


@pytest.mark.parametrize(
    "path",
    [
        "shop/migrations/0002_coupons.py",
        "db/migrate/20260101120000_add_coupons.rb",
        "services/shop/alembic/versions/3f2a_coupons.py",
        "src/main/resources/flyway/V2__coupons.sql",
        "src/main/resources/db/changelog/2.xml",
        "migrations/2.sql",
    ],
)
@pytest.mark.parametrize("status", ["A", "M", "D", "T"])
def test_a_migration_of_any_house_is_an_obstacle(path: str, status: str) -> None:
    """Added, changed or deleted: the sentence names the file and both ways out."""
    seen = judge_feasibility(SHOP, between(changes=(Change(path, status), Change("app.py", "M"))))

    assert not seen.full_rollback
    assert path in seen.reason
    assert "write 'ripcord: backward-compatible' into them on main" in seen.reason
    assert "a hotfix keeps them" in seen.reason
    assert seen.obstacle == seen.reason
    assert len(seen.obstacles) == 1


def test_a_migration_that_says_it_is_compatible_is_none() -> None:
    """And it excuses no other."""
    marked, other = Change(MIGRATION, "A", compatible=True), Change("migrations/3.sql", "A")

    alone = judge_feasibility(SHOP, between(changes=(marked,)))
    both = judge_feasibility(SHOP, between(changes=(marked, other)))

    assert alone.full_rollback
    assert alone.obstacle is None
    assert "only migrations that say they are compatible lie between v1.1.0 and v1.2.0" in alone.reason
    assert not both.full_rollback
    assert MIGRATION not in both.reason


def test_without_a_migration_nothing_stands_in_the_way() -> None:
    """Unless a person wants a hotfix."""
    plain = between(NEWS, REDEEM)
    seen = judge_feasibility(SHOP, plain, asked=True)

    assert judge_feasibility(SHOP, plain).full_rollback
    assert judge_feasibility(SHOP, plain).reason == "no migration lies between v1.1.0 and v1.2.0"
    assert not seen.full_rollback
    assert seen.obstacles == ("a person asked for a hotfix",)


def test_what_the_gate_has_seen_outranks_text_and_marker_of_this_commit_alone() -> None:
    """A server's words stay in the set: the reason stands in a pull request."""
    marked = Change("db/migrations/2.sql", "A", True, "db/migrations/2.sql says that it is compatible", marked=True)
    ours = between(changes=(marked,))
    seen = Outlook(False, "no", "hotfix", "v1.1.0", ours.faulty_commit, "after 2.sql, Ada's order was not answered")

    judged = judge_feasibility(SHOP, ours, foretold=seen)

    assert not judged.full_rollback
    assert "the gate ran the migrations of v1.2.0 on a copy of the database" in judged.reason
    assert "Ada" not in judged.reason
    for other in (replace(seen, commit="0" * 40), replace(seen, before="v1.0.0"), replace(seen, broken=None), None):
        assert judge_feasibility(SHOP, ours, foretold=other).full_rollback


def test_without_a_stable_release_there_is_nothing_to_go_back_to() -> None:
    """The first release can only be mended."""
    seen = judge_feasibility(SHOP, Range("v1.2.0", FAULTY, None, None))

    assert seen.reason == "there is no stable release before v1.2.0 to go back to"


def test_another_services_migration_is_no_obstacle() -> None:
    """In a shared repository only the service's own paths count; a name that merely begins alike is another's."""
    shared = SHOP.model_copy(update={"paths": ("services/shop/",)})
    theirs = between(changes=(Change("services/billing/migrations/1.sql", "A"),))
    ours = between(changes=(Change("services/shop/migrations/1.sql", "A"),))

    assert judge_feasibility(shared, theirs).full_rollback
    assert not judge_feasibility(shared, ours).full_rollback
    assert not is_own(shared, "services/shopping/app.py")
    assert is_own(shared, "services/shop")


@pytest.mark.parametrize(
    ("title", "number"),
    [
        ("Merge pull request #12 from acme/coupons", 12),
        ("Redeem coupons (#12)", 12),
        ('Revert "Redeem coupons (#12)" (#15)', 15),
        ("Redeem coupons", None),
        ("Fix #12", None),
        ("Take #12 (again)", None),
        ("Notes on (#12) and more", None),
    ],
)
def test_a_pull_request_is_known_by_its_commits_title(title: str, number: int | None) -> None:
    """As GitHub writes it, and not where a number is merely mentioned."""
    assert number_of(title) == number


def test_a_pull_request_is_named_as_people_named_it() -> None:
    """A merge by its body's first line, a squash without its number, any other commit by its title."""
    squash = replace(NEWS, title="Tell what is new (#13)", body="Because.")
    plain = replace(NEWS, title="Tell what is new")

    assert str(REDEEM) == "#12 Redeem coupons"
    assert str(squash) == "#13 Tell what is new"
    assert str(plain) == "Tell what is new (000000000000)"
    assert replace(REDEEM, body="").name == "Merge pull request #12 from acme/branch"


@pytest.mark.parametrize(
    ("sentence", "word", "shown"),
    [
        (CHECKOUT, "checkout", "checkout"),
        ("POST /api/checkout answers 500", "checkout", "/checkout"),
        ("customers cannot check out", "checkout", "check out"),
        ("TypeError in shop/pricing.py:42", "pricing", "shop/pricing.py"),
        ("applyCoupon raises", "coupon", "applyCoupon"),
        ("Coupons do not work", "coupon", "Coupons"),
    ],
)
def test_words_that_could_name_code_are_hints(sentence: str, word: str, shown: str) -> None:
    """Routes, file names, identifiers, and what people write in two words."""
    assert hints_of(sentence)[word] == shown


@pytest.mark.parametrize(
    "sentence",
    [
        "a person asked for it",
        "5xx: 31 of 1,200 requests in 5m0s = 2.58 %, limit 1 %",
        "availability: 9,712 of 10,000 requests succeeded in 5m = 97.120 %, limit 99.9 %",
        "",
    ],
)
def test_what_every_incident_says_is_no_hint(sentence: str) -> None:
    """Such a sentence points at no code."""
    assert hints_of(sentence) == {}


def test_the_pull_request_that_touches_the_route_ranks_first() -> None:
    """It says why, takes out its own paths alone, and the whole release and an empty branch follow."""
    first, second, third = propose(SHOP, WHOLE, CHECKOUT)

    assert (first.kind, second.kind, third.kind) == (FixKind.PULL_REQUEST, FixKind.RANGE, FixKind.EMPTY)
    assert first.title == 'Revert "Redeem coupons" (#12)'
    assert "it touches shop/checkout.py and the cause says 'checkout'" in first.reason
    assert first.paths == ("shop/checkout.py", "README.md")
    assert (first.after, first.before) == (REDEEM.id, REDEEM.parent)
    assert [commit.id for commit in first.takes_out] == [REDEEM.id]
    assert first.keeps == ()


def test_without_a_hint_the_whole_release_ranks_first_and_keeps_its_migrations() -> None:
    """Every other path goes; the migration is named with why it stays."""
    first, second = propose(SHOP, WHOLE, "a person asked for it")

    assert first.kind is FixKind.RANGE
    assert second.kind is FixKind.EMPTY
    assert first.title == "Take v1.2.0 back, its migrations kept"
    assert MIGRATION not in first.paths
    assert set(first.paths) == {"shop/checkout.py", "README.md", "shop/catalogue.py", "shop/coupons.py"}
    assert first.keeps == (f"{MIGRATION} (added by v1.2.0, the database may have run it)",)
    assert (first.after, first.before) == (FAULTY, STABLE)


def test_of_two_that_fit_alike_the_one_without_a_migration_comes_first() -> None:
    """Then the smaller one; the migration of the other stays where it is."""
    ranked = propose(SHOP, WHOLE, "coupons do not work")

    assert [each.title for each in ranked[:2]] == ['Revert "Redeem coupons" (#12)', 'Revert "Keep coupons" (#11)']
    assert ranked[1].paths == ("shop/coupons.py",)
    assert "its migrations stay" in ranked[1].reason
    assert len(ranked[1].keeps) == 1


def test_a_title_alone_is_a_hint_too() -> None:
    """Where no path is named after it."""
    ranked = propose(SHOP, WHOLE, "customers redeem nothing")

    assert ranked[0].title == 'Revert "Redeem coupons" (#12)'
    assert "its title and the cause say 'redeem'" in ranked[0].reason


def test_a_merge_of_the_whole_release_is_no_smaller_fix() -> None:
    """Its revert is that of the range: it is proposed once."""
    release = contribution(20, "Release v1.2.0 with the checkout", *(change.path for change in WHOLE.changes))
    lies = replace(WHOLE, contributions=(release, *WHOLE.contributions))

    assert [each.kind for each in propose(SHOP, lies, CHECKOUT)] == [
        FixKind.PULL_REQUEST, FixKind.RANGE, FixKind.EMPTY,
    ]  # fmt: skip
    assert propose(SHOP, lies, CHECKOUT)[0].title == 'Revert "Redeem coupons" (#12)'
    assert propose(SHOP, replace(WHOLE, contributions=(release,)), CHECKOUT)[0].kind is FixKind.RANGE


def test_the_services_own_name_points_at_nothing() -> None:
    """Nor does a directory that every file lies in."""
    assert propose(SHOP, WHOLE, "the shop is down")[0].kind is FixKind.RANGE
    inside = [contribution(n, "Work", f"backend/part{n}.py") for n in (1, 2)]
    assert propose(SHOP, between(*inside), "the backend is down")[0].kind is FixKind.RANGE


def test_at_most_three_pull_requests_are_proposed() -> None:
    """A person at night chooses among few."""
    many = [contribution(n, "Work", f"checkout/part{n}.py", *["x.py"] * (n == 9)) for n in range(1, 10)]
    kinds = [each.kind for each in propose(SHOP, between(*many), CHECKOUT)]

    assert kinds.count(FixKind.PULL_REQUEST) == 3


def test_a_release_of_migrations_alone_leaves_nothing_to_take_out() -> None:
    """A branch to start from is all that can be made."""
    alone = between(contribution(11, "Checkout's table", MIGRATION))

    assert [each.kind for each in propose(SHOP, alone, CHECKOUT)] == [FixKind.EMPTY]


def test_the_plan_names_branch_and_tag_after_the_next_free_patch() -> None:
    """A tag, and a Release without one, both take a number; a draft comes and goes, and takes none."""
    taken = replace(HISTORY, tags=(*HISTORY.tags, "v1.2.1"))
    burned = [*RELEASES, Release(3, "v1.2.2", "", "", False, False, None)]
    drafted = [*RELEASES, Release(3, "v1.2.1", "", "", True, False, None)]

    assert planned().branch == planned(releases=drafted).branch == "hotfix/v1.2.1"
    assert planned(taken, releases=burned).patch_tag == "v1.2.3"
    assert planned(taken, releases=burned).branch == "hotfix/v1.2.3"
    assert planned().migrations == (MIGRATION,)
    assert planned().date == NOW


def test_a_release_that_was_mended_already_is_known_by_either_record() -> None:
    """By a tag's own words, or by a commit's."""
    by_tag = replace(WHOLE, mended_by={"v1.2.1": HEAD})

    assert planned(lies=by_tag).done_as == "v1.2.1"
    assert planned(replace(HISTORY, patches={"v1.2.2": HEAD}), by_tag).done_as == "v1.2.2"
    assert planned(replace(HISTORY, later=("v1.2.1",)), by_tag).patch_tag == "v1.2.1"


def test_a_release_that_was_taken_back_in_full_gets_no_hotfix() -> None:
    """The revert would be told as a hotfix; once a hotfix has mended it after all, the run that did so is found."""
    with pytest.raises(Refused, match=r"v1\.2\.0 was taken back as v1\.2\.1: .* prepare a hotfix of it"):
        planned(replace(HISTORY, later=("v1.2.1",), patches={"v1.2.1": HEAD}))
    both = replace(HISTORY, later=("v1.2.1", "v1.2.2"), patches={"v1.2.1": HEAD, "v1.2.2": "f"}, mends={"v1.2.2": "f"})
    assert planned(both).done_as == "v1.2.2"


def test_a_release_that_another_was_built_on_is_refused() -> None:
    """The hotfix would carry an older number than what it contains; a pre-release is none that is shipped."""
    assert planned(replace(HISTORY, later=("v1.3.0-rc.1",))).patch_tag == "v1.2.1"
    with pytest.raises(Refused, match=r"v1\.3\.0 was released on top of v1\.2\.0: mend v1\.3\.0"):
        planned(replace(HISTORY, later=("v1.3.0",)))


def test_a_range_of_another_stable_release_is_refused() -> None:
    """The Releases history changed between reading and planning."""
    with pytest.raises(Refused, match=r"read from v1\.0\.0 and the stable release is v1\.1\.0 now: plan again"):
        planned(lies=replace(WHOLE, stable_tag="v1.0.0"))
    with pytest.raises(Refused, match="the stable release is none now"):
        planned(releases=[])


def test_a_cause_without_a_time_is_refused() -> None:
    """The commit would differ on every try."""
    with pytest.raises(Refused, match="set seen_at"):
        plan_hotfix(SHOP, VERSION, HISTORY, RELEASES, WHOLE, Cause(), "why")


def test_the_first_release_can_be_mended_by_hand() -> None:
    """There is nothing to derive from, and no migration is claimed to be kept."""
    plan = planned(releases=[], lies=Range("v1.2.0", FAULTY, None, None))

    assert plan.stable_tag is None
    assert [each.kind for each in plan.proposals] == [FixKind.EMPTY]
    assert plan.migrations == ()


def test_a_release_from_elsewhere_leaves_nothing_to_take_out_of_main() -> None:
    """What did not come to main cannot be reverted there; a person can still mend it."""
    plan = planned(replace(HISTORY, faulty_on_main=False))

    assert [each.kind for each in plan.proposals] == [FixKind.EMPTY]


def test_the_commit_says_what_goes_what_stays_and_what_it_mends() -> None:
    """It restores no release, so no trailer says that it does."""
    plan = planned()
    whole = next(each for each in plan.proposals if each.kind is FixKind.RANGE)

    said = commit_message(plan, whole)

    assert said.startswith(f"Take v1.2.0 back, its migrations kept\n\n{CHECKOUT}\n\n")
    assert "Takes out:\n\n  Merge pull request #13 from acme/branch (000000000000)\n" in said
    assert f"Keeps:\n\n  {MIGRATION} (added by v1.2.0" in said
    assert said.endswith(f"\n\nMends-Release: v1.2.0 {FAULTY}\nIncident: shop/v1.2.0\n")
    assert "Restores-Release" not in said


def test_the_pull_request_tells_the_fix_and_the_three_answers() -> None:
    """With the commands to push own commits, and the trailers that a squash carries on."""
    plan = planned()
    body = pull_request_body(plan, plan.proposals[0])

    assert pull_request_title(plan, plan.proposals[0]) == 'Hotfix v1.2.1: Revert "Redeem coupons" (#12)'
    for said in (
        "git fetch origin\ngit switch hotfix/v1.2.1\n",
        "take the proposal",
        "own commits are pushed",
        "abandon",
    ):
        assert said in body
    assert "**Kept**" not in body
    assert body.endswith(f"Mends-Release: v1.2.0 {FAULTY}\nIncident: shop/v1.2.0\n")


def test_a_pull_request_without_a_fix_says_so() -> None:
    """It names the files that stood in the way, and that there is nothing to take yet."""
    plan = planned()

    for proposal in (plan.proposals[-1], None):
        body = pull_request_body(plan, proposal, ("shop/checkout.py",))
        assert "No fix could be derived" in body
        assert "*take the proposal*: not possible yet" in body
        assert "later commits touch the same lines\n\n- shop/checkout.py" in body
    assert pull_request_title(plan, None) == "Hotfix v1.2.1: Mend v1.2.0"


def test_an_answer_that_does_not_fit_the_branch_is_objected_to() -> None:
    """Taking what is not there or was not proposed, calling own what is not, and a branch that is gone."""
    plan = planned()
    ours, theirs = BranchCommit("a" * 40, "Revert", "ripcord", True), BranchCommit("d" * 40, "Mend", "Ada", False)
    gone = BranchState(plan.branch, None, HEAD, HEAD)
    brings = (("shop/checkout.py", "100644 blob"),)
    empty, made, mixed = (
        BranchState(plan.branch, "a" * 40, HEAD, HEAD, ahead, brought)
        for ahead, brought in (((ours,), ()), ((ours,), brings), ((theirs, ours), brings))
    )

    assert object_to(plan, Answer.TAKE, made) is None
    assert object_to(plan, Answer.OWN, mixed) is None
    assert [object_to(plan, Answer.ABANDON, state) for state in (gone, empty, made, mixed)] == [None] * 4
    assert "has no fix on it" in str(object_to(plan, Answer.TAKE, empty))
    assert "not proposed (Mend (dddddddddddd, Ada))" in str(object_to(plan, Answer.TAKE, mixed))
    assert "no commit of yours" in str(object_to(plan, Answer.OWN, made))
    assert "is gone" in str(object_to(plan, Answer.TAKE, gone))


def test_a_hotfix_that_people_merged_themselves_is_carried_on_and_not_abandoned() -> None:
    """Its branch may be gone by then, or bring nothing that main has not: it still lacks its tag."""
    plan = planned()
    states = [BranchState(plan.branch, head, HEAD, HEAD) for head in (None, HEAD)]

    for answer in (Answer.TAKE, Answer.OWN):
        assert [object_to(plan, answer, state, "f" * 40) for state in states] == [None, None]
    assert "was merged already, as ffffffffffff: take the proposal, or take it back out of main first" in str(
        object_to(plan, Answer.ABANDON, states[0], "f" * 40)
    )
