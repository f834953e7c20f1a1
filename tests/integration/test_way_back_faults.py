"""What must never read as proved: damage, gaps, wrong names, a full disk; each a sentence, and nothing left behind."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import flows.prepare_release
from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from infra.lab.process import wait_until
from recovery.errors import Refused, Unavailable
from recovery.restore_points import point_name
from tasks.postgres import points
from tasks.postgres.proving import prove_way_back
from tests.integration.small_disk import on_small_disk
from tests.integration.way_back import URL, Shop, new_shop

FULL = """
import sys
from prefect.logging import disable_run_logger
from recovery.databases import Database
from recovery.errors import Unavailable
from recovery.restore_points import RestorePoint
from tasks.postgres.backup import take_backup
from tasks.postgres.programs import give
from pathlib import Path

backups = Path(sys.argv[1], "backups")
backups.mkdir(mode=0o700)
give(backups)
database = Database(url_variable="SHOP_DATABASE_URL", backups=str(backups), archive="/nowhere")
with disable_run_logger():
    try:
        take_backup.fn("shop", "v1.2.0", database, RestorePoint("shop-v1.2.0-1", 1))
    except Unavailable as error:
        print(error)
print(sorted(path.name for path in backups.iterdir()))
"""
numbers = itertools.count(1)


@pytest.fixture(name="shop")
def _shop(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(archiving, f"shop{next(numbers)}", monkeypatch) as shop:
        yield shop


@contextmanager
def before(step: str, harm: Callable[[], object]) -> Iterator[None]:
    """Do harm right before a step of the gate."""
    original: Any = getattr(flows.prepare_release, step)

    def harmed(*given: Any, **named: Any) -> Any:
        harm()
        return original(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.prepare_release, step, harmed)
        yield


def fill_segments(shop: Shop) -> None:
    """Write so that the point comes some segments after the backup."""
    for _ in range(3):
        shop.sql("INSERT INTO orders (amount) SELECT 0 FROM generate_series(1, 5000); SELECT pg_switch_wal()")


def middle_segment(shop: Shop) -> Path:
    """A segment between the backup and the point, once all before it are archived."""
    wait_until(lambda: len(list(shop.server.archive.glob("*[0-9A-F]"))) > 3, what="the archive", seconds=30)
    return sorted(shop.server.archive.glob("[0-9A-F]" * 24))[-2]


def flip(path: Path, at: int) -> None:
    """Turn one bit over."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def refusal(shop: Shop) -> str:
    """The sentence with which the gate refuses."""
    with pytest.raises(Refused) as refused:
        shop.gate()
    said = str(refused.value)
    assert "\n" not in said
    return said


def archived(shop: Shop) -> None:
    """Wait until the archiver has caught up and says so."""
    shop.sql("SELECT pg_switch_wal()")
    caught_up = "SELECT coalesce(last_archived_time > last_failed_time, true) FROM pg_stat_archiver"

    def once() -> bool:
        shop.sql("CREATE TABLE IF NOT EXISTS nudge (); DROP TABLE nudge; SELECT pg_switch_wal()")
        return bool(shop.sql(caught_up)[0][0])

    wait_until(once, what="the archiver", seconds=90, every=0.5)


def test_a_segment_missing_from_the_middle_is_named(shop: Shop) -> None:
    """PostgreSQL without a target would open read-write with a part of the rows; the backup itself says it is whole."""
    gone = []

    def lose() -> None:
        segment = middle_segment(shop)
        gone.append(segment.name)
        segment.rename(shop.server.data.parent / segment.name)

    with before("make_point", lambda: fill_segments(shop)), before("read_chain", lose):
        said = refusal(shop)

    assert f"1 of the {5} segments" in said
    assert f"the first is {gone[0]}" in said
    (shop.server.data.parent / gone[0]).rename(shop.server.archive / gone[0])
    assert shop.gate().proved


def test_a_bit_turned_over_in_archived_wal_is_named(shop: Shop) -> None:
    """Whoever skips the damaged record opens with rows missing; the record's place is told."""
    damaged = []

    def harm() -> None:
        damaged.append(middle_segment(shop))
        flip(damaged[0], 40000)

    with before("make_point", lambda: fill_segments(shop)), before("read_chain", harm):
        said = refusal(shop)

    assert "the archived WAL from" in said
    assert "is damaged: pg_waldump failed" in said
    flip(damaged[0], 40000)
    assert shop.gate().proved


