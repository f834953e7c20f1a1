"""Which Release is shown as the latest one."""

from datetime import UTC, datetime

import pytest

from recovery.latest import becomes_latest, newer_than
from recovery.releases import Release

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def releases(*tags: str, draft: bool = False, prerelease: bool = False) -> list[Release]:
    """Entries of the Releases history."""
    return [Release(1, tag, tag, "", draft, prerelease, NOW) for tag in tags]


@pytest.mark.parametrize(
    ("history", "newer"),
    [
        (releases("v1.2.0", "v1.2.1"), None),
        (releases("v1.10.0", "v1.9.0"), "v1.10.0"),
        (releases("v1.3.0", draft=True), None),
        (releases("v1.3.0", prerelease=True), None),
        (releases("v1.3.0-rc.1", "nightly", "cart/v9.0.0"), None),
    ],
)
def test_only_final_releases_of_the_same_service_are_newer(history: list[Release], newer: str | None) -> None:
    """By number and not by text."""
    assert newer_than("v1.2.1", "v", history) == newer
    assert becomes_latest("v1.2.1", "v", history, "v1.2.0") is (newer is None)


@pytest.mark.parametrize(("latest", "becomes"), [(None, True), ("v1.2.0", True), ("cart/v9.0.0", False)])
def test_the_place_of_another_service_is_not_taken(latest: str | None, becomes: bool) -> None:
    """One repository has one latest Release."""
    assert becomes_latest("v1.2.1", "v", releases("v1.2.0", "cart/v9.0.0"), latest) is becomes


def test_a_pre_release_is_never_the_latest() -> None:
    """v1.2.0-rc.2 takes v1.2.0-rc.1 back: nobody who installs the latest is to get it."""
    assert not becomes_latest("v1.2.0-rc.2", "v", releases("v1.1.0"), "v1.1.0")
