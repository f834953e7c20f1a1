"""The hotfix on a real Git host; plain git in a fresh clone is the witness."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.errors import Incomplete, Refused
from recovery.hotfix_wording import trailers
from recovery.hotfixes import HotfixPlan, judge_feasibility, plan_hotfix, stable_before
from recovery.incidents import Cause
from recovery.proposals import FixKind
from recovery.ranges import Range
from recovery.releases import Release
from recovery.reverts import History
from recovery.versions import parse_version
from tasks.git.hotfix import prove_hotfix, push_hotfix, read_branch, tag_hotfix
from tasks.git.ranges import read_range
from tests.integration.plain_git import git, rest

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECKOUT = "checkout: 7 of 12 probes failed in 1m0s = 58.33 %, limit 5 %"
SILENT = "a person asked for it"
OLD, NEW = "shop/migrations/0001_initial.sql", "shop/migrations/0002_coupons.sql"
CASES = count(1)
MARKER = "-- ripcord: backward-compatible\n"


class Work:
    """A team's clone of a repository of the test's own: v1.1.0 is there, what follows is the test's."""

    def __init__(self, host: GitHost, repository: str, place: Path) -> None:
        """Start with v1.1.0 on main."""
        host.create_repository(repository)
        place.mkdir()
        self.host, self.repository, self.place = host, repository, place
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", host.clone_url(repository))
        self.write("Start", {
            "shop/checkout.py": "def checkout():\n    return 'ordered'\n", "shop/pricing.py": "price = 1\n",
            "shop/catalogue.py": "all = []\n", "README.md": "shop\n", OLD: "create table carts ();\n",
        })  # fmt: skip
        self.tag("v1.1.0")

    def git(self, *args: str) -> str:
        """Run git as the team."""
        return git(*args, at=self.place, token=self.host.token("team"))

    def write(self, title: str, files: dict[str, str | None], body: str = "") -> str:
        """Commit some files; None deletes one."""
        for name, content in files.items():
            path = self.place / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", title, *(["-m", body] if body else []))
        return self.git("rev-parse", "HEAD")

    def pull(self, number: int, title: str, files: dict[str, str | None], how: str = "merge") -> str:
        """Bring files to the current branch as GitHub brings a pull request."""
        if how == "squash":
            return self.write(f"{title} (#{number})", files, "What it is for.")
        here = self.git("branch", "--show-current")
        self.git("switch", "--quiet", "--create", f"feature-{number}")
        self.write("Work on it", files)
        self.git("switch", "--quiet", here)
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge pull request #{number} from acme/feature-{number}",
                 "-m", title, f"feature-{number}")  # fmt: skip
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str) -> str:
        """Release what there is, and push everything."""
        self.git("tag", "--annotate", "-m", name, name)
        return self.push(f"refs/tags/{name}")

    def push(self, *more: str) -> str:
        """Push the current branch."""
        here = self.git("branch", "--show-current")
        self.git("push", "--quiet", "origin", here, *more)
        return self.git("rev-parse", "HEAD")

    def coupons(self, how: str = "merge") -> str:
        """Release v1.2.0: three pull requests, of which one has a migration and one touches the checkout."""
        if how == "gitflow":
            self.git("switch", "--quiet", "--create", "develop")
        self.pull(11, "Keep coupons", {"shop/coupons.py": "coupons = []\n", NEW: "create table coupons ();\n"}, how)
        self.pull(12, "Redeem coupons", {"shop/checkout.py": "def checkout():\n    return coupon()\n"}, how)
        self.pull(13, "Tell what is new", {"shop/catalogue.py": "all = ['new']\n"}, how)
        if how == "gitflow":
            self.git("switch", "--quiet", "main")
            self.git("merge", "--quiet", "--no-ff", "-m", "Release v1.2.0", "develop")
        return self.tag("v1.2.0")

    def merge(self, branch: str, how: str = "merge", message: str = "Hotfix (#14)", *, delete: bool = True) -> str:
        """Merge a branch into main as GitHub does, delete it, and return the commit on main."""
        self.git("fetch", "--quiet", "origin")
        if how == "squash":
            self.git("merge", "--quiet", "--squash", f"origin/{branch}")
            self.git("commit", "--quiet", "-m", message)
        else:
            self.git("merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}")
        return self.push(*([f":refs/heads/{branch}"] if delete else []))

    @property
    def bare(self) -> Path:
        """The repository on the host's disk."""
        return self.host.bare(self.repository)

    def refs(self) -> str:
        """Every ref on the host's disk."""
        return git("for-each-ref", "--format=%(refname) %(objectname)", at=self.bare)

    def differ(self, one: str, other: str) -> list[str]:
        """What differs between two revisions on the host."""
        return git("diff", "--no-renames", "--name-status", one, other, at=self.bare).splitlines()


