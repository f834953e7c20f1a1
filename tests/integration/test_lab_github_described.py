"""Whatever goes between the lab's GitHub and its callers is held against GitHub's own description, in every test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.lab.githost import GitHost
from infra.lab.github.application import memory
from infra.lab.github.contract import Contract, Exchange
from infra.lab.github.store import Store
from infra.lab.github_description import find_description, must_be_whole, reduced
from infra.lab.process import LabError
from tests.integration.plain_git import git, new_clone, rest
from tests.objections import Objections

ROOT = Path(__file__).resolve().parents[2]
PULL = "/repos/acme/shop/pulls"
WRONG_TEST = """
import httpx
from infra.lab.githost import git_host

def test_that_calls_wrongly(tmp_path):
    with git_host(tmp_path / "host") as host:
        host.create_repository("acme/shop")
        headers = {"Authorization": f"Bearer {host.token('ada')}"}
        url = f"{host.api_url}/repos/acme/shop/pulls?stat=open"
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
"""


@pytest.fixture(name="contract", scope="module")
def _contract() -> Contract:
    return Contract(json.loads(find_description().read_text()))


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    return clone


def ask(contract: Contract, method: str, path: str, **changes: Any) -> list[str]:
    """What is said of a call that is fine but for the changes; the answer is a refusal that has any shape."""
    usual: dict[str, Any] = {"query": "", "sent": b"", "status": 403, "kind": "application/json", "answer": b"{}"}
    return contract.objections(Exchange(method, path, **(usual | changes)))


def spoil(host: GitHost, name: str, kind: str, /, **changes: Any) -> None:
    """Let the lab's GitHub remember nonsense, and so answer it."""
    store = Store(memory(host.directory))
    found = store.first(kind, name)
    assert found is not None
    store.change(found, **changes)
    store.close()


def test_a_wrong_answer_fails_the_test_that_got_it(
    host: GitHost, name: str, clone: Path, objections: Objections
) -> None:
    """By the call, the status and what is wrong in it, wherever the lab's server runs."""
    token = host.token("ada")
    rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v1.0.0").raise_for_status()
    objections.must_be_none()
    spoil(host, name, "release", tag_name=None, draft="no", created_at="yesterday")

    assert rest(host, token, "GET", f"/repos/{name}/releases").status_code == 200

    with pytest.raises(pytest.fail.Exception) as failed:
        objections.must_be_none()
    call = f"GET /repos/{name}/releases was answered 200, not as repos/list-releases is: "
    assert f"{call}$[0].tag_name: None is not of type 'string'" in str(failed.value)
    assert f"{call}$[0].draft: 'no' is not of type 'boolean'" in str(failed.value)
    assert f"{call}$[0].created_at: 'yesterday' is not a 'date-time'" in str(failed.value)


def test_a_wrong_event_of_a_webhook_fails_the_test(
    host: GitHost, name: str, clone: Path, objections: Objections
) -> None:
    """Before anybody gets it; one that no webhook asked for is not made."""
    token = host.token("ada")
    release = rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v1.0.0").json()
    host.add_webhook(name, "http://127.0.0.1:9/", "secret")
    place = f"/repos/{name}/releases/{release['id']}"
    assert rest(host, token, "PATCH", place, name="One").status_code == 200
    objections.must_be_none()
    spoil(host, name, "release", name=7)

    rest(host, token, "PATCH", place, body="Better")

    said = "webhook release-edited tells what GitHub's does not: $.release.name: 7 is not of type 'string'"
    assert said in objections.take()


def test_a_test_that_calls_wrongly_fails(tmp_path: Path) -> None:
    """Nobody has to ask for it: a run of its own of a test that says nothing of a description."""
    (tmp_path / "test_wrong.py").write_text(WRONG_TEST)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "test_wrong.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1, done.stdout
    said = (
        "GET /repos/acme/shop/pulls, answered 200, asked what pulls/list does not take: it has no `stat` in its query"
    )
    assert said in done.stdout


