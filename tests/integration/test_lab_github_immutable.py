"""Immutable releases of the lab's GitHub, and which release it calls the latest."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.githost import GitHost
from tests.integration.plain_git import commit, git, new_clone, rest, try_git
from tests.objections import Objections


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    git("push", "--quiet", "origin", "main", "main:refs/tags/v1.0.0", at=clone, token=host.token("ada"))
    return clone


def call(host: GitHost, repository: str, method: str, path: str, /, **body: Any) -> httpx.Response:
    """One call about the releases."""
    return rest(host, host.token("ada"), method, f"/repos/{repository}/releases{path}", **body)


def upload(host: GitHost, release: dict[str, Any], file: str) -> httpx.Response:
    """Add a file to a release, at the address that the release names."""
    url = release["upload_url"].partition("{")[0]
    headers = {"Authorization": f"Bearer {host.token('ada')}"}
    return httpx.post(f"{url}?name={file}", content=b"1234", headers=headers, trust_env=False, timeout=30)


def test_an_immutable_release_keeps_its_tag_and_its_assets(host: GitHost, name: str, clone: Path) -> None:
    """Assets come into the draft and stay; title, notes, prerelease and latest can be edited, the tag cannot."""
    host.immutable_releases(name)
    draft = call(host, name, "POST", "", tag_name="v1.0.0", draft=True).json()
    assert upload(host, draft, "shop.whl").status_code == 201
    release = call(host, name, "PATCH", f"/{draft['id']}", draft=False).json()
    assert (draft["immutable"], release["immutable"], len(release["assets"])) == (False, True, 1)

    late = upload(host, release, "late.whl")
    gone = call(host, name, "DELETE", f"/assets/{release['assets'][0]['id']}")
    moved = call(host, name, "PATCH", f"/{release['id']}", tag_name="v2.0.0")
    edited = call(
        host, name, "PATCH", f"/{release['id']}", name="Bad", body="Gone", prerelease=True, make_latest="false"
    )

    assert (late.status_code, late.json()["message"]) == (422, "Cannot upload assets to an immutable release")
    assert (gone.status_code, moved.status_code) == (422, 422)
    assert edited.status_code == 200
    seen = call(host, name, "GET", "/tags/v1.0.0").json()
    assert (seen["name"], seen["body"], seen["prerelease"], seen["immutable"]) == ("Bad", "Gone", True, True)


def test_the_tag_of_an_immutable_release_is_neither_moved_nor_deleted(host: GitHost, name: str, clone: Path) -> None:
    """A forced push and a deletion are declined by a rule that no list shows."""
    host.immutable_releases(name)
    call(host, name, "POST", "", tag_name="v1.0.0").raise_for_status()
    commit(clone, "later")
    token = host.token("ada")

    moved = try_git("push", "--force", "origin", "main:refs/tags/v1.0.0", at=clone, token=token)
    gone = try_git("push", "origin", ":refs/tags/v1.0.0", at=clone, token=token)

    assert "remote: - Cannot update this protected ref." in moved.stderr
    assert "remote: - Cannot delete this tag" in gone.stderr
    assert moved.stderr.count("(push declined due to repository rule violations)") == 1


def test_a_deleted_immutable_release_burns_the_name_of_its_tag(host: GitHost, name: str, clone: Path) -> None:
    """The tag may go, and comes back by no way: not by git, not as a ref, not with a release."""
    host.immutable_releases(name)
    token, sha = host.token("ada"), git("rev-parse", "main", at=clone)
    release = call(host, name, "POST", "", tag_name="v1.0.0").json()["id"]
    assert call(host, name, "DELETE", f"/{release}").status_code == 204
    git("push", "--quiet", "origin", ":refs/tags/v1.0.0", at=clone, token=token)

    pushed = try_git("push", "origin", "main:refs/tags/v1.0.0", "main:refs/tags/v1.0.1", at=clone, token=token)
    ref = rest(host, token, "POST", f"/repos/{name}/git/refs", ref="refs/tags/v1.0.0", sha=sha)
    again = call(host, name, "POST", "", tag_name="v1.0.0")

    assert "remote: error: GH013: Repository rule violations found for refs/tags/v1.0.0." in pushed.stderr
    assert "remote: - Cannot create ref due to creations being restricted." in pushed.stderr
    assert "! [remote rejected] main -> v1.0.0 (push declined due to repository rule violations)" in pushed.stderr
    assert git("tag", "--list", at=host.bare(name)) == "v1.0.1"
    assert (ref.status_code, ref.json()["message"]) == (
        422, "Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n",
    )  # fmt: skip
    assert again.status_code == 422
    assert {"resource": "Release", "code": "custom", "field": "tag_name",
            "message": "tag_name was used by an immutable release"} in again.json()["errors"]  # fmt: skip
    assert call(host, name, "POST", "", tag_name="v1.0.0", draft=True).status_code == 201


def test_an_ordinary_release_frees_its_tag(host: GitHost, name: str, clone: Path) -> None:
    """Without the setting a deleted release leaves nothing behind."""
    release = call(host, name, "POST", "", tag_name="v1.0.0").json()["id"]
    call(host, name, "DELETE", f"/{release}").raise_for_status()
    token = host.token("ada")

    git("push", "--quiet", "origin", ":refs/tags/v1.0.0", at=clone, token=token)
    git("push", "--quiet", "origin", "main:refs/tags/v1.0.0", at=clone, token=token)

    assert call(host, name, "POST", "", tag_name="v1.0.0").status_code == 201


def test_legacy_goes_by_the_date_of_the_commit_and_then_by_the_version(
    host: GitHost, name: str, clone: Path, objections: Objections
) -> None:
    """An older commit or a lower version does not become the latest with `legacy`; with `true` it does."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main:refs/tags/v1.0.10", "main:refs/tags/v1.0.9", at=clone, token=token)
    commit(clone, "old", date="2020-01-01T00:00:00Z")
    git("push", "--quiet", "origin", "main:refs/tags/v2.0.0", at=clone, token=token)

    def latest_after(tag: str, how: str) -> str:
        call(host, name, "POST", "", tag_name=tag, make_latest=how).raise_for_status()
        return str(call(host, name, "GET", "/latest").json()["tag_name"])

    assert latest_after("v1.0.9", "legacy") == "v1.0.9"
    assert latest_after("v2.0.0", "legacy") == "v1.0.9"
    assert latest_after("v1.0.10", "legacy") == "v1.0.10"
    assert latest_after("v1.0.0", "true") == "v1.0.0"
    assert call(host, name, "POST", "", tag_name="v3.0.0", make_latest="perhaps").status_code == 422
    assert "'perhaps' is not one of ['true', 'false', 'legacy']" in objections.take()[0]
