"""kill -9 after every single effect of a gate with Barman, pgBackRest or a bucket, then the gate again: one of each.

The witnesses are the managers' own lists, boto3, pg_waldump, plain SQL, plain HTTP, /proc and the names on the disk.
"""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from infra.lab.aws import aws
from infra.lab.barman import Barman, barman
from infra.lab.pgbackrest import pgbackrest
from tests.integration.buckets import ANYBODY, PREFIX, s3_of, wal_in_bucket
from tests.integration.killed_database import Case, Manager, Stage, stage
from tests.integration.managers import barmans, path_of_barman, pgbackrests, with_barman, with_pgbackrest

Watch = Callable[[Case], None]
Kept = tuple[Stage, Manager, Watch]
Way = Callable[[Path], AbstractContextManager[Kept]]
BEGUN, RECORDED = "statement: INSERT", "renamed to then.json"  # between them a name may be used that nothing records
# Of two walks one may need a segment more, each of which is fetched and looked at: only the first effects are the same.
SPARE = 4
# Each backup holds the databases of all cases before it: those of all effects would fill the memory.
SHARING = 15
DANGEROUS = (
    "in barman backup", "after barman backup", "in pgbackrest backup", "in pgbackrest restore",
    "in pg_basebackup", "renamed to set",
)  # fmt: skip
SEGMENT = re.compile(r"[0-9A-F]{24}")


@contextmanager
def by_barman(place: Path) -> Iterator[Kept]:
    """The servers, with a Barman that keeps one whole backup of each set and no other."""
    with stage(place) as servers, barman(servers.server, place / "barman") as ours, path_of_barman(ours) as path:

        def watch(case: Case) -> None:
            assert_kept(ours, case)

        yield servers, Manager(with_barman(ours), {"PATH": path}), watch


def assert_kept(ours: Barman, case: Case) -> None:
    """One backup, whole, of the point's name; Barman keeps it against its own retention."""
    listed = {name: each for name, each in barmans(ours).items() if name.startswith(f"{case.shop.service.name}-")}
    assert [(name, each["status"]) for name, each in listed.items()] == [(case.shop.point().name, "DONE")]
    status = ours.run("keep", "--status", ours.server, str(listed[case.shop.point().name]["backup_id"]))
    assert "standalone" in status
    inside = {path.name for path in case.shop.place().set.iterdir()}
    assert inside - {"settings.json"} == {"barman.json", "proof.json", "then.json", "wal"}


@contextmanager
def by_pgbackrest(place: Path) -> Iterator[Kept]:
    """The servers, with a pgBackRest that has a backup of each set's name; the set has its files."""
    with stage(place) as servers, pgbackrest(servers.server) as ours:

        def watch(case: Case) -> None:
            assert case.shop.point().name in pgbackrests(ours)
            case.verify(case.shop.place().data)

        yield servers, Manager(with_pgbackrest(ours), {}), watch


@contextmanager
def by_bucket(place: Path) -> Iterator[Kept]:
    """The servers, with a bucket that has each of the set's segments as it was written, once; the set has its files."""
    with (
        stage(place) as servers,
        aws(place) as endpoint,
        wal_in_bucket(servers.server, endpoint, "wal") as bucket,
    ):
        s3 = s3_of(endpoint)

        def watch(case: Case) -> None:
            segments = {path.name: path.read_bytes() for path in case.shop.place().wal.iterdir()}
            assert segments
            assert all(SEGMENT.fullmatch(name) for name in segments)
            for name, content in segments.items():
                key = f"{PREFIX}/{name}"
                assert s3.get_object(Bucket=bucket.name, Key=key)["Body"].read() == content
                versions = s3.list_object_versions(Bucket=bucket.name, Prefix=key)["Versions"]
                assert [each["Key"] for each in versions].count(key) == 1
            case.verify(case.shop.place().data)

        yield servers, Manager({"archive": None, "bucket": bucket}, ANYBODY), watch


@pytest.fixture(
    name="way", scope="module", params=[by_barman, by_pgbackrest, pytest.param(by_bucket, marks=pytest.mark.torture)]
)
def _way(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.fixture(name="kept", scope="module")
def _kept(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with way(tmp_path_factory.mktemp("kept")) as kept:
        yield kept


@pytest.fixture(name="effects", scope="module")
def _effects(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every effect of a gate that nobody kills, in its order."""
    servers, manager, watch = kept
    with pytest.MonkeyPatch.context() as patch, servers.case(tmp_path_factory.mktemp("whole"), patch, manager) as case:
        seen = case.walk("gate", 0)
        case.assert_one_point(burnt=False)
        watch(case)
        return seen


def survive(kept: Kept, number: int, place: Path) -> str:
    """Die, walk again, and once more for good measure; gives the effect after which it died."""
    servers, manager, watch = kept
    with pytest.MonkeyPatch.context() as patch, servers.case(place, patch, manager) as case:
        seen = case.walk("gate", number)
        for _ in range(2):
            case.walk("gate", 0)
            case.assert_one_point(burnt=BEGUN in seen and RECORDED not in seen)
            watch(case)
        return seen[-1]


@pytest.mark.parametrize("which", range(2))
def test_a_gate_killed_after_an_effect_goes_on(kept: Kept, effects: list[str], tmp_path: Path, which: int) -> None:
    """The dangerous two of each."""
    what = [each for each in DANGEROUS if each in effects][which]
    assert survive(kept, effects.index(what) + 1, tmp_path) == what


def test_a_gate_killed_anywhere_goes_on(kept: Kept, effects: list[str], tmp_path: Path) -> None:
    """A seeded one of all, the same on every machine."""
    survive(kept, random.Random(5).randint(1, len(effects) - SPARE), tmp_path)


@pytest.mark.torture
@pytest.mark.timeout(7200)
def test_every_gate_killed_after_every_effect_goes_on(
    way: Way, effects: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of them, each on a database of its own, and some on servers of their own."""
    last = len(effects) - SPARE
    for first in range(1, last + 1, SHARING):
        with way(tmp_path_factory.mktemp("anew")) as kept:
            for number in range(first, min(first + SHARING, last + 1)):
                survive(kept, number, tmp_path_factory.mktemp(f"kill{number}"))
