"""The revert on a real Git host; plain git in a fresh clone is the witness."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from infra.lab.githost import GitHost, git_host
from infra.lab.process import free_port
from infra.lab.team import Team
from recovery.catalog import Service
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.incidents import Cause
from recovery.releases import Release
from recovery.reverts import Pushed, RevertPlan, plan_revert
from recovery.versions import parse_version
from recovery.ways import Decision, Way
from tasks.git import preview_revert, prove_revert, push_revert, read_history, read_taken_back
from tasks.git import push as push_module
from tasks.git.plumbing import Repository
from tasks.git.revert import commit_revert
from tests.integration.plain_git import commit, git, rest

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAUSE = Cause(sentence="checkout fails", seen_at=NOW)
RELEASES = [Release(n, tag, tag, "", False, False, NOW) for n, tag in enumerate(("v1.0.0", "v1.1.0", "v1.2.0"))]
CASES = count(1)


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with git_host(tmp_path_factory.mktemp("githost")) as host:
        team = Team(host, directory=tmp_path_factory.mktemp("team"))
        team.start()
        team.release("v1.1.0")
        team.release("v1.2.0")
        yield host


@pytest.fixture(name="service")
def _service(host: GitHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A repository of the test's own, as the team left the shop's."""
    repository = f"acme/case{next(CASES)}"
    host.create_repository(repository)
    shutil.copytree(host.bare("acme/shop"), host.bare(repository), dirs_exist_ok=True)
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", host.api_url)
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("ripcord"))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    with disable_run_logger():
        yield Service(name="shop", namespace="acme", repository=repository)


def planned(service: Service) -> RevertPlan:
    """The plan for v1.2.0, from what the host says now."""
    return plan_revert(service, parse_version("v1.2.0"), read_history.fn(service, "v1.2.0"), RELEASES, CAUSE)


def taken_out(plan: RevertPlan) -> Pushed:
    """Pushed straight to main."""
    pushed = push_revert.fn(plan, Decision(Way.PUSH, ""))
    assert pushed is not None
    return pushed


def refs(host: GitHost, service: Service) -> str:
    """Every ref on the host's disk."""
    return git("for-each-ref", "--format=%(refname) %(objectname)", at=host.bare(service.repository))


def clone(host: GitHost, service: Service, directory: Path, branch: str = "main") -> Path:
    """A fresh clone, as a person makes it."""
    url = host.clone_url(service.repository)
    place = directory / f"clone{next(CASES)}"
    git("clone", "--quiet", "--branch", branch, url, str(place), at=directory, token=host.token("team"))
    return place


def push(host: GitHost, service: Service, directory: Path, name: str, branch: str = "main") -> str:
    """Later work of the team on one file."""
    place = clone(host, service, directory, branch)
    made = commit(place, name, "later = True\n")
    git("push", "--quiet", "origin", branch, at=place, token=host.token("team"))
    return made


def test_the_patch_release_is_the_stable_one_byte_for_byte(host: GitHost, service: Service, tmp_path: Path) -> None:
    """One commit on main and an annotated tag, both with the faulty release's name on them; the faulty tag stays."""
    plan = planned(service)
    pushed = taken_out(plan)

    seen = clone(host, service, tmp_path)
    assert pushed.tag == "v1.2.1"
    assert git("rev-parse", "v1.2.1^{tree}", at=seen) == git("rev-parse", "v1.1.0^{tree}", at=seen)
    assert git("cat-file", "-t", "v1.2.1", at=seen) == "tag"
    assert git("rev-parse", "v1.2.0^{commit}", at=seen) == plan.faulty_commit
    assert git("log", "-1", "--format=%P", "origin/main", at=seen) == plan.faulty_commit
    trailers = git("log", "-1", "--format=%(trailers:only)", "v1.2.1", at=seen).splitlines()
    assert trailers[0] == f"Reverts-Release: v1.2.0 {plan.faulty_commit}"
    assert trailers[1] == f"Restores-Release: v1.1.0 {git('rev-parse', 'v1.1.0^{commit}', at=seen)}"
    git("fsck", "--strict", at=host.bare(service.repository))


def test_the_proof_holds_when_anybody_runs_it(host: GitHost, service: Service, tmp_path: Path) -> None:
    """Each command of the proof prints in a fresh clone what the proof says."""
    plan = planned(service)
    proof = prove_revert.fn(plan, taken_out(plan))

    seen = clone(host, service, tmp_path)
    assert len(proof.lines) == 7
    for command, printed in proof.lines:
        assert git(*command.split()[1:], at=seen) == printed


def test_the_second_call_changes_nothing(host: GitHost, service: Service) -> None:
    """It finds the first one's commit, says so, and every ref stays."""
    plan = planned(service)
    first = taken_out(plan)
    before = refs(host, service)

    second = taken_out(plan)

    assert second.said.startswith("skipped: v1.2.0 was already taken out as v1.2.1")
    assert (second.commit, second.tag) == (first.commit, first.tag)
    assert refs(host, service) == before
    assert planned(service).done_as == "v1.2.1"


