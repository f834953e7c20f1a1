"""A revert beside others: numbers that are taken or burned, a main that moves; the host's disk is the witness."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.releases import Release
from recovery.reverts import RevertPlan, plan_revert
from recovery.versions import parse_version
from tasks.git import push as push_module
from tasks.git import read_history
from tasks.git.plumbing import Repository
from tasks.git.revert import commit_revert
from tests.integration.plain_git import git, rest
from tests.integration.reverting import (
    CAUSE,
    NOW,
    RELEASES,
    clone,
    copied,
    planned,
    push,
    refs,
    released_shop,
    taken_out,
)


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with released_shop(tmp_path_factory.mktemp("shop")) as host:
        yield host


@pytest.fixture(name="service")
def _service(host: GitHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with copied(host, monkeypatch) as service:
        yield service


def test_a_patch_number_taken_meanwhile_is_left_alone(host: GitHost, service: Service, tmp_path: Path) -> None:
    """Somebody tagged v1.2.1 after the plan was made: ours becomes v1.2.2, theirs stays."""
    plan = planned(service)
    seen = clone(host, service, tmp_path)
    git("tag", "v1.2.1", "v1.1.0^{commit}", at=seen)
    git("push", "--quiet", "origin", "refs/tags/v1.2.1", at=seen, token=host.token("team"))

    assert taken_out(plan).tag == "v1.2.2"
    there = host.bare(service.repository)
    assert git("rev-parse", "v1.2.1", at=there) == plan.stable_commit


def test_a_newer_release_that_came_meanwhile_is_not_deployed_over(
    host: GitHost, service: Service, tmp_path: Path
) -> None:
    """A push may wait hours for the Git host; what was built on the faulty release by then stays, and is named."""
    plan = planned(service)
    push(host, service, tmp_path, "newer.py")
    seen = clone(host, service, tmp_path)
    git("tag", "v1.3.0", "main", at=seen)
    git("push", "--quiet", "origin", "refs/tags/v1.3.0", at=seen, token=host.token("team"))
    before = refs(host, service)

    with pytest.raises(Refused, match=r"v1\.3\.0 was released on top of v1\.2\.0 while we waited, and v1\.2\.1 would"):
        taken_out(plan)
    assert refs(host, service) == before


def test_what_was_known_to_be_no_release_stands_in_no_way(host: GitHost, service: Service, tmp_path: Path) -> None:
    """v1.3.0 is called like a release, and its Release says that it is none: seen when it was planned, and passed."""
    push(host, service, tmp_path, "newer.py")
    seen = clone(host, service, tmp_path)
    git("tag", "v1.3.0", "main", at=seen)
    git("push", "--quiet", "origin", "refs/tags/v1.3.0", at=seen, token=host.token("team"))
    preview = Release(9, "v1.3.0", "v1.3.0", "", False, True, NOW)
    history = read_history.fn(service, "v1.2.0")
    plan = plan_revert(service, parse_version("v1.2.0"), history, [*RELEASES, preview], CAUSE)

    assert plan.previews == ("v1.3.0",)
    assert taken_out(plan).tag == "v1.2.1"


def burn(host: GitHost, service: Service, tag: str) -> None:
    """An immutable release had the name, and is gone with its tag."""
    token, path = host.token("team"), f"/repos/{service.repository}/releases"
    host.immutable_releases(service.repository)
    made = rest(host, token, "POST", path, tag_name=tag, target_commitish="main").raise_for_status().json()
    rest(host, token, "DELETE", f"{path}/{made['id']}").raise_for_status()
    rest(host, token, "DELETE", f"/repos/{service.repository}/git/refs/tags/{tag}").raise_for_status()


def test_numbers_that_immutable_releases_burned_are_passed_over(host: GitHost, service: Service) -> None:
    """More of them than tries that main may move; nothing shows them before the host declines the tag."""
    for number in range(1, 8):
        burn(host, service, f"v1.2.{number}")
    plan = planned(service)
    assert plan.patch_tag == "v1.2.1"

    assert taken_out(plan).tag == "v1.2.8"
    assert git("tag", "--list", "v1.2.*", at=host.bare(service.repository)).split() == ["v1.2.0", "v1.2.8"]


def test_a_repository_that_declines_every_tag_is_refused(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule on the creation of tags reads like a burned name; it does not end, and its way out is a right."""
    monkeypatch.setattr(push_module, "MOST_BURNED", 3)
    for number in range(1, 5):
        burn(host, service, f"v1.2.{number}")
    before = refs(host, service)

    with pytest.raises(Refused, match=r"creates none of the tags v1\.2\.1 to v1\.2\.3: .* bypass it"):
        taken_out(planned(service))
    assert refs(host, service) == before


