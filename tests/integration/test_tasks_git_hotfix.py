"""What a hotfix proposes, on a real Git host; plain git in a fresh clone is the witness."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.errors import Refused
from recovery.hotfix_wording import propose_hotfix
from recovery.hotfixes import Answer, judge_feasibility, object_to
from recovery.proposals import FixKind
from tasks.git.hotfix import prove_hotfix, push_hotfix, read_branch, tag_hotfix
from tasks.git.ranges import read_range
from tasks.github import open_pull
from tests.integration.hotfixing import MARKER, NEW, OLD, SILENT, Work, between_of, planned, service_of, team_of
from tests.integration.plain_git import git, rest


@pytest.fixture(name="work")
def _work(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    with team_of(host, tmp_path, monkeypatch) as work:
        yield work


@pytest.mark.parametrize("how", ["merge", "squash", "gitflow"])
def test_the_pull_request_that_touches_the_route_is_taken_out_alone(work: Work, how: str) -> None:
    """One commit on main's head, with the checkout of v1.1.0 and everything else of v1.2.0."""
    work.coupons(how)
    plan = planned(work)
    main = git("rev-parse", "main", at=work.bare)

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert plan.branch == "hotfix/v1.2.1"
    assert plan.proposals[0].title == 'Revert "Redeem coupons" (#12)'
    assert work.differ("v1.2.0", plan.branch) == ["M\tshop/checkout.py"]
    assert git("diff", "v1.1.0", plan.branch, "--", "shop/checkout.py", at=work.bare) == ""
    assert git("log", "-1", "--format=%P", plan.branch, at=work.bare) == made.parent == main
    assert git("rev-parse", "main", at=work.bare) == main
    assert made.proposal == plan.proposals[0]
    trailers = git("log", "-1", "--format=%(trailers:only)", plan.branch, at=work.bare)
    assert trailers == f"Mends-Release: v1.2.0 {plan.faulty_commit}\nIncident: shop/v1.2.0"
    git("fsck", "--strict", at=work.bare)


@pytest.mark.parametrize("how", ["merge", "squash", "gitflow"])
def test_without_a_hint_the_whole_release_goes_and_its_migrations_stay(work: Work, how: str) -> None:
    """Between v1.1.0 and the branch lies the migration, and nothing else."""
    work.coupons(how)
    plan = planned(work, SILENT)
    push_hotfix.fn(plan, plan.proposals[0])

    assert [each.kind for each in plan.proposals] == [FixKind.RANGE, FixKind.EMPTY]
    assert work.differ("v1.1.0", plan.branch) == [f"A\t{NEW}"]
    assert git("diff", "v1.2.0", plan.branch, "--", "shop/migrations", at=work.bare) == ""


@pytest.mark.parametrize(
    "path",
    [
        "migrations/0002_coupons.sql",
        "shop/migrations/0002_coupons.py",
        "services/shop/alembic/versions/3f2a_coupons.py",
        "db/migrate/20260101120000_add_coupons.rb",
        "src/main/resources/flyway/V2__coupons.sql",
    ],
)
def test_a_migration_of_any_house_is_an_obstacle_until_it_says_it_is_none(work: Work, path: str) -> None:
    """Plain SQL, Django, Alembic, Rails, Flyway: in the release, or later on main, the marker lets it pass."""
    service = service_of(work)
    work.write("Bring a column", {path: "add coupons\n"})
    work.tag("v1.2.0")
    seen = judge_feasibility(service, between_of(work))

    work.write("It is compatible", {path: f"add coupons\n{MARKER}"})
    work.push()
    marked = judge_feasibility(service, between_of(work))

    assert not seen.full_rollback
    assert path in seen.reason
    assert marked.full_rollback


def test_a_migration_that_was_released_with_the_marker_is_no_obstacle(work: Work) -> None:
    """And one marked file excuses no other."""
    work.write("Bring two", {NEW: MARKER, "shop/migrations/0003.sql": "drop table carts;\n"})
    work.tag("v1.2.0")

    between = between_of(work)

    assert {each.path: each.compatible for each in between.changes} == {NEW: True, "shop/migrations/0003.sql": False}
    assert "0002" not in judge_feasibility(service_of(work), between).reason


def test_a_migration_that_was_deleted_is_an_obstacle_and_stays_away(work: Work) -> None:
    """The hotfix does not bring it back."""
    work.write("Squash the migrations", {OLD: None, "shop/pricing.py": "price = 2\n"})
    work.tag("v1.2.0")
    plan = planned(work, SILENT)
    push_hotfix.fn(plan, plan.proposals[0])

    assert OLD in judge_feasibility(service_of(work), between_of(work)).reason
    assert work.differ("v1.1.0", plan.branch) == [f"D\t{OLD}"]


