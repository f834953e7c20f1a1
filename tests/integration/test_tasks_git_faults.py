"""What stands against a revert: a host that declines or is down, a hostile environment, a token that will not do."""

import base64
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import free_port
from recovery.catalog import Service
from recovery.errors import Incomplete, Refused, Unavailable
from tasks.git import prove_revert, read_history
from tests.integration.plain_git import git
from tests.integration.reverting import NOW, clone, copied, planned, refs, released_shop, taken_out


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with released_shop(tmp_path_factory.mktemp("shop")) as host:
        yield host


@pytest.fixture(name="service")
def _service(host: GitHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with copied(host, monkeypatch) as service:
        yield service


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
    token = host.token("ripcord")
    for told in (token, base64.b64encode(f"x-access-token:{token}".encode()).decode()):
        assert told not in seen
