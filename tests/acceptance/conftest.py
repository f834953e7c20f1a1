"""One whole world for all acceptance tests: a shop that will fail, a search that will not, a depot for other trials."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from infra.lab.founding import world
from infra.lab.world import Pace, World

FEW = 12  # some tests have a quiet service of their own, by its number


def quiet_for(items: Sequence[pytest.Item]) -> tuple[str, ...]:
    """One for each case of test_killed.py, of which `make torture` alone has the whole matrix, and one more."""
    killed = sum("test_killed.py" in item.nodeid for item in items)
    return tuple(f"case{number}" for number in range(max(FEW, killed + 1)))


@pytest.fixture(name="lab", scope="package")
def _lab(request: pytest.FixtureRequest) -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ripcord-world-"))
    directory.chmod(0o755)  # PostgreSQL's ordinary user passes through
    pace = Pace(watch="75s", customers_per_second=5.0, customers_seconds=3600)
    healthy, guarded = ("search", "depot"), ("depot",)
    quiet = quiet_for(request.session.items)
    with world(directory, faulty=("shop",), healthy=healthy, quiet=quiet, guarded=guarded, pace=pace) as lab:
        yield lab
    if not request.session.testsfailed:  # the logs of what failed are kept
        shutil.rmtree(directory, ignore_errors=True)
