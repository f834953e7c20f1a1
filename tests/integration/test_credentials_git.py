"""Where git's credentials go, and what its words mean when it is not let in, not led right or cannot sign."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.catalog import Service
from recovery.errors import Refused, Unavailable
from tasks.git import opening, plumbing, prove_revert, read_history
from tasks.git.copies import ephemeral
from tasks.git.revert import tag_commit
from tests.integration.plain_git import git
from tests.integration.redirecting import sending
from tests.integration.reverting import NOW, copied, planned, refs, released_shop, taken_out


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with released_shop(tmp_path_factory.mktemp("shop")) as host:
        yield host


@pytest.fixture(name="service")
def _service(host: GitHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with copied(host, monkeypatch) as service:
        yield service


def test_the_credentials_go_to_no_other_host(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git would take header and password to wherever it is sent: it is not let go, and the sentence says where to."""
    with sending(lambda path: None) as other, sending(lambda path: f"{other.url}{path}") as host:
        monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
        with pytest.raises(Refused, match=r"sends us to http://127\.0\.0\.1, .*set RIPCORD_GITHUB_GIT_URL"):
            read_history.fn(service, "v1.2.0")

        assert all(told for _, told in host.asked)
        assert other.asked == []


def test_a_circle_of_addresses_has_an_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five moves it is said, and by nobody waited for."""
    with sending(lambda path: path) as host:
        monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", host.url)
        with pytest.raises(Refused, match=r"sends us in a circle: name the repository .* as it is called now"):
            read_history.fn(service, "v1.2.0")

        assert len(host.asked) < 10


def test_a_renamed_repository_is_read_and_pushed_to(host: GitHost, service: Service) -> None:
    """The catalogue has the old name still; what is pushed is on the new one, with the token at the first call."""
    plan = planned(service)
    renamed = service.model_copy(update={"repository": f"{service.repository}-renamed"})
    host.rename(service.repository, renamed.repository)
    since = len(host.requests())

    pushed = taken_out(plan)

    prove_revert.fn(plan, pushed)
    assert git("rev-parse", "v1.2.1^{commit}", at=host.bare(renamed.repository)) == pushed.commit
    assert 401 not in {each["status"] for each in host.requests()[since:]}


def test_a_repository_that_is_not_there_is_refused(service: Service) -> None:
    """It, or the right to see it: trying again would not help."""
    with pytest.raises(Refused, match=r"does not let us fetch: .*not found; check RIPCORD_GITHUB_TOKEN"):
        read_history.fn(service.model_copy(update={"repository": "acme/nope"}), "v1.2.0")


def test_a_host_whose_name_is_not_resolved_is_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this machine's own resolver."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", "http://git.invalid")

    with pytest.raises(Unavailable, match="Could not resolve host"):
        read_history.fn(service, "v1.2.0")


def test_a_transfer_takes_longer_than_a_call_may(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first fetch of a large repository would be cut, begin anew, and never come to its end."""
    monkeypatch.setattr(plumbing, "CALL_SECONDS", 1.0)
    post = {"method": "POST", "path": "upload-pack$", "status": 0}
    host.break_calls(post, post | {"delay_seconds": 2.0})  # the listing, and what is fetched
    try:
        with ephemeral(service.repository) as bare:
            assert bare.commit_of(bare.listed["refs/tags/v1.2.0"])
    finally:
        host.break_calls()


def test_a_host_without_a_sign_of_life_is_given_up(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer has an hour, but not in silence."""
    monkeypatch.setitem(opening._PUBLIC, "GIT_HTTP_LOW_SPEED_TIME", "2")
    host.break_calls({"method": "GET", "path": "info/refs$", "status": 0, "delay_seconds": 30})
    begun = time.monotonic()
    try:
        with pytest.raises(Unavailable, match="Operation too slow"):
            read_history.fn(service, "v1.2.0")
    finally:
        host.break_calls()
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("kind", ["ssh", "openpgp"])
def test_a_key_that_is_not_there_is_refused_at_once(
    host: GitHost, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Trying again would not help; the sentence says where to look, and every ref stays."""
    if shutil.which({"ssh": "ssh-keygen", "openpgp": "gpg"}[kind]) is None:
        pytest.skip(f"{kind} is not installed")
    plan, before = planned(service), refs(host, service)
    monkeypatch.setenv("RIPCORD_SIGNING_KEY", str(tmp_path / "none") if kind == "ssh" else "nobody@acme.example")
    monkeypatch.setenv("RIPCORD_SIGNING_FORMAT", kind)
    monkeypatch.setenv("GNUPGHOME", tempfile.mkdtemp(prefix="gpg"))

    with pytest.raises(Refused, match=r"nothing can be signed for .*check RIPCORD_SIGNING_KEY and"):
        taken_out(plan)
    with ephemeral(service.repository) as bare, pytest.raises(Refused, match="nothing can be signed for "):
        tag_commit(bare, "v1.2.1", plan.faulty_commit, "As a merge is tagged.", NOW)
    assert refs(host, service) == before
