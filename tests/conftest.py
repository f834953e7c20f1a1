"""How the tests are shared out: the world of the acceptance tests belongs to one process, all else goes by file."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for `pytest -n 2 --dist loadgroup`; without -n this says nothing."""
    for item in items:
        group = "world" if "acceptance" in item.path.parts else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
