"""A salvage that is killed -9 between any two steps, and run again: the same files, and every row once."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.lab.postgres import Postgres, postgres
from tests.integration.salvage_dying import UNAVAILABLE
from tests.integration.salvaging import NASTILY_WRITTEN, NASTY, SHOP, WRITTEN, Three, digest, three

EXPORT = [
    "export exports read_tables 1 after",
    *(f"export exports _write_table {number} after" for number in (1, 2, 5, 8)),
    "export exports moved_sequences 1 before",
    "export exports _digest 3 after",
    "export exports _store 1 before",
    "export exports _store 2 after",
    "export path rename 1 before",
    "export path rename 1 after",
    "export end - 0 after",
]
APPLY = [
    "apply exports _digest 2 after",
    "apply applying _registered 1 after",
    "apply applying _move 1 after",
    "apply staged load 3 after",
    "apply staged keep 8 after",
    *(f"apply staged write {number} after" for number in (1, 4, 9, 17)),
    "apply applying _look 1 before",
    "apply staged conflicts 1 before",
    "apply staged conflicts 8 after",
    "apply applying _apply 1 after",
    "apply end - 0 after",
]
SAMPLE = random.Random(7)
# Between its tables, before it is named; while rows are loaded, written, and right before the commit.
SERVER_DIES = [
    "export exports _write_table 2 after",
    "export exports _digest 3 after",
    "apply staged load 3 after",
    "apply staged write 9 after",
    "apply staged conflicts 8 after",
]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("killed")) as server:
        yield server


@contextmanager
def killer(world: Three) -> Iterator[Callable[[str], int]]:
    """A function that lets a process of its own die at a spot, and returns how it ended."""
    given = {"database": world.database.model_dump(mode="json"), "restored": f"{world.name}_restored"}
    argv = [sys.executable, "-m", "tests.integration.salvage_dying", json.dumps(given)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        tell, hear = process.stdin, process.stdout

        def kill(spot: str) -> int:
            tell.write(f"{spot}\n")
            tell.flush()
            return int(hear.readline())

        yield kill
        tell.close()


def walk(server: Postgres, directory: Path, patch: pytest.MonkeyPatch, spots: list[str]) -> None:
    """Die at each spot, run again, and compare with a salvage that nobody killed."""
    with three(server, directory, SHOP + NASTY, patch) as world:
        world.part()
        world.sql("damaged", WRITTEN + NASTILY_WRITTEN)
        world.export()
        whole = digest(world.place)
        with killer(world) as kill:
            for spot in (each for each in spots if each.startswith("export")):
                world.place.rename(world.place.with_name(f"before {spot}"))
                assert kill(spot) == -9, spot
                world.export()
                assert digest(world.place) == whole, spot
                assert not world.place.with_name(".salvage.part").exists(), spot
            before = world.contents("restored")
            for spot in (each for each in spots if each.startswith("apply")):
                assert kill(spot) == -9, spot
                if "end" not in spot:
                    assert world.contents("restored") == before, spot
            world.apply()
        assert world.contents("restored") == world.contents("damaged")
        assert all(each.applied == each.found for each in world.applied().values())


def test_a_salvage_killed_anywhere_and_run_again_is_the_same(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seeded sample of the spots; the last one is right after the commit, whose answer nobody heard."""
    walk(server, tmp_path, monkeypatch, [*SAMPLE.sample(EXPORT, 2), *SAMPLE.sample(APPLY[:-1], 2), APPLY[-1]])


@pytest.mark.torture
def test_torture_of_every_spot(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them."""
    walk(server, tmp_path, monkeypatch, [*EXPORT, *APPLY])


def rows_of(world: Three) -> dict[str, bytes]:
    """Every file of an export but its summary: after a crash a sequence has skipped up to 32 numbers."""
    files = [each for each in world.place.rglob("*") if each.is_file() and each.name != "summary.json"]
    return {str(path.relative_to(world.place)): path.read_bytes() for path in files}


def test_a_server_that_dies_in_the_middle_is_unavailable_and_the_next_try_is_the_same(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three databases are on it: an export is made anew, and of what was taken back nothing is there, or all."""
    with three(server, tmp_path, SHOP + NASTY, monkeypatch) as world:
        world.part()
        world.sql("damaged", WRITTEN + NASTILY_WRITTEN)
        world.export()
        whole, before = rows_of(world), world.contents("restored")
        with killer(world) as kill:
            for number, spot in enumerate(SERVER_DIES):
                if spot.startswith("export"):
                    world.place.rename(world.place.with_name(f"before {number}"))
                pid = (server.data / "postmaster.pid").read_text().split()[0]
                assert kill(f"{spot} {pid}") == UNAVAILABLE, spot
                server.restart()
                assert world.contents("restored") == before, spot
                world.export()
                assert rows_of(world) == whole, spot
        world.apply()
        assert world.contents("restored") == world.contents("damaged")
        assert all(each.applied == each.found for each in world.applied().values())