def test_a_release_without_a_migration_can_be_rolled_back_in_full(work: Work) -> None:
    """Also where a path merely sounds like one."""
    work.write("Speak of them", {"docs/migrations.md": "None.\n", "shop/checkout.py": "x = 1\n"})
    work.tag("v1.2.0")

    assert judge_feasibility(service_of(work), between_of(work)).full_rollback


def test_a_file_that_the_team_lets_nobody_merge_by_lines_is_a_conflict(work: Work) -> None:
    """A lock file: its pull request cannot be taken out once main has changed it, wherever the lines are."""
    lines = [f"line{n} = 1\n" for n in range(20)]
    work.write("Lock", {"shop/checkout.lock": "".join(lines), ".gitattributes": "*.lock -merge\n"})
    work.git("tag", "--force", "--annotate", "-m", "again", "v1.1.0")
    work.push("--force", "refs/tags/v1.1.0")
    work.pull(11, "Keep coupons", {NEW: "create table coupons ();\n"})
    work.pull(12, "Redeem coupons at the checkout", {"shop/checkout.lock": "".join(["line0 = 2\n", *lines[1:]])})
    work.tag("v1.2.0")
    work.write("Later", {"shop/checkout.lock": "".join(["line0 = 2\n", *lines[1:19], "line19 = 3\n"])})
    work.push()
    plan = planned(work)

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.conflicts == ("shop/checkout.lock",)
    assert work.differ("main", plan.branch) == []


def test_later_work_on_main_is_kept(work: Work) -> None:
    """Other files, other lines of the same file, and a later migration."""
    work.write("Long ago", {"shop/pricing.py": "".join(f"line{n} = 1\n" for n in range(20))})
    work.git("tag", "--force", "--annotate", "-m", "again", "v1.1.0")
    work.push("+refs/tags/v1.1.0")
    work.coupons()
    work.pull(14, "Change a price", {"shop/pricing.py": "".join(f"line{n} = {1 + (n > 18)}\n" for n in range(20))})
    head = work.write("Later", {"later.py": "x\n", "shop/migrations/0003_more.sql": "create table more ();\n"})
    work.push()

    plan = planned(work)
    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.parent == head
    assert work.differ("main", plan.branch) == ["M\tshop/checkout.py"]


def test_a_file_that_the_release_renamed_takes_its_later_lines_along(work: Work) -> None:
    """Later work on the new name ends up in the old one."""
    lines = [f"line{n} = {n}\n" for n in range(20)]
    work.write("Long", {"shop/checkout.py": "".join(lines)})
    work.git("tag", "--force", "--annotate", "-m", "again", "v1.1.0")
    work.push("+refs/tags/v1.1.0")
    work.write("Rename (#12)", {"shop/checkout.py": None, "shop/till.py": "".join(lines), NEW: "x\n"})
    work.tag("v1.2.0")
    work.write("Later", {"shop/till.py": "".join([*lines, "later = True\n"])})
    work.push()
    plan = planned(work, SILENT)
    push_hotfix.fn(plan, plan.proposals[0])

    assert git("show", f"{plan.branch}:shop/checkout.py", at=work.bare).endswith("later = True")
    assert work.differ("v1.2.0", plan.branch) == ["A\tshop/checkout.py", "D\tshop/till.py"]


def test_a_proposal_that_conflicts_gives_way_to_the_next_one(work: Work) -> None:
    """The pull request was built upon within the release: alone it does not come out, the whole release does."""
    work.coupons()
    work.git("tag", "--delete", "v1.2.0")
    work.git("push", "--quiet", "origin", ":refs/tags/v1.2.0")
    work.pull(15, "Repair", {"shop/checkout.py": "def checkout():\n    return coupon() or 'ordered'\n"})
    work.tag("v1.2.0")
    plan = planned(work)
    twelve = next(each for each in plan.proposals if "#12" in each.title)

    made = push_hotfix.fn(replace(plan, proposals=(twelve, *plan.proposals[-2:])), twelve)

    assert made.proposal == plan.proposals[-2]
    assert made.conflicts == ("shop/checkout.py",)
    assert "shop/checkout.py" in made.said
    assert work.differ("v1.1.0", plan.branch) == [f"A\t{NEW}"]