def test_a_segment_that_was_cut_off_is_named(shop: Shop) -> None:
    """A file that is there is not yet a file that is whole."""

    def cut() -> None:
        segment = middle_segment(shop)
        shutil.copyfile(segment, shop.server.data.parent / "whole")
        os.truncate(segment, 1 << 20)

    with before("make_point", lambda: fill_segments(shop)), before("read_chain", cut):
        said = refusal(shop)

    assert "has 1048576 bytes and not 16777216" in said
    shutil.copyfile(shop.server.data.parent / "whole", middle_segment(shop))


def test_damage_in_a_set_is_found_by_the_next_gate(shop: Shop) -> None:
    """A bit in a file of the backup, then one in its WAL: both are named, and nothing is booted."""
    shop.gate()
    place = shop.place()
    [(table,)] = shop.sql("SELECT pg_relation_filepath('orders')")
    flip(place.data / str(table), 5000)
    assert f"the backup in {place.set} is damaged, " in (said := refusal(shop))
    assert str(table) in said
    flip(place.data / str(table), 5000)

    last = max(place.wal.iterdir())
    flip(last, (int(shop.then().lsn.partition("/")[2], 16) % (1 << 24)) - 40)

    assert "is damaged: pg_waldump failed" in refusal(shop)
    assert shop.sets() == [place.name]


def test_a_copy_that_ends_before_the_point_is_no_proof(shop: Shop) -> None:
    """PostgreSQL reports it as started, and then it dies: its own last words are in the sentence."""
    shop.gate()
    place = shop.place()
    max(place.wal.iterdir()).unlink()

    with pytest.raises(Refused, match=r"ended before it was at the point: .*recovery ended before configured recovery"):
        prove_way_back.fn(shop.database, shop.point())
    assert shop.sets() == [place.name]


def test_a_copy_that_stops_elsewhere_is_no_proof(shop: Shop) -> None:
    """The record says another place, as when an older point of this name came first."""
    shop.gate()
    then = shop.place().set / "then.json"
    then.write_text(then.read_text().replace(shop.then().lsn, "0/1"))

    with pytest.raises(Refused, match=r"it stopped at 0/[0-9A-F]+ and not 0/1, the name may have been used before"):
        prove_way_back.fn(shop.database, shop.point())


def test_a_name_that_somebody_used_before_is_refused(shop: Shop) -> None:
    """Recovery stops at the first of two points of one name."""
    name = point_name(shop.service.name, "v1.2.0")

    with before("make_point", lambda: shop.sql(f"SELECT pg_create_restore_point('{name}')")):
        said = refusal(shop)

    assert f"has the restore point {name} 2 times and not once" in said


def test_a_backup_newer_than_its_point_is_refused(shop: Shop) -> None:
    """It cannot go back to before itself."""
    shop.gate()
    newer = shop.with_(fresh="1h")
    newer.gate("v1.3.0")
    shutil.rmtree(shop.place().data)
    shutil.copytree(shop.place("v1.3.0").data, shop.place().data)
    if shop.server.runs_as:
        shutil.chown(shop.place().data, shop.server.runs_as)
        for path in shop.place().data.rglob("*"):
            shutil.chown(path, shop.server.runs_as)

    assert "after the point" in (said := refusal(shop))
    assert "it needs an older backup" in said


def test_an_archiver_that_fails_is_refused_before_anything_is_touched(shop: Shop) -> None:
    """Nothing is taken, nothing registered; mended, it is proved."""
    shop.server.archive.chmod(0o500)
    try:
        shop.sql("CREATE TABLE more (); SELECT pg_switch_wal()")
        failing = "SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver"
        wait_until(lambda: bool(shop.sql(failing)[0][0]), what="a failure", seconds=60, every=0.2)
        assert "the archiver fails, last with 0000" in refusal(shop)
        assert shop.sets() == []
        assert shop.sql("SELECT to_regclass('ripcord.restore_points')") == [(None,)]
    finally:
        shop.server.archive.chmod(0o700)
    archived(shop)
    assert shop.gate().proved


