"""Releases on the lab's GitHub; plain HTTP is the witness."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.lab.githost import GitHost
from infra.lab.process import wait_until
from recovery.errors import Incomplete, Refused, Unavailable
from tasks.github import publish_release, read_releases
from tests.integration.github_shop import Shop, new_shop

NOTE = "> Taken back by v1.2.1. Do not deploy."


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


def latest(shop: Shop) -> str:
    """What GitHub shows as the latest Release."""
    return str(shop.get("/releases/latest")["tag_name"])


def publish(shop: Shop, tag: str, **how: Any) -> None:
    """Publish a Release as the team's other hands do."""
    shop.send("POST", "/releases", tag_name=tag, **how)


def test_publishing_twice_gives_one_release_and_one_note(shop: Shop) -> None:
    """The patch release is the latest; the faulty one says once that it was taken back, above its own words."""
    publication = shop.publication()
    first, second = publish_release.fn(publication), publish_release.fn(publication)

    seen = shop.releases()
    assert first == f"published {seen['v1.2.1'][0]['html_url']}"
    assert second == f"skipped: {seen['v1.2.1'][0]['html_url']} is there already"
    assert len(seen["v1.2.1"]) == 1
    assert (seen["v1.2.1"][0]["name"], seen["v1.2.1"][0]["body"]) == ("v1.2.1: v1.2.0 taken back", "The notes.")
    assert latest(shop) == "v1.2.1"
    assert seen["v1.2.0"][0]["body"] == f"{NOTE}\n\nWhat is new in v1.2.0."
    assert seen["v1.2.0"][0]["name"] == "v1.2.0"


def test_an_older_line_does_not_become_the_latest(shop: Shop) -> None:
    """v2.0.0 is out already: who installs the latest must not be taken back to v1.2.1."""
    publish(shop, "v2.0.0")
    said = publish_release.fn(shop.publication())

    assert said.endswith(", not as the latest: v2.0.0 is newer")
    assert latest(shop) == "v2.0.0"
    assert len(shop.releases()["v1.2.1"]) == 1


def test_a_newer_pre_release_or_draft_does_not_keep_it_from_being_the_latest(shop: Shop) -> None:
    """Neither is what people install."""
    publish(shop, "v1.3.0-rc.1", prerelease=True)
    publish(shop, "v1.3.0", draft=True)
    publish_release.fn(shop.publication())

    assert latest(shop) == "v1.2.1"


def test_another_services_latest_place_is_left_to_it(shop: Shop) -> None:
    """One repository, two services, one place."""
    publish(shop, "cart/v9.0.0", make_latest="true")
    publish_release.fn(shop.publication())

    assert latest(shop) == "cart/v9.0.0"


def test_a_faulty_release_that_became_the_latest_again_loses_the_place(shop: Shop) -> None:
    """Our Release is there from an earlier try: it is found, and made the latest."""
    publication = shop.publication()
    publish_release.fn(publication)
    faulty = shop.releases()["v1.2.0"][0]
    shop.send("PATCH", f"/releases/{faulty['id']}", make_latest="true")
    assert latest(shop) == "v1.2.0"

    assert publish_release.fn(publication).startswith("skipped: ")
    assert latest(shop) == "v1.2.1"


def test_an_immutable_faulty_release_gets_its_note(shop: Shop) -> None:
    """GitHub lets its title and notes be edited."""
    shop.host.immutable_releases(shop.name)
    publish(shop, "v1.1.5", body="What is new.")
    publish_release.fn(shop.publication(faulty="v1.1.5"))

    seen = shop.releases()
    assert seen["v1.1.5"][0]["immutable"] is True
    assert seen["v1.1.5"][0]["body"] == f"{NOTE}\n\nWhat is new."
    assert seen["v1.2.1"][0]["immutable"] is True


def test_a_name_that_an_immutable_release_burned_is_incomplete(shop: Shop) -> None:
    """The tag stands; under which name the Release is to be published, a person decides."""
    shop.host.immutable_releases(shop.name)
    publish(shop, "v1.2.1")
    shop.send("DELETE", f"/releases/{shop.releases()['v1.2.1'][0]['id']}")
    shop.push(":refs/tags/v1.2.1")
    shop.host.immutable_releases(shop.name, enabled=False)
    publication = shop.publication(push_tag=False)
    shop.bare("update-ref", "refs/tags/v1.2.1", "refs/heads/main")

    with pytest.raises(Incomplete, match=r"an immutable release had the name v1\.2\.1 before.*next patch number at"):
        publish_release.fn(publication)
    assert "v1.2.1" not in shop.releases()


def test_no_release_is_made_of_a_tag_that_is_gone(shop: Shop) -> None:
    """GitHub would make the tag anew, on whatever main is by then, and the pipeline would deploy it."""
    publication = shop.publication(push_tag=False)
    before = shop.bare("for-each-ref")

    with pytest.raises(Refused, match=r"has no tag v1\.2\.1 any more: look who deleted it"):
        publish_release.fn(publication)
    assert shop.bare("for-each-ref") == before
    assert "v1.2.1" not in shop.releases()


