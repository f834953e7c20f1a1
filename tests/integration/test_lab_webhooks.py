"""The lab's GitHub tells of pushes and releases: signed, once, and again until somebody listens."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from infra.lab.sink import Sink, sink
from tests.integration.plain_git import commit, git, new_clone, rest

SECRET = "whisper"


@pytest.fixture(name="ear")
def _ear(tmp_path: Path) -> Iterator[Sink]:
    with sink(tmp_path) as ear:
        yield ear


@pytest.fixture(name="clone")
def _clone(host: GitHost, name: str, ear: Sink, tmp_path: Path) -> Path:
    clone = new_clone(host, name, tmp_path / "clone")
    host.add_webhook(name, f"{ear.url}/hook", SECRET)
    return clone


def _heard(ear: Sink, number: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(ear.messages()) >= number, what=f"{number} events", seconds=20, process=ear.process)
    return ear.messages()


def test_one_push_is_told_once_per_ref_and_signed(host: GitHost, name: str, clone: Path, ear: Sink) -> None:
    """A branch and a tag pushed together are two events, each with a signature that fits its body."""
    git("tag", "--annotate", "-m", "One", "v1.0.0", at=clone)
    head, tag = git("rev-parse", "HEAD", "v1.0.0", at=clone).split()

    git("push", "--quiet", "origin", "main", "v1.0.0", at=clone, token=host.token("ada"))
    git("push", "--quiet", "origin", "main", "v1.0.0", at=clone, token=host.token("ada"))
    commit(clone, "last")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    events = _heard(ear, 3)

    pushed = [(e["body"]["ref"], e["body"]["after"], e["body"]["head_commit"]["id"]) for e in events[:2]]
    assert sorted(pushed) == [("refs/heads/main", head, head), ("refs/tags/v1.0.0", tag, head)]
    assert len(events) == 3
    assert len({e["headers"]["x-github-delivery"] for e in events}) == 3
    for event in events:
        digest = hmac.new(SECRET.encode(), json.dumps(event["body"]).encode(), hashlib.sha256).hexdigest()
        assert event["headers"]["x-hub-signature-256"] == f"sha256={digest}"
        assert event["headers"]["x-github-event"] == "push"
        assert event["body"]["repository"]["full_name"] == name


def test_a_deaf_receiver_is_told_again(host: GitHost, clone: Path, ear: Sink) -> None:
    """A refused delivery is repeated under the same id until it is taken, and then no more."""
    ear.fail(times=2)

    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    _heard(ear, 1)

    attempts = ear.attempts()
    assert [a["answered"] for a in attempts] == [503, 503, 200]
    assert len({a["headers"]["x-github-delivery"] for a in attempts}) == 1


def test_a_release_is_told_with_the_push_of_the_tag_it_makes(host: GitHost, name: str, clone: Path, ear: Sink) -> None:
    """Creating a release of a missing tag makes two events: the tag's push and the release's."""
    token = host.token("ada")
    git("push", "--quiet", "origin", "main", at=clone, token=token)
    _heard(ear, 1)

    rest(host, token, "POST", f"/repos/{name}/releases", tag_name="v1.0.0").raise_for_status()
    events = {e["headers"]["x-github-event"]: e["body"] for e in _heard(ear, 3)[1:]}

    assert events["push"]["ref"] == "refs/tags/v1.0.0"
    assert (events["release"]["action"], events["release"]["release"]["tag_name"]) == ("published", "v1.0.0")


def test_more_than_three_tags_at_once_are_not_told(host: GitHost, clone: Path, ear: Sink) -> None:
    """As GitHub documents it: such a push makes an event for the branch and none for its tags."""
    for number in range(4):
        git("tag", f"v1.{number}.0", at=clone)

    git("push", "--quiet", "origin", "main", "--tags", at=clone, token=host.token("ada"))
    commit(clone, "last")
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))

    assert [e["body"]["ref"] for e in _heard(ear, 2)] == ["refs/heads/main", "refs/heads/main"]


def test_a_push_unseen_by_a_dead_server_is_told_after_its_restart(
    host: GitHost, name: str, clone: Path, ear: Sink
) -> None:
    """What came into the repository while nobody looked is told when the server is back, under one id.

    A server that died before it noted an answer delivers again, under the same id.
    """
    git("push", "--quiet", "origin", "main", at=clone, token=host.token("ada"))
    _heard(ear, 1)
    host.process.kill()
    git("push", "--quiet", str(host.bare(name)), "HEAD:refs/tags/v1.0.0", at=clone)

    host.restart()
    wait_until(lambda: "refs/tags/v1.0.0" in _by_id(ear).values(), what="the tag", seconds=20)
    host.restart()

    assert list(_by_id(ear).values()) == ["refs/heads/main", "refs/tags/v1.0.0"]


def _by_id(ear: Sink) -> dict[str, str]:
    """The ref of each delivery, in the order in which they were first heard."""
    return {each["headers"]["x-github-delivery"]: each["body"]["ref"] for each in ear.messages()}
