"""What a revert asks of the Git host, as the host counts it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.reverts import RevertPlan
from tasks.git import copies, laws, plumbing, preview_revert, read_range
from tests.integration.plain_git import git
from tests.integration.reverting import copied, planned, push, refs, released_shop, taken_out

MOST_CALLS = 17  # of git, from the first look to the push


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with released_shop(tmp_path_factory.mktemp("shop")) as host:
        yield host


@pytest.fixture(name="service")
def _service(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("RIPCORD_GIT_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid4()))  # as in the process of a run
    with copied(host, monkeypatch) as service:
        yield service


def asked(host: GitHost, since: int) -> list[dict[str, Any]]:
    """The calls by which git read or wrote since so many calls."""
    return [each for each in host.requests()[since:] if "/git-" in each["path"] or "/info/refs" in each["path"]]


def previewed(service: Service) -> RevertPlan:
    """Planned, previewed and looked into, as a rehearsal does."""
    plan = planned(service)
    preview_revert.fn(plan)
    read_range.fn(service, plan.faulty_tag, plan.stable_tag)
    return plan


def test_the_token_goes_with_the_first_call(host: GitHost, service: Service) -> None:
    """No call is declined first: neither the copies nor the push ask without a token before they ask with it."""
    before = len(host.requests())
    taken_out(previewed(service))

    seen = asked(host, before)
    assert {each["status"] for each in seen} == {200}
    assert {each["user"] for each in seen} == {"ripcord"}


def test_a_push_fetches_nothing_after_a_preview(host: GitHost, service: Service) -> None:
    """What the stable release's annotated tag makes git send was fetched before, and the refs are known."""
    bare = host.bare(service.repository)
    assert git("cat-file", "-t", "v1.1.0", at=bare) == "tag"
    plan, before = previewed(service), len(host.requests())

    taken_out(plan)

    seen = [(each["method"], each["path"].rpartition("/")[2]) for each in asked(host, before)]
    assert [each for each in seen if "upload-pack" in each[1]] == []
    assert [each for each in seen if "receive-pack" in each[1]] == [("POST", "git-receive-pack")]


def test_a_second_preview_fetches_no_file_again(host: GitHost, service: Service) -> None:
    """What the first one fetched is kept: the host is only asked for its refs."""
    previewed(service)
    before = len(host.requests())
    previewed(service)

    assert len(asked(host, before)) == len(["capabilities", "refs"])


def test_outside_of_a_run_every_step_asks_anew(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two calls from a command line somebody may have pushed what the second must see."""
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")
    previewed(service)
    before = len(host.requests())
    previewed(service)

    assert len(asked(host, before)) == 3 * len(["capabilities", "refs"])


def test_main_that_moved_since_the_preview_is_not_overwritten(host: GitHost, service: Service, tmp_path: Path) -> None:
    """The listing of a moment ago lacks the rival; the host declines the push, and the next look sees it."""
    plan = previewed(service)
    rival = push(host, service, tmp_path, "rival")

    pushed = taken_out(plan)

    bare = host.bare(service.repository)
    assert pushed.parent == rival
    assert git("diff", "--name-only", "v1.1.0", "v1.2.1", at=bare) == "rival"


def test_a_faulty_tag_that_was_moved_since_the_preview_is_refused(host: GitHost, service: Service) -> None:
    """The push names the faulty tag as it was seen, and the host has another one: nothing is pushed."""
    plan, bare = previewed(service), host.bare(service.repository)
    git("update-ref", "refs/tags/v1.2.0", git("rev-parse", "v1.1.0^{commit}", at=bare), at=bare)
    before = refs(host, service)

    with pytest.raises(Refused, match=r"v1\.2\.0 of .* was moved meanwhile: put it back where it was and retry"):
        taken_out(plan)
    assert refs(host, service) == before


def test_a_second_push_looks_anew(host: GitHost, service: Service) -> None:
    """A push whose answer was lost is not tried on what was seen before it."""
    plan = previewed(service)
    first = taken_out(plan)
    before = refs(host, service)

    again = taken_out(plan)

    assert (again.commit, again.tag) == (first.commit, first.tag)
    assert again.said.startswith("skipped: ")
    assert refs(host, service) == before


def test_a_revert_that_is_prepared_starts_git_a_few_times_only(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where main still stands on the release, what came after it is asked of nobody; each call costs milliseconds."""
    previewed(service)  # so that everything is kept
    plumbing._known.clear()
    copies._facts.clear()
    laws._previews.clear()
    calls: list[str] = []
    run = plumbing.Repository._run

    def counted(self: plumbing.Repository, arguments: Sequence[str], *rest: Any) -> tuple[int, str, str]:
        calls.append(arguments[0])
        return run(self, arguments, *rest)

    monkeypatch.setattr(plumbing.Repository, "_run", counted)
    taken_out(previewed(service))

    assert len(calls) <= MOST_CALLS, calls
