"""A GitHub App instead of a token: made with its key, renewed before it ends, and every reason why it is not had."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from github import Auth

from infra.lab.githost import GitHost
from infra.lab.process import free_port, wait_until
from recovery.errors import Refused, Unavailable
from tasks.credentials import sources
from tasks.git import read_history
from tasks.git.copies import ephemeral
from tasks.github import check_github, open_pull, publish_release, read_releases, wait_and_merge
from tests.integration.app_shop import install, pair, unset
from tests.integration.github_shop import Shop, new_shop

BRANCH = "revert/v1.2.0"


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop
    sources._kept.clear()


def calls(shop: Shop, login: str, since: int = 0) -> list[dict[str, Any]]:
    """What was asked of the shop by an App's bot, or without one that the host knew."""
    seen = shop.host.requests()[since:]
    return [each for each in seen if each["user"] in (login, None) and shop.name in each["path"]]


def minted(shop: Shop, number: int) -> list[int]:
    """The statuses of all requests for a token of an installation."""
    path = f"/app/installations/{number}/access_tokens"
    return [each["status"] for each in shop.host.requests() if each["path"].endswith(path)]


def test_an_app_reads_and_writes_with_one_token(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By REST and by git, as the App's bot; the installation is found by the repository."""
    publication = shop.publication()
    app = install(shop.host, monkeypatch, tmp_path, "reader-writer")
    since = len(shop.host.requests())
    assert check_github(shop.service).startswith(f"{shop.name} has 2 releases")
    publish_release.fn(publication)
    assert read_history.fn(shop.service, "v1.2.0").faulty == shop.bare("rev-parse", "v1.2.0^{commit}")

    assert len(shop.releases()["v1.2.1"]) == 1
    assert {each["user"] for each in calls(shop, app.login, since)} == {app.login}
    assert minted(shop, app.number) == [201]


def test_a_token_that_ends_in_a_wait_is_renewed_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """REST in the wait for a check, and git in a step that goes on: neither is declined once."""
    app = install(shop.host, monkeypatch, tmp_path, "short-lived", seconds=3)
    shop.host.protect(shop.name, "main", ("build",), ruleset=True)
    sha = shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    since = len(shop.host.requests())
    with ThreadPoolExecutor(1) as pool, ephemeral(shop.name) as bare:
        waiting = pool.submit(wait_and_merge.fn, shop.service, pull, "t", "m")
        wait_until(lambda: len(minted(shop, app.number)) >= 3, what="two renewals", seconds=60, every=0.2)
        assert bare.git("ls-remote", "--heads", "origin", "main").startswith(shop.bare("rev-parse", "main"))
        shop.host.set_check(shop.name, sha, "build", "success")

        assert waiting.result(60).merged_as == shop.bare("rev-parse", "main")
    assert set(minted(shop, app.number)) == {201}
    assert 401 not in {each["status"] for each in calls(shop, app.login, since)}


def test_tokens_that_are_revoked_in_the_middle_are_made_anew(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """GitHub says 401 once to each of the two, and what was asked is asked again."""
    app = install(shop.host, monkeypatch, tmp_path, "revoked")
    with ephemeral(shop.name) as bare:
        assert len(read_releases.fn(shop.service)) == 2
        shop.host.revoke_app_tokens()
        assert len(read_releases.fn(shop.service)) == 2
        shop.host.revoke_app_tokens()
        assert bare.git("ls-remote", "--heads", "origin", "main")

    assert minted(shop, app.number) == [201, 201, 201]


def test_an_app_that_is_suspended_in_the_middle_is_said(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By REST and by git, in GitHub's words, at once."""
    app = install(shop.host, monkeypatch, tmp_path, "suspended")
    with ephemeral(shop.name) as bare:
        shop.host.suspend_app(app.number)
        for act in (lambda: read_releases.fn(shop.service), lambda: bare.git("ls-remote", "origin")):
            with pytest.raises(Refused, match=rf"no token to the GitHub App {app.app} for .* has been suspended"):
                act()


def test_a_token_that_is_revoked_in_a_wait_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can renew a plain token but a person: the wait ends with a sentence, and the token is not in it."""
    shop.host.protect(shop.name, "main", ("build",), ruleset=True)
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    token = shop.host.token("leaving")
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", token)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_and_merge.fn, shop.service, pull, "t", "m")
        wait_until(lambda: "leaving" in {each["user"] for each in shop.host.requests()}, what="a look", seconds=30)
        shop.host.revoke_token("leaving")
        with pytest.raises(
            Refused, match=r"does not know the token \(.*\), or no longer: set RIPCORD_GITHUB_TOKEN$"
        ) as said:
            waiting.result(30)
    assert token not in str(said.value)
    with pytest.raises(Refused, match=r"does not know the token: .*; set RIPCORD_GITHUB_TOKEN$") as said:
        read_history.fn(shop.service, "v1.2.0")
    assert token not in str(said.value)


def test_the_key_may_stand_in_one_line_and_the_app_be_named_otherwise(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the environment, with the ends of lines written as \\n; by the client id, with the installation named."""
    app = install(shop.host, monkeypatch, tmp_path, "one-line")
    unset(monkeypatch)
    monkeypatch.setenv("RIPCORD_GITHUB_APP", "Iv23lione-line")
    monkeypatch.setenv("RIPCORD_GITHUB_APP_KEY", pair()[0].replace("\n", "\\n"))
    monkeypatch.setenv("RIPCORD_GITHUB_APP_INSTALLATION", str(app.number))

    assert len(read_releases.fn(shop.service)) == 2
    assert minted(shop, app.number) == [201]


def test_the_app_finds_a_repository_that_was_renamed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The catalogue has the old name still, for the App as for git."""
    install(shop.host, monkeypatch, tmp_path, "renaming")
    shop.host.rename(shop.name, f"{shop.name}-renamed")

    assert len(read_releases.fn(shop.service)) == 2
    assert read_history.fn(shop.service, "v1.2.0")


def test_the_check_names_the_permission_that_an_app_lacks(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Workflows cannot be tried without effect, but GitHub says what an installation grants."""
    app = install(shop.host, monkeypatch, tmp_path, "without-workflows", workflows=False)

    with pytest.raises(Refused, match=rf"the GitHub App {app.app} may not do all on .*: give it Workflows: write, for"):
        check_github(shop.service)


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "no key": ({"APP_KEY_FILE": None}, r"private key of .* comes from one place, none is set: set one of"),
    "two keys": ({"APP_KEY": "x"}, "one place, RIPCORD_GITHUB_APP_KEY and RIPCORD_GITHUB_APP_KEY_FILE are set"),
    "a token, too": ({"TOKEN": "ghp_sesame"}, "RIPCORD_GITHUB_TOKEN and RIPCORD_GITHUB_APP are set, .* unset"),
    "a key that is not there": ({"APP_KEY_FILE": "/nowhere/key.pem"}, r"/nowhere/key\.pem cannot be read"),
    "a key that is none": ({"APP_KEY_FILE": None, "APP_KEY": "sesame"}, "is none that signs .*: make a new one"),
    "another app's number": ({"APP": "999999"}, "Integration not found"),
    "no such installation": ({"APP_INSTALLATION": "999999"}, r"is not installed on acme/.*APP_INSTALLATION"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_an_app_is_said(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    """One sentence by REST and by git, refused, and no word of a key or a token in it."""
    install(shop.host, monkeypatch, tmp_path, "wrong")
    changes, sentence = WRONG[wrong]
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(f"RIPCORD_GITHUB_{name}")
        else:
            monkeypatch.setenv(f"RIPCORD_GITHUB_{name}", value)
    for act in (lambda: check_github(shop.service), lambda: read_history.fn(shop.service, "v1.2.0")):
        with pytest.raises(Refused, match=sentence) as said:
            act()
        assert "sesame" not in str(said.value)
        assert "PRIVATE" not in str(said.value)


def test_a_key_that_is_not_the_apps_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GitHub cannot verify what it signs."""
    install(shop.host, monkeypatch, tmp_path, "other-key")
    other = shop.host.register_app("other", _another_public_key())
    monkeypatch.setenv("RIPCORD_GITHUB_APP", str(other))

    with pytest.raises(Refused, match=rf"does not know the GitHub App {other} by its key \(A JSON web token"):
        read_releases.fn(shop.service)


def test_a_github_that_hands_out_no_token_now_is_asked_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Down, in trouble or limiting: nothing is refused, and the next try has a token."""
    install(shop.host, monkeypatch, tmp_path, "patient")
    with monkeypatch.context() as down:
        down.setenv("RIPCORD_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}/api/v3")
        with pytest.raises(Unavailable, match="did not answer"):
            read_history.fn(shop.service, "v1.2.0")
    for fault in ({"status": 502}, {"limit": "secondary"}):
        shop.host.break_calls({"method": "POST", "path": "/access_tokens$", **fault})
        with pytest.raises(Unavailable):
            read_releases.fn(shop.service)

    assert len(read_releases.fn(shop.service)) == 2


def test_a_jwt_is_only_taken_while_it_is_good(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The double asks of it what GitHub does, whoever signs."""
    app = install(shop.host, monkeypatch, tmp_path, "strict")
    url = f"{shop.host.api_url}/repos/{shop.name}/installation"
    signer = Auth.AppAuth(app.app, pair()[0])
    good = signer.create_jwt()
    hour = time.time() - 3600
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: hour)
        old = signer.create_jwt()
    for jwt in (old, good[:-8], "x"):
        assert httpx.get(url, headers={"Authorization": f"Bearer {jwt}"}, trust_env=False).status_code == 401
    assert httpx.get(url, headers={"Authorization": f"Bearer {good}"}, trust_env=False).json()["id"] == app.number


def _another_public_key() -> str:
    pair.cache_clear()
    return pair()[1]
