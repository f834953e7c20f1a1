"""What people are given: the post-mortem in the archive, and each message once; on a real Prefect server and sink."""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from infra.lab.postgres import postgres
from infra.lab.prefect import PrefectServer, prefect_server
from infra.lab.sink import Sink, sink
from recovery.errors import Unavailable
from recovery.incidents import Cause, Source
from recovery.readings import Point
from recovery.reverts import Commit, Proof, Pushed, RevertPlan
from recovery.timelines import Event, Harm, Story, taken_back
from tasks.documents import read_document, write_post_mortem
from tasks.notify import notify, variable_of

# apprise's PGP part imports it with the first message, and brings a stand-in where Python has it no longer.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BRANCHED = Commit("c" * 40, "Give | out <b>coupons</b>")
PLAN = RevertPlan(
    "shop", "acme/shop", "main", "v", "v1.2.0", "e" * 40, "v1.1.0", "b" * 40, "v1.2.1", NOW,
    "Revert release v1.2.0", "", "", (BRANCHED,), (), None,
)  # fmt: skip
STORY = Story(
    "shop", "v1.2.0", "v1.2.1", Cause(sentence="8 % failed", source=Source.MONITOR, seen_at=NOW),
    (Event(NOW, "v1.2.0 deployed", "cluster"), Event(NOW + timedelta(seconds=72), "detected by monitor", "monitor")),
    Harm(100, 8, NOW, NOW), taken_back(PLAN), Pushed("f" * 40, "e" * 40, "t", "v1.2.1", (), "pushed"),
    Proof((("git rev-parse v1.2.1^{tree}", "t"),)),
)  # fmt: skip
POINTS = [Point(NOW + n * timedelta(seconds=15), 100.0, 8.0, 8.0) for n in range(8)]


@pytest.fixture(name="archive", autouse=True)
def _archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RIPCORD_ARCHIVE", str(tmp_path / "archive"))
    return tmp_path / "archive"


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server, and this process as its client."""
    directory = tmp_path_factory.mktemp("prefect")
    with postgres(directory) as database, prefect_server(directory, database) as server:
        settings = {PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: server.credential}
        with temporary_settings(settings):
            yield server


@pytest.fixture(name="people")
def _people(server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """Where the messages go."""
    with sink(tmp_path) as people:
        address = people.url.replace("http://", "json://user:pass-of-the-chat@")
        monkeypatch.setenv("RIPCORD_NOTIFY_URLS", address)
        yield people


def written(story: Story = STORY, points: list[Point] = POINTS) -> Path:
    return Path(write_post_mortem.fn(story, points))


def test_the_post_mortem_tells_the_story_with_its_chart(archive: Path) -> None:
    """Headline, timeline, what was taken out and the proof stand in the file; the chart is well-formed SVG."""
    document = written()

    text = document.read_text()
    assert document == archive / "post-mortems/shop/v1.2.0.md"
    for words in (
        "**shop is restored to v1.2.1 (= v1.1.0).** 8 % failed.",
        "8 of 100 requests failed (8.0%)",
        "| 2 | 2026-03-01 12:01:12 | +1 min 12 s | detected by monitor | monitor |",
        "$ git rev-parse v1.2.1^{tree}\nt",
    ):
        assert words in text
    assert ElementTree.fromstring((archive / "post-mortems/shop/v1.2.0.svg").read_bytes()).tag.endswith("svg")  # noqa: S314 our own
    assert "](data:image/svg+xml;base64," in read_document.fn(str(document))


def test_the_first_post_mortem_stays() -> None:
    """People write into it: a later run does not take that away."""
    document = written()
    document.write_text(document.read_text() + "\nWe know why.\n")

    assert written(replace(STORY, restored="v1.2.2")) == document
    assert document.read_text().endswith("\nWe know why.\n")
    assert "v1.2.2" not in document.read_text()


def test_without_points_there_is_no_chart(archive: Path) -> None:
    """Nothing was measured: no empty picture is drawn, and none is referred to."""
    document = written(replace(STORY, harm=Harm(0, 0, None, None)), [])

    assert "no requests were measured." in document.read_text()
    assert "](v1.2.0.svg)" not in document.read_text()
    assert [path.name for path in (archive / "post-mortems/shop").iterdir()] == ["v1.2.0.md"]


def test_text_from_elsewhere_stays_text() -> None:
    """A commit title or an alert can neither open a tag nor begin a heading or a table."""
    cause = Cause(sentence="all is lost\n\n# Owned\n<img src=x>", source=Source.ALERTMANAGER, seen_at=NOW)

    text = written(replace(STORY, cause=cause)).read_text()

    assert "Give \\| out &lt;b>coupons" in text
    assert "<img" not in text
    assert "\n# Owned" not in text


def test_a_full_disk_is_unavailable_and_leaves_no_half_document(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but whole files is ever seen; when there is room again the next try writes it."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="cannot be written: No space left on device"):
            written()

    assert list((archive / "post-mortems/shop").iterdir()) == []
    assert written().exists()


def test_an_archive_that_is_no_directory_is_unavailable(archive: Path, server: PrefectServer) -> None:
    """Both kinds of file say where they could not be written."""
    archive.write_text("")

    for attempt in (written, lambda: notify.fn("no-archive", "t", "x"), lambda: read_document.fn(f"{archive}/x.md")):
        with pytest.raises(Unavailable, match=f"{archive}.*cannot be"):
            attempt()


def test_a_message_is_told_once(people: Sink, archive: Path) -> None:
    """To people and in the archive, with its identity as a header; the second time it is skipped."""
    said = notify.fn("restored/shop/v1.2.0", "shop is restored", "all is well")
    again = notify.fn("restored/shop/v1.2.0", "shop is restored", "all is well")

    [message] = people.messages()
    [file] = (archive / "messages").iterdir()
    assert (said, again) == ("told 1 addresses: shop is restored", "skipped: 'shop is restored' was told before")
    assert (message["body"]["title"], message["body"]["message"]) == ("shop is restored", "all is well")
    headers = {name.lower(): value for name, value in message["headers"].items()}
    assert headers["idempotency-key"] == variable_of("restored/shop/v1.2.0")
    assert json.loads(file.read_text())["identity"] == "restored/shop/v1.2.0"


def test_another_identity_is_another_message(people: Sink) -> None:
    """The same title about another incident is told."""
    for number in (1, 2):
        assert notify.fn(f"respond/shop/v1.2.{number}", "the same", "text").startswith("told 1")

    assert len(people.messages()) == 2


def test_an_address_that_refuses_is_tried_again_and_not_shown(people: Sink, archive: Path) -> None:
    """The file is written all the same, the error tells no password, and the next try gets through."""
    people.fail(1)
    with pytest.raises(Unavailable, match="address 1 of 1 in RIPCORD_NOTIFY_URLS did not take") as error:
        notify.fn("refused/once", "title", "text")

    assert "pass-of-the-chat" not in str(error.value)
    assert (archive / "messages" / f"{variable_of('refused/once')}.json").exists()
    assert notify.fn("refused/once", "title", "text") == "told 1 addresses: title"
    assert len(people.messages()) == 1


def test_without_addresses_the_file_is_the_message(server: PrefectServer, archive: Path) -> None:
    """Nobody is to be told elsewhere: the archive has it, and it counts as told."""
    assert notify.fn("quiet", "title", "text") == "told 0 addresses: title"
    assert notify.fn("quiet", "title", "text").startswith("skipped:")
    assert len(list((archive / "messages").iterdir())) == 1