@pytest.fixture(name="work")
def _work(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", host.api_url)
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    with disable_run_logger():
        yield Work(host, f"acme/hotfix{next(CASES)}", tmp_path / "team")


def service_of(work: Work, **more: object) -> Service:
    """The catalogue's entry."""
    return Service.model_validate({"name": "shop", "namespace": "acme", "repository": work.repository, **more})


def planned(work: Work, sentence: str = CHECKOUT, stable: str | None = "v1.1.0", **more: object) -> HotfixPlan:
    """The plan for v1.2.0, from what plain git says of the host now."""
    service, faulty = service_of(work, **more), parse_version("v1.2.0")
    tags = {tag: git("rev-parse", f"{tag}^{{commit}}", at=work.bare) for tag in git("tag", at=work.bare).split()}
    contained = {tag: tags[tag] for tag in git("tag", "--merged", "v1.2.0", at=work.bare).split()}
    history = History(
        git("rev-parse", "main", at=work.bare), tags["v1.2.0"], True, tuple(tags), contained, {}, (), (), {}
    )
    releases = [Release(1, "v1.1.0", "", "", False, False, NOW)] if stable else []
    stable_now = stable_before(service, faulty, history, releases)
    assert (stable_now.version.tag if stable_now else None) == stable
    between = read_range.fn(service, "v1.2.0", stable)
    return plan_hotfix(service, faulty, history, releases, between, Cause(sentence=sentence, seen_at=NOW), "migrations")


def between_of(work: Work, **more: object) -> Range:
    """The range, as read."""
    return read_range.fn(service_of(work, **more), "v1.2.0", "v1.1.0")


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
    """Later work on the same lines: the branch stands at main's head, and the files are named."""
    work.coupons()
    head = work.write("Later", {"shop/checkout.py": "def checkout():\n    return 'later'\n"})
    work.push()
    plan = planned(work)

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.commit == made.parent == head == git("rev-parse", plan.branch, at=work.bare)
    assert made.proposal is not None
    assert made.proposal.kind is FixKind.EMPTY
    assert made.conflicts == ("shop/checkout.py",)
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
    assert push_hotfix.fn(plan, plan.proposals[0]).commit == plan.faulty_commit


def test_the_second_call_changes_nothing(work: Work) -> None:
    """It says so, and knows the proposal again."""
    work.coupons()
    plan = planned(work)
    first = push_hotfix.fn(plan, plan.proposals[0])
    before = work.refs()

    second = push_hotfix.fn(planned(work), plan.proposals[1])

    assert second.said.startswith("skipped: hotfix/v1.2.1 is there already")
    assert (second.commit, second.parent, second.tree) == (first.commit, first.parent, first.tree)
    assert second.proposal == first.proposal
    assert work.refs() == before


def test_the_same_plan_gives_the_same_commit(work: Work) -> None:
    """Also after the branch was lost."""
    work.coupons()
    plan = planned(work)
    first = push_hotfix.fn(plan, plan.proposals[0])
    git("update-ref", "-d", f"refs/heads/{plan.branch}", at=work.bare)

    assert push_hotfix.fn(plan, plan.proposals[0]).commit == first.commit


def test_pushes_at_the_same_time_leave_one_commit(work: Work) -> None:
    """Three threads that know nothing of each other agree."""
    work.coupons()
    plan = planned(work)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda each: push_hotfix.fn(plan, each), [plan.proposals[0]] * 3))

    assert {made.commit for made in done} == {git("rev-parse", plan.branch, at=work.bare)}


def test_what_people_push_is_kept_and_told(work: Work) -> None:
    """Their commit on top of ours stays, is named with its author, and is known from ours."""
    work.coupons()
    plan = planned(work)
    ours = push_hotfix.fn(plan, plan.proposals[0]).commit
    work.git("fetch", "--quiet", "origin")
    work.git("switch", "--quiet", plan.branch)
    theirs = work.write("Mend it properly", {"shop/checkout.py": "def checkout():\n    return 'mended'\n"})
    work.push()

    again, state = push_hotfix.fn(plan, plan.proposals[0]), read_branch.fn(plan)

    assert again.commit == state.head == theirs
    assert f"with Mend it properly ({theirs[:12]}, Ada)" in again.said
    assert [(each.id, each.ours) for each in state.ahead] == [(theirs, False), (ours, True)]
    assert [each.author for each in state.own] == ["Ada"]
    assert [path for path, _ in state.brings] == ["shop/checkout.py"]


