"""Where the tests work and how they are shared out: what shares a world or a control plane to one process each."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from infra.lab.github_description import OBJECTIONS
from tests.memory import move_in, move_out
from tests.objections import Objections

ROOM = pytest.StashKey[Path]()
MOSTLY_WAITS = "tests/acceptance/test_blind.py"  # until a person is woken: beside the other trials, not before them
# Files whose tests take the control plane of the session; of those that break one each has its own.
ON_THE_CLUSTER = re.compile(r"tests/integration/test_.*(cnpg|kubernetes(?!_failures)|restore_secret)")


def pytest_configure(config: pytest.Config) -> None:
    """Move into memory before any temporary file is made; the processes of `-n 3` follow by their environment."""
    room = move_in()
    if room:
        config.stash[ROOM] = room


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Leave nothing in memory, but what shows why a test failed: that is there until the next run."""
    if ROOM in session.config.stash and exitstatus == pytest.ExitCode.OK:
        move_out(session.config.stash[ROOM])


@pytest.fixture(autouse=True, scope="session")
def _git_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests fetch is kept for this session alone, also by the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIPCORD_GIT_CACHE", str(tmp_path_factory.mktemp("git-cache")))
        yield


@pytest.fixture(name="all_objections", autouse=True, scope="session")
def _all_objections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objections]:
    """Every Git host of this session, whoever starts it, tells what is not as GitHub describes its API."""
    objections = Objections(tmp_path_factory.mktemp("objections") / "said.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OBJECTIONS, str(objections.file))
        yield objections
    objections.must_be_none()


@pytest.fixture(name="objections", autouse=True)
def _objections(all_objections: Objections) -> Iterator[Objections]:
    """A test fails when its calls, or the answers it got, are not as GitHub describes them."""
    yield all_objections
    all_objections.must_be_none()


class ByServers(LoadScopeScheduling):  # type: ignore[misc]
    """What shares servers goes to one process, which starts them once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith("tests/acceptance/"):
            return "waiting" if file == MOSTLY_WAITS else "world"
        return "cluster" if ON_THE_CLUSTER.match(file) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByServers:
    """Share out for `pytest -n 3 --dist loadscope`; marks of `xdist_group` are passed over by pytest 9.2."""
    return ByServers(config, log)
