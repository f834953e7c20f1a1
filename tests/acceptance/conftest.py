"""One whole world for all acceptance tests: a shop that will fail, a search that will not, a depot for other trials."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.founding import world
from infra.lab.world import Pace, World

# One for each case of test_killed.py; its whole matrix runs under `make torture` only.
QUIET = tuple(f"case{number}" for number in range(200 if os.environ.get("RIPCORD_TORTURE") else 12))


@pytest.fixture(name="lab", scope="session")
def _lab(request: pytest.FixtureRequest) -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="ripcord-world-"))
    directory.chmod(0o755)  # PostgreSQL's ordinary user passes through
    pace = Pace(watch="75s", customers_per_second=7.0, customers_seconds=3600)
    healthy, guarded = ("search", "depot"), ("depot",)
    with world(directory, faulty=("shop",), healthy=healthy, quiet=QUIET, guarded=guarded, pace=pace) as lab:
        yield lab
    if not request.session.testsfailed:  # the logs of what failed are kept
        shutil.rmtree(directory, ignore_errors=True)