def test_a_branch_that_people_made_first_is_theirs(work: Work) -> None:
    """Nothing of ours is put on it."""
    work.coupons()
    work.git("switch", "--quiet", "--create", "hotfix/v1.2.1")
    theirs = work.write("We are at it", {"shop/checkout.py": "x = 1\n"})
    work.push()
    plan = planned(work)
    before = work.refs()

    made = push_hotfix.fn(plan, plan.proposals[0])

    assert made.commit == theirs
    assert made.proposal is None
    assert work.refs() == before


def test_a_branch_that_is_not_there_reads_as_none(work: Work) -> None:
    """And no commits."""
    work.coupons()
    state = read_branch.fn(planned(work))

    assert state.head is None
    assert state.ahead == ()
    assert state.brings == ()


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_the_merge_is_tagged_and_proved_for_anybody(work: Work, how: str, tmp_path: Path) -> None:
    """The commands of the proof print in a fresh clone what it says, also when the branch is gone."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    work.write("Meanwhile", {"meanwhile.py": "x\n"})
    merged = work.merge(plan.branch, how)
    work.write("Afterwards", {NEW: "-- changed later\n"})
    work.push()

    pushed = tag_hotfix.fn(plan, merged)
    proof = prove_hotfix.fn(plan, state, pushed)

    seen = tmp_path / "seen"
    git("clone", "--quiet", work.host.clone_url(work.repository), str(seen), at=tmp_path, token=work.host.token("team"))
    assert pushed.tag == "v1.2.1"
    assert pushed.commit == merged
    assert [pushed.parent, *pushed.others] == git("log", "-1", "--format=%P", merged, at=seen).split()
    assert git("cat-file", "-t", "v1.2.1", at=seen) == "tag"
    assert work.differ("v1.2.0", "v1.2.1") == ["A\tmeanwhile.py", "M\tshop/checkout.py"]
    assert len(proof.lines) == 5
    for command, printed in proof.lines:
        assert git(*shlex.split(command)[1:], at=seen) == printed


def test_tagging_twice_leaves_one_tag(work: Work) -> None:
    """Also when the second call names the next number in its plan."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    first = tag_hotfix.fn(plan, merged)
    before = work.refs()

    second = tag_hotfix.fn(replace(plan, patch_tag="v1.2.2"), merged)

    assert second.said.startswith("skipped: v1.2.0 was already mended as v1.2.1")
    assert (second.tag, second.commit, second.tree) == (first.tag, first.commit, first.tree)
    assert work.refs() == before
    assert planned(work).done_as == "v1.2.1"
    assert push_hotfix.fn(plan, plan.proposals[0]).said.startswith("skipped: v1.2.0 was already answered on main")
    assert work.refs() == before


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_fix_that_is_on_main_already_is_not_prepared_again(work: Work, how: str) -> None:
    """The merge was made and the tag was not: the branch, still there or gone, stays, and the merge is named."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch, how, message=f"{plan.proposals[0].title} (#14)\n\n{trailers(plan)}", delete=False)
    work.write("Later", {"later.py": "x\n"})
    work.push()
    for _ in range(2):
        before = work.refs()

        again = push_hotfix.fn(planned(work), plan.proposals[1])

        assert again.said == f"skipped: v1.2.0 was already answered on main ({merged[:12]})"
        assert again.merged_as == again.commit == merged
        assert again.proposal == plan.proposals[0]
        assert work.refs() == before
        work.git("push", "--quiet", "origin", f":refs/heads/{plan.branch}", "main")


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

    proof = prove_hotfix.fn(plan, read_branch.fn(plan, 1), pushed)

    assert not [command for command, _ in proof.lines if NEW in command]


def test_tags_pushed_at_the_same_time_are_one(work: Work) -> None:
    """Three threads agree on the tag object."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda each: tag_hotfix.fn(plan, each), [merged] * 3))

    assert {pushed.tag for pushed in done} == {"v1.2.1"}
    assert git("tag", "--list", "v1.2.*", at=work.bare).split() == ["v1.2.0", "v1.2.1"]


def test_a_branch_that_stands_in_the_way_is_named(work: Work) -> None:
    """Git cannot keep hotfix/v1.2.1 beside hotfix."""
    work.coupons()
    work.git("push", "--quiet", "origin", "main:refs/heads/hotfix")
    plan = planned(work)

    with pytest.raises(Refused, match=r"the branch hotfix stands in the way of hotfix/v1\.2\.1: rename it"):
        push_hotfix.fn(plan, plan.proposals[0])


