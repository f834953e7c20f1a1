"""Statuses, rights and failures on the lab's GitHub; plain HTTP is the witness."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import free_port
from recovery.errors import Refused, Unavailable
from tasks.github import check_github, publish_release, read_releases, write_status
from tests.integration.github_shop import Shop, new_shop


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


def statuses(shop: Shop, tag: str) -> list[str]:
    """Every verdict of ours ever written on a tag's commit, newest first."""
    found = shop.get(f"/commits/{tag}/statuses?per_page=100")
    return [each["state"] for each in found if each["context"] == "ripcord/verdict"]


def test_a_verdict_is_written_once(shop: Shop) -> None:
    """Twice the same is one status; another verdict is a second one."""
    first = write_status.fn(shop.service, "v1.1.0", "success", "no breach " * 40)
    second = write_status.fn(shop.service, "v1.1.0", "success", "no breach")

    assert (first, second) == ("wrote success on v1.1.0", "skipped: v1.1.0 already says success")
    assert statuses(shop, "v1.1.0") == ["success"]
    assert write_status.fn(shop.service, "v1.1.0", "failure", "breach") == "wrote failure on v1.1.0"
    assert statuses(shop, "v1.1.0") == ["failure", "success"]


def test_a_branch_that_is_called_like_the_tag_gets_no_verdict(shop: Shop) -> None:
    """The commit is asked for by the tag's full name, and the verdict written on its id."""
    shop.push("main:refs/heads/v1.1.0")

    write_status.fn(shop.service, "v1.1.0", "success", "no breach")

    assert statuses(shop, shop.bare("rev-parse", "refs/tags/v1.1.0^{commit}")) == ["success"]
    assert statuses(shop, shop.bare("rev-parse", "refs/heads/v1.1.0")) == []


def test_a_verdict_on_what_is_no_tag_of_a_commit_is_refused(shop: Shop) -> None:
    """There is none, though there is such a branch; one that stands for a tree; one of a tag of a tag is found."""
    shop.push("main:refs/heads/v9.9.9")
    shop.bare("update-ref", "refs/tags/v9.9.8", shop.bare("rev-parse", "main^{tree}"))
    shop.bare("-c", "user.name=A", "-c", "user.email=a@lab", "tag", "-a", "-m", "x", "v9.9.7", "refs/tags/v1.1.0")

    with pytest.raises(Refused, match=r"has no tag v9\.9\.9: push it first"):
        write_status.fn(shop.service, "v9.9.9", "success", "no breach")
    with pytest.raises(Refused, match=r"v9\.9\.8 of .* stands for a tree and for no commit"):
        write_status.fn(shop.service, "v9.9.8", "success", "no breach")
    assert write_status.fn(shop.service, "v9.9.7", "success", "no breach") == "wrote success on v9.9.7"


def test_a_verdict_among_many_statuses_is_found(shop: Shop) -> None:
    """GitHub gives them a page at a time."""
    write_status.fn(shop.service, "v1.1.0", "success", "no breach")
    sha = shop.bare("rev-parse", "v1.1.0^{commit}")
    for number in range(101):
        shop.send("POST", f"/statuses/{sha}", state="success", context=f"check-{number}")

    assert write_status.fn(shop.service, "v1.1.0", "success", "no breach").startswith("skipped")


def test_a_status_that_could_not_be_written_is_written_on_the_next_try(shop: Shop) -> None:
    """Whether or not it had an effect, one stands there at the end."""
    for after_effect in (False, True):
        fault = {"method": "POST", "path": "/statuses/", "status": 502, "after_effect": after_effect}
        shop.host.break_calls(fault)
        with pytest.raises(Unavailable, match="502"):
            write_status.fn(shop.service, "v1.1.0", "success", "no breach")

    assert write_status.fn(shop.service, "v1.1.0", "success", "no breach").startswith("skipped")
    assert statuses(shop, "v1.1.0") == ["success"]


def test_a_token_that_github_does_not_know_is_named_and_not_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the setting to look at."""
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", "ghp_wrong0123456789")

    with pytest.raises(Refused, match=r"GitHub does not know the token .*set RIPCORD_GITHUB_TOKEN") as refused:
        read_releases.fn(shop.service)
    assert "ghp_wrong" not in str(refused.value)


def test_a_token_that_may_only_read_is_refused_with_the_permission(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub's 403 becomes what the token needs for just that; nothing was written."""
    publication = shop.publication()
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.token("reader", write=False))

    with pytest.raises(Refused, match=rf"not allow this on {shop.name} \(.*the token needs Contents: write$"):
        publish_release.fn(publication)
    with pytest.raises(Refused, match=r"the token needs Commit statuses: write$"):
        write_status.fn(shop.service, "v1.1.0", "success", "no breach")
    assert "v1.2.1" not in shop.releases()
    assert statuses(shop, "v1.1.0") == []


def test_a_repository_that_is_not_there_is_refused(shop: Shop) -> None:
    """It, or the right to see it."""
    with pytest.raises(Refused, match="has no acme/nope"):
        read_releases.fn(shop.service.model_copy(update={"repository": "acme/nope"}))


def test_a_github_that_is_down_is_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is Unavailable."""
    monkeypatch.setenv("RIPCORD_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}/api/v3")

    with pytest.raises(Unavailable, match="did not answer"):
        read_releases.fn(shop.service)


def test_the_check_tries_each_right_and_changes_nothing(shop: Shop) -> None:
    """Pull requests too, where main takes nothing else; the sentence says what main asks for."""
    assert check_github(shop.service) == (
        f"{shop.name} has 2 releases; Releases and statuses may be written; main asks for nothing"
    )
    shop.host.protect(shop.name, "main", ("build",), ruleset=True)

    assert check_github(shop.service).endswith(
        "Releases, statuses, pull requests may be written; main asks for a pull request, the checks build"
    )
    assert len(shop.releases()) == 2
    assert shop.pulls() == []
    assert set(shop.calls("POST", "/releases")) == {422}


def test_the_check_names_every_permission_that_is_missing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, in the words of GitHub's settings."""
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.token("reader", write=False))
    service = shop.service.model_copy(update={"via": "pull-request"})

    with pytest.raises(Refused, match=r"give it Contents: write, Commit statuses: write, Pull requests: write$"):
        check_github(service)
    shop.host.break_calls(
        {"method": "GET", "path": "/deployments$", "status": 403},
        {"method": "GET", "path": "/actions/runs$", "status": 404},
    )
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN", shop.host.token("ripcord"))
    with pytest.raises(Refused, match=r"give it Deployments: read or Actions: read$"):
        check_github(service)
