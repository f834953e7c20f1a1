"""pgBackRest as the engine of the way back, on a real server; its own words, files and plain SQL are the witnesses."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from infra.lab.pgbackrest import PgBackRest, pgbackrest
from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from infra.lab.process import wait_until
from recovery.errors import Refused, Unavailable
from tasks.postgres.drilling import check_set, drill_set
from tasks.postgres.engines import engine_of
from tasks.postgres.places import place_of
from tasks.postgres.programs import clean, run
from tasks.postgres.set_checks import check_set_again
from tasks.postgres.sets import expire_sets
from tests.integration.managers import pgbackrests, with_pgbackrest
from tests.integration.sides_shop import with_sides
from tests.integration.way_back import Shop, go_back, new_shop

NUMBERS = count(1)


@dataclass(frozen=True)
class Kept:
    """A shop whose WAL pgBackRest keeps."""

    shop: Shop
    pgbackrest: PgBackRest

    def backups(self) -> dict[str, dict[str, Any]]:
        """What pgBackRest lists, by the names that they were taken under."""
        return pgbackrests(self.pgbackrest)

    def archived(self, pattern: str) -> list[Path]:
        """The segments of its archive."""
        return sorted((self.pgbackrest.repository / "archive").rglob(pattern))


@pytest.fixture(name="received", scope="module")
def _received(archiving: Postgres) -> Iterator[PgBackRest]:
    with pgbackrest(archiving) as ours:
        yield ours


@pytest.fixture(name="kept")
def _kept(archiving: Postgres, received: PgBackRest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with (
        new_shop(archiving, f"rest{next(NUMBERS)}", monkeypatch) as shop,
        with_sides(shop.with_(**with_pgbackrest(received))) as sided,
    ):
        yield Kept(sided, received)


def test_the_gate_proves_a_backup_of_pgbackrests(kept: Kept) -> None:
    """pgBackRest has one of the point's name; the set has its files, and a manifest that PostgreSQL itself verifies."""
    way = kept.shop.gate()

    assert way.proved, way.reason
    assert "rows as they were" in way.reason
    assert kept.shop.point().name in kept.backups()
    place = kept.shop.place()
    verify = [kept.shop.server.binaries / "pg_verifybackup", place.data]
    if subprocess.run([verify[0], "--version"], capture_output=True, check=False).returncode == 0:
        subprocess.run(verify, check=True, capture_output=True)
    assert [path.name for path in place.wal.iterdir()]


def test_the_second_call_takes_nothing(kept: Kept) -> None:
    """A gate that is asked again within the hour finds its point and its set."""
    kept.shop.gate()
    before = kept.backups()

    assert kept.shop.gate().proved
    assert kept.backups() == before


def test_its_own_retention_does_not_lose_a_way_back(kept: Kept) -> None:
    """Two more full backups, and pgBackRest has expired the one of the point: the set needs it no more."""
    kept.shop.gate()
    name, before = kept.shop.point().name, kept.shop.then()
    for _ in range(2):
        kept.pgbackrest.run("--type=full", "--start-fast", "--repo1-retention-full=1", "backup")

    assert name not in kept.backups()
    check_set.fn(kept.shop.database, before)
    way, _ = drill_set.fn(kept.shop.database, before)
    assert way.proved, way.reason


def test_a_side_is_raised_from_it_and_archives_to_pgbackrest(kept: Kept) -> None:
    """It has the hundred orders and not the one after, takes writes, and its timeline arrives, though elsewhere."""
    kept.shop.gate()
    kept.shop.sql("INSERT INTO orders (amount) VALUES (0)")

    side = go_back(kept.shop)

    assert side.sql("SELECT count(*) FROM orders") == [(100,)]
    assert kept.archived("00000002*")