def test_a_number_that_only_a_release_has_is_not_taken_when_ours_is_gone(
    host: GitHost, service: Service, tmp_path: Path
) -> None:
    """v1.2.1 is a Release without its tag, so v1.2.2 was planned; taken meanwhile, v1.2.3 is next and not v1.2.1."""
    releases = [*RELEASES, Release(9, "v1.2.1", "v1.2.1", "", False, False, NOW)]
    history = read_history.fn(service, "v1.2.0")
    plan = plan_revert(service, parse_version("v1.2.0"), history, releases, CAUSE)
    assert plan.patch_tag == "v1.2.2"
    seen = clone(host, service, tmp_path)
    git("push", "--quiet", "origin", "v1.1.0^{commit}:refs/tags/v1.2.2", at=seen, token=host.token("team"))

    assert taken_out(plan).tag == "v1.2.3"


def test_pushes_at_the_same_time_leave_one_commit_and_one_tag(host: GitHost, service: Service) -> None:
    """Three threads that push without knowing of each other agree on the result."""
    plan = planned(service)
    tags = git("tag", at=host.bare(service.repository)).splitlines()

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(taken_out, [plan] * 3))

    there = host.bare(service.repository)
    assert len({pushed.commit for pushed in done}) == 1
    assert git("rev-list", "--count", f"{plan.faulty_commit}..main", at=there) == "1"
    assert git("tag", at=there).splitlines() == sorted([*tags, "v1.2.1"])


def test_main_that_moves_while_we_push_is_not_overwritten(
    host: GitHost, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that wins the race becomes our parent, stays in the tree, and is named as kept."""
    rivals: list[str] = []

    def after_a_rival(bare: Repository, plan: RevertPlan, parent: str, tree: str, message: str) -> str:
        rivals.extend([] if rivals else [push(host, service, tmp_path, "rival")])
        return commit_revert(bare, plan, parent, tree, message)

    monkeypatch.setattr("tasks.git.push.commit_revert", after_a_rival)

    pushed = taken_out(planned(service))

    bare = host.bare(service.repository)
    assert git("rev-parse", "v1.2.1^{commit}^@", at=bare).split() == rivals == [pushed.parent]
    assert git("diff", "--name-only", "v1.1.0", "v1.2.1", at=bare) == "rival"
    message = git("log", "-1", "--format=%B", "v1.2.1", at=bare)
    assert f"Keeps what came after it:\n\n  {rivals[0][:12]} " in message


def test_a_main_that_never_rests_is_given_up(
    host: GitHost, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five lost races it is Refused with the way out; the rivals' work stays and no tag is left."""
    rivals: list[str] = []

    def after_a_rival(bare: Repository, plan: RevertPlan, parent: str, tree: str, message: str) -> str:
        rivals.append(push(host, service, tmp_path, f"rival-{len(rivals)}"))
        return commit_revert(bare, plan, parent, tree, message)

    monkeypatch.setattr("tasks.git.push.commit_revert", after_a_rival)
    plan = planned(service)

    with pytest.raises(Refused, match="moved 5 times while we pushed: freeze merges and retry"):
        taken_out(plan)
    bare = host.bare(service.repository)
    assert git("rev-list", "--reverse", "main", "--not", "v1.2.0", at=bare).split() == rivals
    assert git("tag", "--list", "v1.2.*", at=bare) == "v1.2.0"


@pytest.mark.parametrize("to", ["v1.1.0", "main"])
def test_a_faulty_tag_that_is_moved_after_the_plan_is_refused(host: GitHost, service: Service, to: str) -> None:
    """What was to be taken out is not what the tag says now: nothing is pushed, and the sentence says so."""
    plan, bare = planned(service), host.bare(service.repository)
    moved = git("rev-parse", f"{to}^{{commit}}", at=bare) if to != "main" else git("rev-parse", "main^1", at=bare)
    git("update-ref", "refs/tags/v1.2.0", moved, at=bare)
    before = refs(host, service)

    with pytest.raises(Refused, match=r"v1\.2\.0 of .* was moved meanwhile: put it back where it was and retry"):
        taken_out(plan)
    assert refs(host, service) == before
