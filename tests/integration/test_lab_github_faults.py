"""How the lab's GitHub misbehaves when told to: limits, late answers, other names, nothing new."""

import asyncio
import re
import time
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from infra.lab.githost import GitHost
from infra.lab.github.faults import Unreliable
from infra.lab.github.store import Store
from infra.lab.process import wait_until
from tests.integration.plain_git import commit, git, new_clone, rest


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    return clone


def test_whoever_has_an_answer_finds_the_call_in_the_log(tmp_path: Path) -> None:
    """It stands there before the last piece of the answer is sent, and once; also for an answer that broke off."""
    store = Store(tmp_path / "lab.sqlite")
    scope = {"type": "http", "method": "GET", "path": "/acme/shop.git/info/refs"}
    when_sent = []

    async def send(message: Message) -> None:
        when_sent.append(len(store.all("request")))

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"refs", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise ConnectionResetError

    async def nothing() -> Message:
        return {"type": "http.request", "body": b""}

    asyncio.run(Unreliable(whole, store)(dict(scope), nothing, send))
    with pytest.raises(ConnectionResetError):
        asyncio.run(Unreliable(broken, store)(dict(scope), nothing, send))

    assert when_sent == [0, 0, 1, 1]
    assert [(seen["status"], seen["sent"]) for seen in store.all("request")] == [(200, 4), (200, 0)]
    store.close()


@pytest.mark.parametrize("status", [403, 429])
def test_the_secondary_limit_says_how_long_to_wait(host: GitHost, name: str, status: int) -> None:
    """The call has no effect, and retry-after is in the answer, or is not."""
    host.create_repository(name)
    told = {"method": "GET", "path": f"{re.escape(name)}$", "limit": "secondary", "status": status}
    host.break_calls({**told, "retry_seconds": 7}, {**told, "retry_seconds": 0})

    limited, silent, well = (rest(host, host.token("ada"), "GET", f"/repos/{name}") for _ in range(3))

    assert (limited.status_code, limited.headers["retry-after"]) == (status, "7")
    assert limited.json()["message"].startswith(
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    )
    assert (silent.status_code, "retry-after" in silent.headers) == (status, False)
    assert well.status_code == 200


def test_the_primary_limit_says_when_it_ends(host: GitHost, name: str) -> None:
    """403, nothing remaining, and the second of the reset; no retry-after."""
    host.create_repository(name)
    host.break_calls({"method": "GET", "path": f"{name}$", "limit": "primary", "retry_seconds": 90})

    limited = rest(host, host.token("ada"), "GET", f"/repos/{name}")

    assert limited.status_code == 403
    assert limited.json()["message"].startswith("API rate limit exceeded for user ID")
    assert limited.headers["x-ratelimit-remaining"] == "0"
    assert 60 < int(limited.headers["x-ratelimit-reset"]) - time.time() <= 90
    assert "retry-after" not in limited.headers


def test_a_late_answer_comes_after_its_effect(host: GitHost, name: str, clone: Path) -> None:
    """Who gives up too early has changed something all the same."""
    token, headers = host.token("ada"), {"Authorization": f"Bearer {host.token('ada')}"}
    url = f"{host.api_url}/repos/{name}/releases"
    host.break_calls({"method": "POST", "path": "/releases$", "status": 0, "delay_seconds": 3, "after_effect": True})

    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json={"tag_name": "v1.0.0"}, headers=headers, timeout=2, trust_env=False)

    assert rest(host, token, "GET", f"/repos/{name}/releases/tags/v1.0.0").status_code == 200


def test_a_renamed_repository_is_found_under_its_number(host: GitHost, name: str, clone: Path) -> None:
    """Reads go on with 301, writes with 307 and their body, git with its own redirect; the new name just works."""
    token, new = host.token("ada"), f"{name[:50]}-new"
    rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v1.0.0").raise_for_status()
    host.rename(name, new)

    read = rest(host, token, "GET", f"/repos/{name}/releases?per_page=5")
    written = rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v2.0.0")

    number = rest(host, token, "GET", f"/repos/{new}").json()["id"]
    assert (read.status_code, read.headers["location"]) == (
        301, f"{host.api_url}/repositories/{number}/releases?per_page=5",
    )  # fmt: skip
    assert read.json()["message"] == "Moved Permanently"
    assert written.status_code == 307
    headers = {"Authorization": f"Bearer {token}"}
    followed = httpx.post(
        f"{host.api_url}/repos/{name}/releases", json={"tag_name": "v2.0.0"}, headers=headers,
        follow_redirects=True, trust_env=False, timeout=30,
    )  # fmt: skip
    assert followed.status_code == 201
    commit(clone, "later")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    assert git("rev-parse", "main", at=host.bare(new)) == git("rev-parse", "main", at=clone)
    assert [r["tag_name"] for r in rest(host, token, "GET", f"/repos/{new}/releases").json()] == ["v2.0.0", "v1.0.0"]


def test_a_head_that_moved_is_noticed_late(host: GitHost, name: str, clone: Path) -> None:
    """Until then the request is judged, and refused, by the head it had; git itself has the new one."""
    token, place = host.token("ada"), f"/repos/{name}/pulls/1"
    git("checkout", "--quiet", "-b", "topic", at=clone)
    old = commit(clone, "one")
    git("push", "--quiet", "origin", "topic", at=clone, token=token)
    rest(host, token, "POST", f"/repos/{name}/pulls", title="x", head="topic", base="main").raise_for_status()
    host.lag_heads(name, 2)
    new = commit(clone, "two")
    git("push", "--quiet", "origin", "topic", at=clone, token=token)

    seen = rest(host, token, "GET", place).json()
    merges = [rest(host, token, "PUT", f"{place}/merge", sha=sha) for sha in (new, old)]
    update = rest(host, token, "PUT", f"{place}/update-branch", expected_head_sha=new)

    assert (seen["head"]["sha"], seen["mergeable"], seen["mergeable_state"]) == (old, None, "unknown")
    assert rest(host, token, "GET", f"/repos/{name}/git/ref/heads/topic").json()["object"]["sha"] == new
    assert [each.status_code for each in merges] == [409, 409]
    assert [each.json()["message"].partition(".")[0] for each in merges] == [
        "Head branch was modified", "Head branch is out of date",
    ]  # fmt: skip
    assert update.status_code == 422
    wait_until(lambda: rest(host, token, "GET", place).json()["head"]["sha"] == new, what="the new head", seconds=10)
    rest(host, token, "PUT", f"{place}/merge", sha=new).raise_for_status()


def test_what_has_not_changed_is_not_sent_again(host: GitHost, name: str, clone: Path) -> None:
    """With the ETag of the last answer a GET is a 304 without a body, until something is new."""
    token = host.token("ada")
    headers, url = {"Authorization": f"Bearer {token}"}, f"{host.api_url}/repos/{name}/git/ref/heads/main"
    first = httpx.get(url, headers=headers, trust_env=False)
    headers |= {"If-None-Match": first.headers["etag"]}

    same = httpx.get(url, headers=headers, trust_env=False)
    commit(clone, "later")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    other = httpx.get(url, headers=headers, trust_env=False)

    assert (first.status_code, same.status_code, same.content, other.status_code) == (200, 304, b"", 200)
    assert other.json() != first.json()