def test_rehearsing_changes_nothing(host: GitHost, service: Service) -> None:
    """Planning and previewing leave every ref as it was."""
    before = refs(host, service)

    seen = preview_revert.fn(planned(service))

    assert seen.tree == git("rev-parse", "v1.1.0^{tree}", at=host.bare(service.repository))
    assert refs(host, service) == before


def test_later_work_that_touches_other_files_is_kept(host: GitHost, service: Service, tmp_path: Path) -> None:
    """The result is the stable tree and the later file, nothing else."""
    push(host, service, tmp_path, "later.py")
    plan = planned(service)
    prove_revert.fn(plan, taken_out(plan))

    seen = clone(host, service, tmp_path)
    assert git("diff", "--name-status", "v1.1.0", "v1.2.1", at=seen) == "A\tlater.py"
    assert [kept.title for kept in plan.kept] == ["Write later.py"]


def test_work_that_comes_after_the_plan_is_kept_too(host: GitHost, service: Service, tmp_path: Path) -> None:
    """The plan is made, main moves, and the push builds on what is there."""
    plan = planned(service)
    moved = push(host, service, tmp_path, "meanwhile.py")

    assert taken_out(plan).parent == moved
    assert git("show", "v1.2.1:meanwhile.py", at=clone(host, service, tmp_path)) == "later = True"


def test_later_work_on_the_same_lines_is_refused(host: GitHost, service: Service, tmp_path: Path) -> None:
    """The refusal names the file, before and in the push, and every ref stays."""
    changed = git("diff", "--name-only", "--diff-filter=M", "v1.1.0", "v1.2.0", "--", "shop",
                  at=host.bare(service.repository)).splitlines()[0]  # fmt: skip
    push(host, service, tmp_path, changed)
    plan, before = planned(service), refs(host, service)

    seen = preview_revert.fn(plan)
    assert (seen.tree, seen.conflicts) == (None, (changed,))
    with pytest.raises(Refused, match=changed):
        taken_out(plan)
    assert refs(host, service) == before


def test_a_patch_release_says_what_it_takes_back(host: GitHost, service: Service, tmp_path: Path) -> None:
    """The one that took v1.2.0 back, and no release before it or after it, nor one whose commit is not v1.2.0's."""
    taken_out(planned(service))
    seen = clone(host, service, tmp_path)
    git("commit", "--quiet", "--allow-empty", "-m", f"Later\n\nReverts-Release: v1.1.0 {'1' * 40}", at=seen)
    git("tag", "v1.2.2", at=seen)
    git("push", "--quiet", "origin", "main", "v1.2.2", at=seen, token=host.token("team"))

    said = {tag: read_taken_back.fn(service, tag) for tag in ("v1.1.0", "v1.2.0", "v1.2.1", "v1.2.2", "v9.9.9")}

    assert said == {"v1.1.0": None, "v1.2.0": None, "v1.2.1": "v1.2.0", "v1.2.2": None, "v9.9.9": None}


def test_a_patch_number_taken_meanwhile_is_left_alone(host: GitHost, service: Service, tmp_path: Path) -> None:
    """Somebody tagged v1.2.1 after the plan was made: ours becomes v1.2.2, theirs stays."""
    plan = planned(service)
    seen = clone(host, service, tmp_path)
    git("tag", "v1.2.1", "v1.1.0^{commit}", at=seen)
    git("push", "--quiet", "origin", "refs/tags/v1.2.1", at=seen, token=host.token("team"))

    assert taken_out(plan).tag == "v1.2.2"
    there = host.bare(service.repository)
    assert git("rev-parse", "v1.2.1", at=there) == plan.stable_commit


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


def test_the_same_plan_gives_the_same_objects(host: GitHost, service: Service) -> None:
    """Made once more on a host that lost everything, commit and tag carry the same ids."""
    plan, before = planned(service), host.bare(service.repository)
    taken_out(plan)
    first = refs(host, service)
    git("update-ref", "-d", "refs/tags/v1.2.1", at=before)
    git("update-ref", "refs/heads/main", plan.faulty_commit, at=before)

    taken_out(plan)

    assert refs(host, service) == first


def test_a_host_that_declines_the_push_is_refused(host: GitHost, service: Service) -> None:
    """Trying again would not help: a person must let us, and every ref stays."""
    plan, before = planned(service), refs(host, service)
    hook = host.bare(service.repository) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(Refused, match="does not let us push to main"):
        taken_out(plan)
    assert refs(host, service) == before