def test_a_number_that_was_taken_meanwhile_is_left_alone(work: Work) -> None:
    """Somebody tagged v1.2.1 elsewhere: ours becomes v1.2.2."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    work.git("push", "--quiet", "origin", "v1.1.0^{commit}:refs/tags/v1.2.1")

    assert tag_hotfix.fn(plan, merged).tag == "v1.2.2"
    assert git("rev-parse", "v1.2.1", at=work.bare) == plan.stable_commit


def test_a_number_that_an_immutable_release_burned_is_passed_over(work: Work) -> None:
    """The host declines v1.2.1 for good, without a tag to be seen: the hotfix becomes v1.2.2."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    work.host.immutable_releases(work.repository)
    path, token = f"/repos/{work.repository}/releases", work.host.token("team")
    made = rest(work.host, token, "POST", path, tag_name="v1.2.1", target_commitish="main").raise_for_status().json()
    rest(work.host, token, "DELETE", f"{path}/{made['id']}").raise_for_status()
    work.git("push", "--quiet", "origin", ":refs/tags/v1.2.1")

    assert tag_hotfix.fn(plan, merged).tag == "v1.2.2"


def test_the_tag_that_a_person_put_on_the_merge_is_the_patch_release(work: Work) -> None:
    """It stays the only one."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    work.git("switch", "--quiet", "main")
    merged = work.merge(plan.branch)
    work.git("push", "--quiet", "origin", f"{merged}:refs/tags/v1.2.1")
    before = work.refs()

    assert tag_hotfix.fn(plan, merged).tag == "v1.2.1"
    assert work.refs() == before


def test_a_commit_that_is_no_merge_of_the_hotfix_is_not_tagged(work: Work) -> None:
    """One that main does not have, and the faulty release itself."""
    work.coupons()
    plan = planned(work)
    made = push_hotfix.fn(plan, plan.proposals[0])
    before = work.refs()

    with pytest.raises(Refused, match=r"is not on main of .*: merge it there first"):
        tag_hotfix.fn(plan, made.commit)
    with pytest.raises(Refused, match=r"is no newer than v1\.2\.0"):
        tag_hotfix.fn(plan, plan.faulty_commit)
    assert work.refs() == before


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_merge_that_lost_something_is_not_proved(work: Work, how: str) -> None:
    """The migration, and what the branch brought: each is named."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    work.merge(plan.branch, how)
    (work.place / NEW).unlink()
    work.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    work.git("push", "--quiet", "--force", "origin", "main")
    pushed = tag_hotfix.fn(plan, work.git("rev-parse", "HEAD"))

    with pytest.raises(Incomplete, match=f"{NEW} is as v1.2.0 left it.*done before: tagged"):
        prove_hotfix.fn(plan, state, pushed)


def test_a_squash_without_the_fix_is_not_proved(work: Work) -> None:
    """The file that the branch brought is named."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    merged = work.write("Something else (#14)", {"README.md": "else\n"})
    work.push(f":refs/heads/{plan.branch}")

    with pytest.raises(Incomplete, match=r"v1\.2\.1 has what hotfix/v1\.2\.1 brought: shop/checkout\.py"):
        prove_hotfix.fn(plan, state, tag_hotfix.fn(plan, merged))


def test_a_tag_that_somebody_moved_is_not_proved(work: Work) -> None:
    """The proof reads the remote afresh."""
    work.coupons()
    plan = planned(work)
    push_hotfix.fn(plan, plan.proposals[0])
    state = read_branch.fn(plan)
    work.git("switch", "--quiet", "main")
    pushed = tag_hotfix.fn(plan, work.merge(plan.branch))
    git("update-ref", "refs/tags/v1.2.1", "v1.1.0^{commit}", at=work.bare)

    with pytest.raises(Incomplete, match=r"does not hold that v1\.2\.1 is "):
        prove_hotfix.fn(plan, state, pushed)


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


def test_a_token_that_may_only_read_is_refused(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ref stays."""
    work.coupons()
    plan = planned(work)
    before = work.refs()
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", work.host.token("reader", write=False))

    with pytest.raises(Refused, match="RIPCORD_GITHUB_TOKEN"):
        push_hotfix.fn(plan, plan.proposals[0])
    assert work.refs() == before


def test_a_host_that_declines_the_branch_is_refused(work: Work) -> None:
    """Trying again would not help."""
    work.coupons()
    plan = planned(work)
    hook = work.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(Refused, match=r"does not let us create refs/heads/hotfix/v1\.2\.1"):
        push_hotfix.fn(plan, plan.proposals[0])


def test_a_tag_that_is_not_there_is_refused(work: Work) -> None:
    """The sentence names it."""
    work.coupons()

    with pytest.raises(Refused, match=r"has no tag v1\.0\.0"):
        read_range.fn(service_of(work), "v1.2.0", "v1.0.0")
