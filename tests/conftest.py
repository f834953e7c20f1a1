"""How the tests are shared out: the world of the acceptance tests belongs to one process, all else goes by file."""

from collections.abc import Iterator

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


@pytest.fixture(autouse=True, scope="session")
def _git_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests fetch is kept for this session alone, also by the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIPCORD_GIT_CACHE", str(tmp_path_factory.mktemp("git-cache")))
        yield


class ByServers(LoadScopeScheduling):  # type: ignore[misc]
    """What shares servers goes to one process, which starts them once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "world" if file.startswith("tests/acceptance/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByServers:
    """Share out for `pytest -n 2 --dist loadscope`; marks of `xdist_group` are passed over by pytest 9.2."""
    return ByServers(config, log)