def test_a_point_that_is_not_archived_is_not_proved(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archiver breaks in between: the gate waits, refuses, and later finds the same point."""
    monkeypatch.setattr(points, "ARCHIVED_SECONDS", 2.0)
    try:
        with before("make_point", lambda: shop.server.archive.chmod(0o500)):
            assert "was not archived within 2 s" in refusal(shop)
    finally:
        shop.server.archive.chmod(0o700)
    point = shop.point()
    archived(shop)
    monkeypatch.setattr(points, "ARCHIVED_SECONDS", 60.0)

    assert shop.gate().proved
    assert shop.point() == point


def test_an_archive_of_another_place_is_named(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's word that it has archived says nothing of where."""
    monkeypatch.setattr(points, "ARCHIVED_SECONDS", 2.0)
    said = refusal(shop.with_(archive=str(tmp_path)))

    assert f"is archived and it is not in {tmp_path}" in said


def test_places_of_the_server_itself_are_refused(shop: Shop) -> None:
    """A set inside the data directory, and tables outside of it, which a copy beside the server would share."""
    inside = shop.server.data / "base"
    assert "lie in one another: name a place of its own" in refusal(shop.with_(backups=str(inside)))

    elsewhere = shop.server.data.parent / "fast"
    elsewhere.mkdir()
    give(elsewhere, shop.server.runs_as)
    shop.sql(f"CREATE TABLESPACE fast LOCATION '{elsewhere}'")
    try:
        assert f"tablespaces of their own ({elsewhere})" in refusal(shop)
        assert shop.sets() == []
    finally:
        shop.sql("DROP TABLESPACE fast")


def test_a_wrong_password_is_one_sentence_without_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a conninfo that is none, a missing one, or a server that is not there tell a secret."""
    port = shop.server.port
    monkeypatch.setenv(URL, f"postgresql://ripcord:hunter2@127.0.0.1:{port}/postgres")
    assert "password authentication failed" in (said := refusal(shop))
    assert "hunter2" not in said
    monkeypatch.setenv(URL, "ripcord hunter2")
    assert refusal(shop) == f"{URL} is no conninfo: write postgresql://user:password@host/name"
    monkeypatch.delenv(URL)
    assert refusal(shop) == f"{URL} is not set: it must hold the conninfo of the database"
    monkeypatch.setenv(URL, "postgresql://ripcord:hunter2@127.0.0.1:1/postgres")
    with pytest.raises(Unavailable, match="did not answer") as unavailable:
        shop.gate()
    assert "hunter2" not in str(unavailable.value)


def test_programs_that_are_missing_or_run_as_root_are_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting that mends it."""
    monkeypatch.setenv("RIPCORD_POSTGRES_BIN", "/nowhere")
    assert "is not in /nowhere" in (said := refusal(shop))
    assert said.endswith("install PostgreSQL's programs or set RIPCORD_POSTGRES_BIN")
    if os.geteuid() == 0:
        monkeypatch.setenv("RIPCORD_POSTGRES_USER", "")
        assert "PostgreSQL does not run as root and ripcord does" in refusal(shop)
        monkeypatch.setenv("RIPCORD_POSTGRES_USER", "root")
        assert "names root, as whom PostgreSQL does not run" in refusal(shop)


def test_a_full_disk_is_a_sentence_and_leaves_no_rest(shop: Shop) -> None:
    """It fills up in the middle of the backup."""
    done, _ = on_small_disk(12, [sys.executable, "-c", FULL, "$DISK"])

    assert done.returncode == 0, done.stderr[-2000:]
    sentence, left = done.stdout.strip().splitlines()
    assert sentence.startswith("pg_basebackup: the disk of ")
    assert sentence.endswith(" is full: make room there; nothing of it was kept")
    assert left == "[]"


def test_a_long_version_still_has_a_name(shop: Shop) -> None:
    """PostgreSQL refuses a name of more than 63 bytes."""
    version = f"v1.2.0-rc.{'1' * 90}"

    assert shop.gate(version).proved
    [(name,)] = shop.sql("SELECT name FROM ripcord.restore_points")
    assert len(str(name)) == 63
    assert subprocess.run(["test", "-d", str(shop.place(version).data)], check=False).returncode == 0