@pytest.mark.parametrize(
    ("method", "path", "changes", "said"),
    [
        ("GET", "/repos/acme/shop/nothing", {}, "GitHub describes no such operation"),
        ("GET", f"{PULL}/seven", {}, "pull_number: $: 'seven' is not of type 'integer'"),
        ("GET", PULL, {"query": "state=done"}, "state: $: 'done' is not one of"),
        ("GET", PULL, {"query": "labels=x"}, "it has no `labels` in its query"),
        ("POST", PULL, {}, "it must have a body"),
        ("POST", PULL, {"sent": b"{"}, "its body is no JSON"),
        ("POST", PULL, {"sent": b'{"head": 7, "base": "main"}'}, "$.head: 7 is not of type 'string'"),
        ("POST", PULL, {"sent": b'{"head": "x", "base": "y", "label": 1}'}, "it has no `label` in its body"),
        ("PUT", f"{PULL}/1/merge", {"sent": b'{"merge_method": "octopus"}'}, "'octopus' is not one of"),
        ("GET", PULL, {"status": 500}, "it has no such status, only 200, 304, 422"),
        ("GET", PULL, {"status": 404, "answer": b'{"message": 7}'}, "$.message: 7 is not of type 'string'"),
        ("GET", PULL, {"status": 404, "answer": b"Not Found", "kind": "text/plain"}, "its body is no JSON"),
        ("GET", PULL, {"status": 200, "answer": b"[]", "kind": "text/html"}, "it is text/html"),
        ("GET", PULL, {"status": 200, "answer": b'[{"id": "7"}]'}, "$[0].id: '7' is not of type 'integer'"),
        ("GET", f"{PULL}/1/merge", {"status": 204, "answer": b"{}"}, "it has a body"),
    ],
)  # fmt: skip
def test_what_is_not_as_described_is_told_in_a_sentence(
    contract: Contract, method: str, path: str, changes: dict[str, Any], said: str
) -> None:
    """The call, its operation, and what is wrong."""
    objections = ask(contract, method, path, **changes)

    assert objections
    assert all(each.startswith(f"{method} {path}") for each in objections)
    assert any(said in each for each in objections), objections


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [
        ("GET", "/repos/acme/shop/commits/feature/one/check-runs", {"query": "filter=all&per_page=100"}),
        ("GET", "/repos/acme/shop/branches/hotfix/1.2/protection", {}),
        ("GET", "/repos/acme/shop/statuses/main", {}),
        ("GET", "/repos/acme/shop/releases/7", {"status": 404}),
        ("GET", PULL, {"status": 502, "broken": True}),
        ("POST", PULL, {"sent": b"{}"}),
        ("DELETE", "/repos/acme/shop/git/refs/heads/feature/one", {"status": 204, "answer": b""}),
    ],
)  # fmt: skip
def test_what_github_does_and_does_not_describe_is_let_pass(
    contract: Contract, method: str, path: str, changes: dict[str, Any]
) -> None:
    """Names with slashes, older addresses, refusals, the answers of a fault, and a right that is tried."""
    assert ask(contract, method, path, **changes) == []


def test_null_is_allowed_where_github_says_so() -> None:
    """Its description forgets it in lists of values and in choices."""
    word = {"type": "string", "nullable": True, "enum": ["a"]}
    choice = {"nullable": True, "oneOf": [{"type": "object"}]}
    content = {"content": {"application/json": {"schema": {"type": "object", "properties": {"a": word, "b": choice}}}}}
    said = {"get": {"operationId": "x", "responses": {"200": content}}}
    contract = Contract(reduced({"openapi": "3.0.3", "components": {}, "x-webhooks": {}, "paths": {"/user": said}}))

    assert ask(contract, "GET", "/user", status=200, answer=b'{"a": null, "b": null}') == []
    assert len(ask(contract, "GET", "/user", status=200, answer=b'{"a": "b", "b": 1}')) == 2


def test_another_package_than_the_pinned_one_is_not_taken(tmp_path: Path) -> None:
    """Whatever the registry hands out, the hash decides."""
    package = tmp_path / "package.tgz"
    package.write_bytes(b"something else")

    with pytest.raises(LabError, match="is not the package that was pinned"):
        must_be_whole(package)


def test_a_registry_that_is_not_reached_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out, and nothing is left half fetched."""
    monkeypatch.setenv("RIPCORD_CACHE", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")

    with pytest.raises(LabError, match=r"could not be fetched as @octokit/openapi@.*set npm's `registry` to one"):
        find_description()

    assert not list(tmp_path.glob("github-description*/"))
