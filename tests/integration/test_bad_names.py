"""Names that are no release tag, at every door by which one comes in: a sentence, and the repository untouched."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from typer.testing import CliRunner

import deployments.cli  # noqa: F401 it has the commands
from deployments import following
from deployments.console import EXIT_REFUSED, app
from recovery.alarms import read_alertmanager
from recovery.catalog import parse_catalogue
from recovery.errors import Refused
from recovery.hotfixes import stable_before
from recovery.incidents import Mode
from recovery.responses import plan_response
from recovery.versions import LONGEST, parse_version
from tasks.git import read_history, read_range
from tests.histories.chain import CAUSE, service_of, take_out
from tests.histories.remote import Remote
from tests.histories.story import Story
from tests.unit.test_alarms import alert, group
from tests.unit.test_rollouts import rollout

NAMES = {
    "an option": "--force", "a short option": "-x", "a command": "$(id)", "two commands": "a;touch x",
    "a ref": "refs/heads/main", "a head": "HEAD", "a branch": "main", "a revision": "v1.2.0~1", "a path": "../v1.2.0",
    "nothing": "", "a blank": " v1.2.0", "a line": "v1.2.0\n", "two lines": "v1.2.0\nv1.1.0",
    "no text": "v1.2.0\x00", "a line separator": "v1.2.0\u2028", "other digits": "v1.\uff12.0", "an umlaut": "vü.2.0",
    "200 KiB": "v" + "1" * 204_800, "a number of 200 KiB": "v1.2." + "9" * 204_800,
    "a pre-release of 200 KiB": "v1.2.0-" + "a" * 204_800, "another service's": "cart/v1.2.0",
}  # fmt: skip
NAMED = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


@pytest.fixture(name="story")
def _story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """Three releases that are published, and a catalogue that has the shop."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{tmp_path}")
    story = Story(Remote(tmp_path, "acme/shop").make(), tmp_path / "desk").begin()
    story.faulty()
    story.publish()
    with disable_run_logger():
        yield story


def one_sentence(refused: str) -> None:
    """Short enough to be read, on one line."""
    assert len(refused) < 500
    assert "\n" not in refused.strip()


def refusal(call: Callable[[], object]) -> str:
    """What it is refused with."""
    with pytest.raises(Refused) as refused:
        call()
    return str(refused.value)


@NAMED
def test_no_step_takes_one_for_the_faulty_release(story: Story, name: str) -> None:
    """Response, revert, hotfix: read, planned, and nothing is pushed."""
    service, before = service_of(story.remote), story.remote.refs()
    doors: list[Callable[[], object]] = [
        lambda: plan_response(service, rollout(), name, CAUSE, Mode.ACT),
        lambda: read_history.fn(service, name, story.releases),
        lambda: read_range.fn(service, name, None),
        lambda: read_alertmanager(group(alert(version=name)), CATALOGUE),
    ]

    for door in doors:
        one_sentence(refusal(door))
    assert story.remote.refs() == before


@NAMED
def test_no_step_takes_one_for_the_stable_release(story: Story, name: str) -> None:
    """Whatever a person named with `to`: it is not guessed at."""
    service, before = service_of(story.remote), story.remote.refs()
    history = read_history.fn(service, "v1.2.0", story.releases, name)

    one_sentence(str(take_out(service, "v1.2.0", story.releases, to=name).refused))
    one_sentence(refusal(lambda: stable_before(service, parse_version("v1.2.0"), history, story.releases, name)))
    if name:  # without a stable release a range is one of no files
        one_sentence(refusal(lambda: read_range.fn(service, "v1.2.0", name)))
    assert story.remote.refs() == before


CATALOGUE = parse_catalogue("services: [{name: shop, namespace: acme, repository: acme/shop}]")


@NAMED
def test_the_service_is_looked_up_by_its_name_alone(name: str) -> None:
    """A name of 200 KiB is shown cut."""
    one_sentence(refusal(lambda: CATALOGUE.service(name)))
    one_sentence(refusal(lambda: read_alertmanager(group(alert(service=name)), CATALOGUE)))


def test_no_command_starts_a_run_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 and a sentence, before Prefect, the cluster or the Git host is asked."""
    catalogue = tmp_path / "services.yaml"
    catalogue.write_text("services: [{name: shop, namespace: acme, repository: acme/shop}]")
    monkeypatch.setenv("RIPCORD_CATALOGUE", str(catalogue))
    monkeypatch.setattr(following, "get_client", None)
    names = [name for key, name in NAMES.items() if key != "no text"]  # which no command line can have
    for name in names:
        for arguments in (
            ["plan", "--", "shop", name],
            ["respond", "--because", "x", "--", "shop", name],
            ["respond", "--because", "x", f"--to={name or ' '}", "--", "shop", "v1.2.0"],
            ["hotfix", "--because", "x", "--", "shop", name],
            ["restore", "--because", "x", "--", "shop", name],
            ["salvage", "--apply", "--", "shop", name],
        ):
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == EXIT_REFUSED, (arguments, done.output)
            one_sentence(done.stderr)
            assert done.stderr.startswith("ripcord: ")


def test_a_tag_has_a_longest_length(story: Story) -> None:
    """The names of branches, files and titles are made of it."""
    longest = "v1.2.0-" + "a" * (LONGEST - 7)

    assert parse_version(longest).tag == longest
    assert "has 121 characters: a release tag has 120 at most" in refusal(lambda: parse_version(f"{longest}a"))