def test_a_drill_needs_neither_server_nor_pgbackrest(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set is enough: server and repository may be gone."""
    kept.shop.gate()
    then = kept.shop.then()
    dead = kept.shop.server.dsn(kept.shop.service.name).replace(f":{kept.shop.server.port}/", ":1/")
    monkeypatch.setenv(kept.shop.database.url_variable, dead)
    monkeypatch.setattr("tasks.postgres.engines.pgbackrest.run", _gone)

    check_set.fn(kept.shop.database, then)
    way, _ = drill_set.fn(kept.shop.database, then)
    assert way.proved, way.reason


def _gone(argv: list[str], place: Path) -> str:
    raise Refused(f"{argv} in {place}: nobody there")


def test_a_flipped_bit_in_the_repository_is_refused(kept: Kept) -> None:
    """A damaged file of each new backup is found when it is restored, before there is a set."""
    kept.shop.gate("v1.1.0")
    honest, flipped = run, list[Path]()

    def damaged(argv: list[str], place: Path) -> str:
        if "restore" in argv:
            flipped.append(_largest(kept, str(max(each["label"] for each in kept.backups().values()))))
            _flip(flipped[-1])
        return honest(argv, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.postgres.engines.pgbackrest.run", damaged)
        with pytest.raises(Refused, match="pgbackrest failed"):
            kept.shop.gate("v1.2.0")
    for file in flipped:
        _flip(file)
    assert len(flipped) == 2  # of an incremental backup, and of the full one that was tried after it
    assert kept.shop.sets() == [kept.shop.point("v1.1.0").name]


def test_where_the_full_backup_is_damaged_another_one_is_taken(kept: Kept) -> None:
    """An incremental backup is only as good as what it builds on; the gate does not wait for a person to say so."""
    kept.shop.gate("v1.1.0")
    full = max(str(each["label"]) for each in kept.backups().values()).split("_")[0]
    before = {str(each["label"]) for each in kept.backups().values()}
    _flip(file := _largest(kept, full, "pg_data/base/1/*"))  # template1 never changes, so the next one builds on it

    assert kept.shop.gate("v1.2.0").proved
    _flip(file)
    taken = [label for each in kept.backups().values() if (label := str(each["label"])) not in before]
    assert [label for label in taken if "_" not in label]


def _largest(kept: Kept, label: str, pattern: str = "pg_data/**/*") -> Path:
    files = (kept.pgbackrest.repository / "backup" / kept.pgbackrest.stanza / label).glob(pattern)
    return max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_flipped_bit_in_the_set_is_refused(kept: Kept) -> None:
    """As with PostgreSQL's own programs: gate, drill and restore say it before anything is booted."""
    kept.shop.gate()
    assert check_set_again.fn(kept.shop.database, kept.shop.point()).damage is None
    _flip(next(path for path in sorted(kept.shop.place().data.rglob("base/*/1259"))))

    with pytest.raises(Refused, match="damaged"):
        check_set.fn(kept.shop.database, kept.shop.then())
    with pytest.raises(Refused, match="damaged"):
        kept.shop.gate()
    assert "1259" in str(check_set_again.fn(kept.shop.database, kept.shop.point()).damage)


def test_a_segment_that_its_archive_lost_is_missed(kept: Kept) -> None:
    """Between backup and point: pgBackRest's own verify is content (its issue 2502), the gate is not."""
    honest = run

    def losing(argv: list[str], place: Path) -> str:
        said = honest(argv, place)
        if "restore" in argv:
            newest = max(kept.backups().values(), key=lambda each: str(each["label"]))
            for path in kept.archived(f"{newest['archive']['stop']}-*"):
                path.unlink()
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.postgres.engines.pgbackrest.run", losing)
        with pytest.raises(Refused, match="are not in the archive, the first is"):
            kept.shop.gate()


def test_nothing_is_restored_over_the_originals_tablespace(kept: Kept) -> None:
    """With --delta and without a map pgBackRest does that and says 0: neither gate nor engine lets it come to that."""
    elsewhere = kept.shop.server.data.parent / "fast"
    elsewhere.mkdir()
    give(elsewhere, kept.shop.server.runs_as)
    kept.shop.sql(f"CREATE TABLESPACE fast LOCATION '{elsewhere}'")
    try:
        kept.shop.sql("CREATE TABLE fast TABLESPACE fast AS SELECT generate_series(1, 5000) AS id; CHECKPOINT")
        files = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in elsewhere.rglob("*")}
        with pytest.raises(Refused, match="tablespaces of their own"):
            kept.shop.gate()
        place = place_of(kept.shop.database, "by-hand")
        place.part.mkdir(mode=0o700)
        give(place.part, kept.shop.server.runs_as)
        with pytest.raises(Refused, match="has tablespaces, which pgBackRest restores over the original's"):
            engine_of(kept.shop.database).take(place, "by-hand")

        assert list(place.part.iterdir()) == []
        assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in elsewhere.rglob("*")} == files
        assert kept.shop.sql("SELECT count(*) FROM fast") == [(5000,)]
    finally:
        kept.shop.sql("DROP TABLE IF EXISTS fast")
        kept.shop.sql("DROP TABLESPACE fast")
        kept.pgbackrest.run("--type=full", "backup")


