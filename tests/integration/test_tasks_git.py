"""The revert on a real Git host; plain git in a fresh clone is the witness."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.errors import Refused
from tasks.git import preview_revert, prove_revert, read_taken_back
from tests.histories.remote import shell
from tests.integration.plain_git import git
from tests.integration.reverting import clone, copied, planned, push, refs, released_shop, taken_out


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with released_shop(tmp_path_factory.mktemp("shop")) as host:
        yield host


@pytest.fixture(name="service")
def _service(host: GitHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with copied(host, monkeypatch) as service:
        yield service


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
    """Each command of the proof, word for word in a fresh clone, prints what the proof says."""
    plan = planned(service)
    proof = prove_revert.fn(plan, taken_out(plan))

    seen = clone(host, service, tmp_path)
    assert len(proof.lines) == 9
    for command, printed in proof.lines:
        assert shell(seen, command) == printed


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


def test_the_same_plan_gives_the_same_objects(host: GitHost, service: Service) -> None:
    """Made once more on a host that lost everything, commit and tag carry the same ids."""
    plan, before = planned(service), host.bare(service.repository)
    taken_out(plan)
    first = refs(host, service)
    git("update-ref", "-d", "refs/tags/v1.2.1", at=before)
    git("update-ref", "refs/heads/main", plan.faulty_commit, at=before)

    taken_out(plan)

    assert refs(host, service) == first
