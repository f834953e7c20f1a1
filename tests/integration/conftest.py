"""Servers that the tests of many files share: one of each for the whole session.

A test that kills a server brings it back. Files whose names would meet (all ship `acme/shop`), or which take a
whole control plane down, have their own under the same name.
"""

from collections.abc import Iterator

import pytest

from infra.lab.aws import aws
from infra.lab.cnpg import Operator, cnpg
from infra.lab.githost import GitHost, git_host
from infra.lab.kubernetes import Cluster, control_plane
from infra.lab.postgres import Postgres, postgres
from tests.integration.shop_world import World, shop_world


@pytest.fixture(name="cluster", scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane: a test gives its Deployments a name of their own."""
    with control_plane(tmp_path_factory.mktemp("kubernetes")) as cluster:
        yield cluster


@pytest.fixture(name="host", scope="session")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    """A Git host: a test takes the repository `name`."""
    with git_host(tmp_path_factory.mktemp("githost")) as host:
        yield host


@pytest.fixture(name="name")
def _name(request: pytest.FixtureRequest) -> str:
    """A repository's name that is this test's own."""
    return f"acme/{request.node.name.replace('_', '-')[:60]}"


@pytest.fixture(name="database", scope="session")
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL: a test makes databases of its own."""
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(name="archiving", scope="module")
def _archiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL that archives, one for each file: its archive is looked at, and it is killed."""
    with postgres(tmp_path_factory.mktemp("archiving"), archiving=True) as server:
        yield server


@pytest.fixture(name="world", scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A shop on servers of its own: a test deploys first what it wants served."""
    with shop_world(tmp_path_factory.mktemp("shop")) as world:
        yield world


@pytest.fixture(name="moto", scope="session")
def _moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stand-in of AWS: a test empties it first."""
    with aws(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture(name="operator", scope="module")
def _operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A stand-in of CloudNativePG's operator: a test names its Clusters after itself."""
    with cnpg(cluster, tmp_path_factory.mktemp("cnpg")) as operator:
        yield operator
