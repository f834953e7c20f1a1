"""Tags as versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.errors import Refused
from recovery.versions import next_patch, parse_version, prefix_of, release_of

NUMBERS = st.tuples(*[st.integers(0, 300)] * 3)


@given(NUMBERS, NUMBERS)
def test_versions_compare_by_number_and_never_as_text(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """v1.10.0 is newer than v1.9.0."""
    a, b = (parse_version("v" + ".".join(map(str, each))) for each in (one, other))

    assert (a < b) == (one < other)


@given(NUMBERS, st.sets(st.integers(0, 12)))
def test_the_next_patch_is_free_and_the_lowest_above(number: tuple[int, int, int], gone: set[int]) -> None:
    """It is never one that is taken, and there is no free one between."""
    major, minor, patch = number
    taken = {f"v{major}.{minor}.{patch + each}" for each in gone}

    found = next_patch(parse_version(f"v{major}.{minor}.{patch}"), taken)

    assert found.tag not in taken
    between = {f"v{major}.{minor}.{each}" for each in range(patch + 1, found.number.patch)}
    assert between <= taken


@pytest.mark.parametrize(
    ("faulty", "taken", "patch"),
    [
        ("v1.2.0-rc.1", (), "v1.2.0-rc.2"),
        ("v1.2.0-rc.1+build.7", ("v1.2.0-rc.2",), "v1.2.0-rc.3"),
        ("v1.2.0-rc9", (), "v1.2.0-rc9.1"),
        ("v1.2.0-beta", ("v1.2.0-beta.1",), "v1.2.0-beta.2"),
    ],
)
def test_a_faulty_pre_release_is_answered_by_the_next_one(faulty: str, taken: tuple[str, ...], patch: str) -> None:
    """Named v1.2.0, what has nothing of v1.2.0 in it would be installed as v1.2.0, and the name be gone for good."""
    found = next_patch(parse_version(faulty), taken)

    assert found.tag == patch
    assert parse_version(faulty) < found < parse_version("v1.2.0")


ODD = ("--force", "-x", "$(id)", "a;touch", "refs/heads/main", "HEAD", "1.2.0", "v1.2", "v01.2.0", "v1.2.0\n", "")


@pytest.mark.parametrize("tag", [*ODD, "x" * 200_000])
def test_what_is_no_release_tag_is_refused_in_one_short_sentence(tag: str) -> None:
    """Also a name of 200 KiB, which is shown cut."""
    with pytest.raises(Refused, match="is not a release tag: expected vMAJOR") as refused:
        parse_version(tag)

    assert len(str(refused.value)) < 300


def test_a_prefix_belongs_to_one_service_of_a_monorepo() -> None:
    """shop/v1.2.0 is read with its prefix and refused without."""
    assert parse_version("shop/v1.2.0", "shop/v").ref == "refs/tags/shop/v1.2.0"
    with pytest.raises(Refused):
        parse_version("shop/v1.2.0", "v")


@pytest.mark.parametrize(
    ("image_tag", "prefix", "release"),
    [
        ("v1.2.0", "v", "v1.2.0"),
        ("v1.2.0", "svc-a/v", "svc-a/v1.2.0"),
        ("svc-a-v1.2.0-rc.1", "svc-a/v", "svc-a/v1.2.0-rc.1"),
        ("svc-a-1.2.0", "svc-a/", "svc-a/1.2.0"),
        ("svc-a-v1.2.0", "v", "svc-a-v1.2.0"),
        ("svc-b-v1.2.0", "svc-a/v", "svc-b-v1.2.0"),
        ("latest", "svc-a/v", "latest"),
        ("v1", "svc-a/v", "v1"),
    ],
)
def test_an_image_names_its_release_without_a_slash(image_tag: str, prefix: str, release: str) -> None:
    """Whole with a dash for the slash, or the number alone; another service's and no version are left as they are."""
    assert release_of(image_tag, prefix) == release


@pytest.mark.parametrize(
    ("tag", "prefix"), [("v1.2.0", "v"), ("svc-a/v1.2.0", "svc-a/v"), ("1.2.0", ""), ("a/1", "a/")]
)
def test_the_prefix_is_what_stands_before_the_number(tag: str, prefix: str) -> None:
    """With or without a directory and a letter."""
    assert prefix_of(tag) == prefix