def test_where_nothing_can_be_made_the_branch_is_one_to_start_from(work: Work) -> None:
    """Later work on the same lines: a commit that changes nothing, and a draft that names the files and asks."""
    work.coupons()
    head = work.write("Later", {"shop/checkout.py": "def checkout():\n    return 'later'\n"})
    work.push()
    plan = planned(work)

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.commit == git("rev-parse", plan.branch, at=work.bare)
    assert git("rev-parse", f"{made.commit}^", at=work.bare) == made.parent == head
    assert work.differ("main", plan.branch) == []
    assert made.proposal is not None
    assert made.proposal.kind is FixKind.EMPTY
    assert made.conflicts == ("shop/checkout.py",)
    pull = open_pull.fn(propose_hotfix(plan, made))
    assert (pull.sha, pull.draft) == (made.commit, True)
    reader = work.host.token("reader", write=False)
    shown = rest(work.host, reader, "GET", f"/repos/{work.repository}/pulls/{pull.number}")
    assert "later commits touch the same lines\n\n- shop/checkout.py" in shown.json()["body"]
    assert "has no fix on it" in str(object_to(plan, Answer.TAKE, read_branch.fn(plan)))
    again = push_hotfix.fn(plan, plan.proposals[0])
    assert again.said.startswith("skipped: hotfix/v1.2.1 is there already")
    assert again.proposal == made.proposal


def test_what_is_out_of_main_already_is_not_taken_out_twice(work: Work) -> None:
    """Somebody reverted the pull request by hand: the next proposal is made."""
    work.coupons()
    work.write("By hand", {"shop/checkout.py": "def checkout():\n    return 'ordered'\n"})
    work.push()
    plan = planned(work)

    assert push_hotfix.fn(plan, plan.proposals[0]).proposal == plan.proposals[1]


def test_the_first_release_gets_a_branch_to_start_from(work: Work) -> None:
    """There is nothing to go back to."""
    work.coupons()
    plan = planned(work, stable=None)

    assert [each.kind for each in plan.proposals] == [FixKind.EMPTY]
    assert push_hotfix.fn(plan, plan.proposals[0]).parent == plan.faulty_commit


def test_what_people_did_to_a_migration_is_theirs(work: Work) -> None:
    """They mended it on the branch, or later work on main did: nothing is claimed of it, and all else is proved."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("fetch", "--quiet", "origin")
    work.git("switch", "--quiet", plan.branch)
    work.write("Mend the migration", {NEW: "create table if not exists coupons ();\n"})
    work.push()
    work.git("switch", "--quiet", "main")
    pushed = tag_hotfix.fn(plan, work.merge(plan.branch))

    proof = prove_hotfix.fn(plan, read_branch.fn(plan), pushed)

    assert not [command for command, _ in proof.lines if NEW in command]


def test_other_services_of_the_repository_stay_as_they_are(work: Work) -> None:
    """The release brought work of two services; only the one's is taken out."""
    work.write(
        "Both", {"shop/checkout.py": "x = 1\n", "billing/checkout.py": "y = 1\n", "billing/migrations/1.sql": "z"}
    )
    work.tag("v1.2.0")
    plan = planned(work, SILENT, paths=["shop"])
    push_hotfix.fn(plan, plan.proposals[0])

    assert judge_feasibility(service_of(work, paths=["shop"]), between_of(work, paths=["shop"])).full_rollback
    assert work.differ("v1.2.0", plan.branch) == ["M\tshop/checkout.py"]
    assert git("diff", "v1.1.0", plan.branch, "--", "shop", at=work.bare) == ""


def test_names_that_git_or_a_shell_could_misread_are_files_like_others(work: Work) -> None:
    """Blanks, brackets, quotes, colons, umlauts, a leading dash, an executable."""
    strange = [":(top)x.py", "app/[id]/page.tsx", "-x", 'a "b" $(id).py', "größe.py", "new\nline.py"]
    kept = ["migrations/0 1:*[a].sql", "migrations/größe.sql"]
    work.write("Before", {strange[0]: "1\n", strange[1]: "1\n"})
    work.git("tag", "--force", "--annotate", "-m", "again", "v1.1.0")
    work.push("+refs/tags/v1.1.0")
    (work.place / "run.sh").write_text("#!/bin/sh\n")
    (work.place / "run.sh").chmod(0o755)
    work.write("After", dict.fromkeys([*strange, *kept], "2\n"))
    work.tag("v1.2.0")
    plan = planned(work, SILENT)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch, "squash")
    proof = prove_hotfix.fn(plan, state, tag_hotfix.fn(plan, merged))

    work.git("fetch", "--quiet", "--tags", "origin")
    assert sorted(plan.migrations) == kept
    changed = git("diff", "--no-renames", "-z", "--name-status", "v1.1.0", "v1.2.1", at=work.bare)
    assert changed.rstrip("\0").split("\0") == ["A", kept[0], "A", kept[1]]
    for command, printed in proof.lines:
        assert git(*shlex.split(command)[1:], at=work.place) == printed


def test_a_tag_that_is_not_there_is_refused(work: Work) -> None:
    """The sentence names it."""
    work.coupons()

    with pytest.raises(Refused, match=r"has no tag v1\.0\.0"):
        read_range.fn(service_of(work), "v1.2.0", "v1.0.0")