def test_a_wrong_token_is_refused_and_never_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the setting; the token stands nowhere in it."""
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", "ghp_wrong0123456789")

    with pytest.raises(Refused, match="RIPCORD_GITHUB_TOKEN") as refused:
        read_history.fn(service, "v1.2.0")
    assert "ghp_wrong" not in str(refused.value)


def test_a_host_that_is_down_is_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is Unavailable, also where the address happens to read like a refusal."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"http://127.0.0.1:{free_port()}")

    for repository in (service.repository, "acme/shop403"):
        with pytest.raises(Unavailable, match="git fetch"):
            read_history.fn(service.model_copy(update={"repository": repository}), "v1.2.0")


def test_an_empty_repository_has_no_such_tag(host: GitHost, service: Service) -> None:
    """Nothing was ever pushed there: that is no outage, and nobody waits for it to pass."""
    host.create_repository("acme/empty")

    with pytest.raises(Refused, match=r"acme/empty has no tag v1\.2\.0"):
        read_history.fn(service.model_copy(update={"repository": "acme/empty"}), "v1.2.0")


def test_a_hostile_environment_changes_nothing(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Git variables of the shell we were started from reach none of our git calls."""
    plan = planned(service)
    hostile = {
        "GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/nonexistent", "GIT_INDEX_FILE": "/nonexistent",
        "GIT_OBJECT_DIRECTORY": "/nonexistent", "GIT_ASKPASS": "/bin/false", "GIT_AUTHOR_NAME": "Mallory",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy",
        "GIT_CONFIG_VALUE_0": "http://127.0.0.1:1", "GIT_CONFIG_PARAMETERS": "'http.proxy=http://127.0.0.1:1'",
    }  # fmt: skip
    with monkeypatch.context() as shell:
        for name, value in hostile.items():
            shell.setenv(name, value)
        pushed = taken_out(plan)

    seen = clone(host, service, tmp_path)
    assert git("log", "-1", "--format=%an %ct", "v1.2.1", at=seen) == f"ripcord {NOW.timestamp():.0f}"
    assert git("rev-parse", "v1.2.1^{commit}", at=seen) == pushed.commit


def test_nothing_is_left_on_the_disk(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither after a success nor after a refusal."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plan = planned(service)
    taken_out(plan)
    with pytest.raises(Refused, match="no tag v9"):
        read_history.fn(service, "v9.0.0")

    assert list(tmp_path.iterdir()) == []


def test_main_that_moves_while_we_push_is_not_overwritten(
    host: GitHost, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that wins the race becomes our parent and stays in the tree."""
    rivals: list[str] = []

    def after_a_rival(bare: Repository, plan: RevertPlan, parent: str, tree: str, message: str) -> str:
        rivals.extend([] if rivals else [push(host, service, tmp_path, "rival")])
        return commit_revert(bare, plan, parent, tree, message)

    monkeypatch.setattr("tasks.git.push.commit_revert", after_a_rival)

    pushed = taken_out(planned(service))

    bare = host.bare(service.repository)
    assert git("rev-parse", "v1.2.1^{commit}^@", at=bare).split() == rivals == [pushed.parent]
    assert git("diff", "--name-only", "v1.1.0", "v1.2.1", at=bare) == "rival"


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


def test_a_token_that_may_only_read_is_refused(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again would not help, and every ref stays."""
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", host.token("reader", write=False))
    plan, before = planned(service), refs(host, service)

    with pytest.raises(Refused, match="check RIPCORD_GITHUB_TOKEN and its permissions"):
        taken_out(plan)
    assert refs(host, service) == before


def test_a_branch_that_is_not_there_is_refused(service: Service) -> None:
    """A wrong name in the catalogue is no outage, and the sentence says where to mend it."""
    with pytest.raises(Refused, match="has no branch trunk: set `main` of the service in the catalogue"):
        read_history.fn(service.model_copy(update={"main": "trunk"}), "v1.2.0")


def test_a_patch_that_somebody_moved_is_not_proved(host: GitHost, service: Service) -> None:
    """The proof reads the remote afresh, and names what does not hold and what was done before."""
    plan = planned(service)
    pushed = taken_out(plan)
    git("update-ref", "refs/tags/v1.2.1", "v1.2.0^{commit}", at=host.bare(service.repository))

    with pytest.raises(Incomplete, match=r"does not hold that v1\.2\.1 is .*done before: pushed"):
        prove_revert.fn(plan, pushed)


def test_the_token_is_in_no_argument_and_no_configuration(
    host: GitHost, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What git and the programs it starts are called with, and what it keeps, never holds the token."""
    log, spy = tmp_path / "log", tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{log}\nGIT_TRACE={log} {shutil.which("git")} "$@"\nstatus=$?\n'
        f'cat "${{1#--git-dir=}}/config" >>{log} 2>&1\nexit $status\n'
    )
    spy.chmod(0o755)
    plan = planned(service)
    with monkeypatch.context() as shell:
        shell.setenv("PATH", str(spy.parent), prepend=":")
        taken_out(plan)

    seen = log.read_text()
    assert "git-remote-http" in seen
    assert '[remote "origin"]' in seen
    assert host.token("ripcord") not in seen