def test_a_pre_release_is_published_as_one(shop: Shop) -> None:
    """v1.2.0-rc.2 takes v1.2.0-rc.1 back, and v1.2.0 stays what people install."""
    shop.push("main:refs/tags/v1.3.0-rc.1", "main:refs/tags/v1.3.0-rc.2")
    publish(shop, "v1.3.0-rc.1", prerelease=True)
    publication = replace(shop.publication(), tag="v1.3.0-rc.2", faulty_tag="v1.3.0-rc.1")

    publish_release.fn(publication)

    assert shop.releases()["v1.3.0-rc.2"][0]["prerelease"] is True
    assert latest(shop) == "v1.2.0"


def test_a_draft_of_that_name_is_left_alone(shop: Shop) -> None:
    """A program keeps a draft of the next release: ours is published beside it."""
    publish(shop, "v1.2.1", draft=True, body="Drafted.")

    publish_release.fn(shop.publication())

    seen = [(each.draft, each.body) for each in read_releases.fn(shop.service) if each.tag == "v1.2.1"]
    assert sorted(seen) == [(False, "The notes."), (True, "Drafted.")]


@pytest.mark.parametrize("status", [502, 504])
def test_an_answer_that_got_lost_leads_to_one_release(shop: Shop, status: int) -> None:
    """GitHub made the Release and its answer was lost: a look finds it, and the note is written."""
    publication = shop.publication()
    shop.host.break_calls({"method": "POST", "path": "/releases$", "status": status, "after_effect": True})

    assert publish_release.fn(publication).startswith("published ")
    assert len(shop.releases()["v1.2.1"]) == 1
    assert shop.releases()["v1.2.0"][0]["body"].startswith(NOTE)
    assert latest(shop) == "v1.2.1"


def test_a_release_that_could_not_be_made_is_made_on_the_next_try(shop: Shop) -> None:
    """Nothing was changed."""
    publication = shop.publication()
    shop.host.break_calls({"method": "POST", "path": "/releases$", "status": 503})
    with pytest.raises(Unavailable, match="503"):
        publish_release.fn(publication)
    assert "v1.2.1" not in shop.releases()

    assert publish_release.fn(publication).startswith("published ")


def test_somebody_who_publishes_it_at_the_same_time_is_no_failure(shop: Shop) -> None:
    """GitHub says that it exists (422): a look finds it, and no second one is made."""
    publication = shop.publication()
    shop.host.break_calls({"method": "POST", "path": "/releases$", "status": 0, "delay_seconds": 1})
    with ThreadPoolExecutor(1) as pool:
        published = pool.submit(publish_release.fn, publication)
        before = len(shop.host.requests())
        wait_until(lambda: len(shop.host.requests()) >= before + 4, what="the first looks", seconds=20, every=0.02)
        publish(shop, "v1.2.1")

        assert "v1.2.1" in published.result()
    assert len(shop.releases()["v1.2.1"]) == 1


def test_a_note_that_could_not_be_written_is_written_on_the_next_try(shop: Shop) -> None:
    """The Release stands, the faulty one's change failed before it had an effect."""
    publication = shop.publication()
    shop.host.break_calls({"method": "PATCH", "path": "/releases/", "status": 503})
    with pytest.raises(Unavailable, match="503"):
        publish_release.fn(publication)
    assert NOTE not in shop.releases()["v1.2.0"][0]["body"]

    publish_release.fn(publication)

    assert shop.releases()["v1.2.0"][0]["body"].count(NOTE) == 1


def test_a_note_that_github_took_and_does_not_show_is_incomplete(shop: Shop) -> None:
    """Said yes is not done: the faulty Release is read back."""
    publication = shop.publication()
    shop.host.break_calls({"method": "PATCH", "path": "/releases/", "status": 200})

    with pytest.raises(Incomplete, match=r"does not show on v1\.2\.0 that .*/releases \(done before: published http"):
        publish_release.fn(publication)


def test_a_release_that_is_not_the_latest_is_incomplete(shop: Shop) -> None:
    """Somebody publishes another one at the same time: who deploys the latest would not deploy ours."""
    publication = shop.publication()
    shop.host.break_calls({"method": "PATCH", "path": "/releases/", "status": 0, "delay_seconds": 2})
    with ThreadPoolExecutor(1) as pool:
        published = pool.submit(publish_release.fn, publication)
        wait_until(lambda: "v1.2.1" in shop.releases(), what="the Release", seconds=20, every=0.05)
        publish(shop, "v1.3.0")

        with pytest.raises(Incomplete, match=r"latest Release is v1\.3\.0 and not v1\.2\.1"):
            published.result()


def test_drafts_and_pre_releases_are_seen_as_such(shop: Shop) -> None:
    """Nobody goes back to one of them, so they must be told from the rest."""
    publish(shop, "v1.3.0", draft=True)
    publish(shop, "v1.3.0-rc.1", prerelease=True)

    seen = read_releases.fn(shop.service)

    assert {each.tag: (each.draft, each.prerelease, each.published_at is not None) for each in seen} == {
        "v1.1.0": (False, False, True),
        "v1.2.0": (False, False, True),
        "v1.3.0": (True, False, False),
        "v1.3.0-rc.1": (False, True, True),
    }