def test_a_backup_that_was_killed_is_taken_anew(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """pgBackRest is killed while it copies; the next gate has its point proved."""
    honest = run

    def killed(argv: list[str], place: Path) -> str:
        if "backup" not in argv:
            return honest(argv, place)
        root = kept.pgbackrest.repository / "backup" / kept.pgbackrest.stanza
        listed = set(root.iterdir()) if root.exists() else set()
        with subprocess.Popen(
            argv, cwd=place, env=clean(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as one:
            wait_until(
                lambda: root.exists() and set(root.iterdir()) > listed, what="the backup", seconds=60, every=0.01
            )
            one.kill()
        raise Unavailable("killed")

    with monkeypatch.context() as dying:
        dying.setattr("tasks.postgres.engines.pgbackrest.run", killed)
        with pytest.raises(Unavailable, match="killed"):
            kept.shop.gate()

    assert kept.shop.gate().proved
    assert kept.shop.point().name in kept.backups()


def test_a_gate_that_died_before_it_had_the_files_finds_its_backup(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between backup and restore: the backup of that name is there, and no second one is taken."""
    honest = run

    def dying(argv: list[str], place: Path) -> str:
        if "restore" in argv:
            raise Unavailable("killed")
        return honest(argv, place)

    with monkeypatch.context() as patch:
        patch.setattr("tasks.postgres.engines.pgbackrest.run", dying)
        with pytest.raises(Unavailable, match="killed"):
            kept.shop.gate()
    before = kept.backups()

    assert kept.shop.gate().proved
    assert kept.backups() == before


def test_a_set_that_expires_leaves_pgbackrests_own_alone(kept: Kept) -> None:
    """Its retention is its owner's affair."""
    kept.shop.gate("v1.2.0")
    old = kept.shop.point("v1.2.0").name
    kept.shop.gate("v1.3.0")
    shop = kept.shop.with_(keep=1, locked=kept.shop.database.fresh * 0)

    expire_sets.fn(shop.service.name, shop.database)
    assert shop.sets() == [kept.shop.point("v1.3.0").name]
    assert old in kept.backups()


def test_pgbackrests_own_check_stands_before_everything(kept: Kept) -> None:
    """A stanza that it does not know, or a program that is not there: a sentence, and nothing is taken."""
    before = kept.backups()
    engine = kept.shop.database.pgbackrest
    assert engine is not None
    unknown = kept.shop.with_(pgbackrest=engine.model_copy(update={"stanza": "nobody"}))
    absent = kept.shop.with_(pgbackrest=engine.model_copy(update={"programs": "/nonexistent"}))

    with pytest.raises(Refused, match="pgbackrest failed"):
        unknown.gate()
    with pytest.raises(Refused, match="pgbackrest is not in /nonexistent: install it"):
        absent.gate()
    assert kept.backups() == before
    assert kept.shop.sets() == []
