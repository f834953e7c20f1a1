"""kill -9 before and after every single effect of a recovery, then the same again: one of each stands on the Git host.

What goes on is once the same run, with the results of the steps that had ended, and once another one, with none.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.histories.remote import shell
from tests.integration.killed_source import Case, Stage, stage
from tests.integration.plain_git import git
from tests.integration.variations import VARIATIONS

# A negative effect is one before which the walk dies. A run that is not revived knows nothing, so that what was not
# done yet is for it as what was done last.
CASES = [
    (name, effect, revived)
    for name, variation in VARIATIONS.items()
    for number in range(1, variation.effects + 1)
    for effect, revived in ((number, True), (number, False), (-number, True))
    if revived or variation.patch  # whoever asks anew about what was abandoned is asked anew
]
SAMPLE = [
    ("push", 1, False), ("unforeseen protection", 4, True), ("pull request", -4, True), ("hotfix", 8, False),
    ("hotfix of people's own", 7, False), ("rebased hotfix", 7, False),
    *random.Random(7).sample(CASES, 3),
]  # fmt: skip


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as place:
        yield place


def assert_one_of_each(case: Case) -> None:
    """One commit that answers the release, one patch tag, one Release, the pull requests, one of each message."""
    expected = case.variation
    patch = expected.patch
    tags = ["v1.2.0", *([patch] if patch else [])]
    assert git("rev-parse", "v1.2.0", at=case.bare) == case.faulty
    assert git("tag", "--list", "v1.2.*", at=case.bare).split() == tags
    assert case.pulls() == expected.pulls
    said = case.comments()
    assert len(said) == len(set(said))
    branches = git("for-each-ref", "--format=%(refname:short)", "refs/heads", at=case.bare).split()
    assert sorted(branches) == sorted({"main", "develop", *expected.pulls})
    assert sorted(each["tag_name"] for each in case.api("GET", "releases")) == sorted(
        ["v1.0.0", "v1.1.0", *expected.also, *tags]
    )
    if expected.walk == "respond":
        assert case.told() == sorted(expected.told)
        assert [path.name for path in case.archived("post-mortems")] == (["v1.2.0.md"] if patch else [])
    if patch:
        assert_shipped(case, patch)
    else:
        assert git("rev-parse", "main", at=case.bare) == git("rev-parse", "v1.2.0^{commit}", at=case.bare)


def assert_shipped(case: Case, patch: str) -> None:
    """What plain git and GitHub say of the patch release."""
    expected = case.variation
    assert case.api("GET", "releases/latest")["tag_name"] == patch
    assert f"{patch}. Do not deploy." in case.api("GET", "releases/tags/v1.2.0")["body"]
    assert git("rev-parse", f"main~{expected.later}", at=case.bare) == git("rev-parse", f"{patch}^{{}}", at=case.bare)
    answers = git("log", "--no-merges", "--format=%s", "--grep=^Reverts-Release: v1.2.0 ",
                  "--grep=^Mends-Release: v1.2.0 ", "v1.2.0..main", at=case.bare)  # fmt: skip
    assert len(answers.splitlines()) == 1
    brought = set(git("diff", "--name-only", "v1.1.0", "v1.2.0", at=case.bare).split())
    left = set() if expected.out is None else brought - expected.out
    assert set(git("diff", "--name-only", "v1.1.0", patch, at=case.bare).split()) == left | expected.left
    if expected.walk == "respond":
        behind = git("rev-list", "--count", f"develop..{patch}", at=case.bare)
        assert (behind == "0") is expected.develop
    if "reland/v1.2.0" in expected.pulls:
        assert git("diff", "v1.2.0", "reland/v1.2.0", at=case.bare) == ""


def assert_proved(case: Case, patch: str) -> None:
    """The proof on the Release holds in a fresh clone, and is the artifact that people are shown, too."""
    (proof,) = re.findall(r"```\n(.*?)\n```", case.api("GET", f"releases/tags/{patch}")["body"], re.DOTALL)
    clone = case.clone("proof")
    lines = [part.partition("\n") for part in proof.removeprefix("$ ").split("\n$ ")]
    assert len(lines) >= 3
    for command, _, printed in lines:
        assert shell(clone, command) == printed
    assert proof in (case.directory / "shown" / "proof-shop-v1.2.0.md").read_text()


def survive(place: Stage, name: str, effect: int, directory: Path, *, revived: bool) -> None:
    """Die and go on."""
    case = Case(place, VARIATIONS[name], directory / "case")

    died, seen = case.run(effect, revived=case.variation.goes_on)
    assert (died, len(seen)) == (-9, effect if effect > 0 else -effect - 1)
    assert case.run(0, revived=revived)[0] == 0
    assert_one_of_each(case)


@pytest.mark.parametrize("name", VARIATIONS)
def test_no_effect_is_left_out(place: Stage, name: str, tmp_path: Path) -> None:
    """A walk to the end has as many effects as are killed at, and its proof holds; again, and nothing changes."""
    case = Case(place, VARIATIONS[name], tmp_path / "case")

    ended, seen = case.run(0, revived=case.variation.goes_on)

    assert (ended, len(seen)) == (0, VARIATIONS[name].effects), seen
    assert_one_of_each(case)
    if case.variation.patch:
        assert_proved(case, case.variation.patch)
    everything = case.everything()
    assert case.run(0, revived=not case.variation.patch)[0] == 0
    assert case.everything() == everything


@pytest.mark.parametrize(("name", "effect", "revived"), SAMPLE)
def test_a_procedure_killed_at_an_effect_goes_on(
    place: Stage, name: str, effect: int, revived: bool, tmp_path: Path
) -> None:
    """The dangerous ones, and some more: after the push, after the pull request, around the merge."""
    survive(place, name, effect, tmp_path, revived=revived)


@pytest.mark.torture
@pytest.mark.parametrize(("name", "effect", "revived"), CASES)
def test_every_procedure_killed_at_every_effect_goes_on(
    place: Stage, name: str, effect: int, revived: bool, tmp_path: Path
) -> None:
    """All of them."""
    survive(place, name, effect, tmp_path, revived=revived)
