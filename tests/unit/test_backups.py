"""Whether a server can give a way back, a chain is whole, a set may go, and what the gate answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.backups import (
    Backup,
    Chain,
    Room,
    Server,
    judge_backup,
    judge_chain,
    judge_server,
    last_segment,
    parse_lsn,
    segments,
)
from recovery.catalog import Service
from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.gates import database_of, judge_unproved, show_gate, show_way, state_of
from recovery.restore_points import Choice, RestorePoint, WayBack

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MEGABYTE = 1_000_000
SIZE = 16 << 20
DATABASE = Database(url_variable="SHOP_URL", backups="/backups/shop", archive="/archive")
ROOM = Room(free=10_000 * MEGABYTE, taken=False)
SERVER = Server(
    version=15, programs=15, system_id="77", timeline=1, segment_size=SIZE, in_recovery=False, wal_level="replica",
    archive_mode="on", archive_command="cp", archived_at=NOW, failed_at=None, failed_segment="", size=100 * MEGABYTE,
    data_directory="/var/lib/postgresql/data", tablespaces=(), unlogged=(), prepared=0, now=NOW,
)  # fmt: skip
BACKUP = Backup("77", 1, "0/2000028", "0/2000100")
NAMES = ("000000010000000000000002", "000000010000000000000003")
CHAIN = Chain("point", "0/3000090", dict.fromkeys(NAMES, SIZE), None, ("point",))


def test_a_sound_server_is_described() -> None:
    """Also what a way back does not bring: unlogged rows, and what prepared transactions do."""
    said = judge_server(replace(SERVER, unlogged=("public.cache",), prepared=2), DATABASE, ROOM)

    assert said == (
        "100 MB on timeline 1, archiving; unlogged and empty after a way back: public.cache; "
        "2 prepared transactions would come back with their locks"
    )


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (replace(SERVER, programs=18), "is PostgreSQL 15 and the programs are of 18.*RIPCORD_POSTGRES_BIN"),
        (replace(SERVER, in_recovery=True), "is a standby"),
        (replace(SERVER, wal_level="minimal"), "wal_level is minimal: set it to replica"),
        (replace(SERVER, archive_mode="off"), "archive_mode is off: set it to on"),
        (replace(SERVER, archive_command=""), "nothing archives: set archive_command"),
        (replace(SERVER, failed_at=NOW + timedelta(seconds=1), failed_segment="A"), "the archiver fails, last with A"),
        (replace(SERVER, failed_at=NOW, archived_at=None), "the archiver fails"),
        (replace(SERVER, data_directory="/backups"), "`backups` /backups/shop and the server's own /backups lie in"),
        (replace(SERVER, data_directory="/archive/x/data"), "`archive` /archive and the server's own"),
        (replace(SERVER, tablespaces=("/fast",)), r"tablespaces of their own \(/fast\)"),
        (replace(SERVER, tablespaces=("/backups/shop/fast",)), "lie in one another"),
    ],
)
def test_a_server_that_cannot_give_a_way_back_is_refused(server: Server, said: str) -> None:
    """Each reason alone, with its way out."""
    with pytest.raises(Refused, match=said):
        judge_server(server, DATABASE, ROOM)


def test_everything_that_stands_against_it_is_told_at_once() -> None:
    """Nobody mends a server one sentence at a time."""
    with pytest.raises(Refused, match=r"wal_level.*archive_mode.*MB free"):
        judge_server(replace(SERVER, wal_level="minimal", archive_mode="off"), DATABASE, Room(0, taken=False))


def test_an_old_failure_that_was_mended_does_not_count() -> None:
    """The archiver has succeeded since."""
    judge_server(replace(SERVER, failed_at=NOW - timedelta(seconds=1)), DATABASE, ROOM)


@pytest.mark.parametrize(("taken", "copies"), [(False, 2), (True, 1)])
def test_room_is_needed_for_the_set_and_for_the_copy_that_proves_it(taken: bool, copies: int) -> None:
    """At the limit it suffices, one byte below it does not."""
    needed = copies * 120 * MEGABYTE + 2 * SIZE

    judge_server(SERVER, DATABASE, Room(needed, taken))
    with pytest.raises(Refused, match=f"{needed // MEGABYTE} are needed"):
        judge_server(SERVER, DATABASE, Room(needed - 1, taken))


def test_a_backup_of_another_cluster_or_history_is_refused() -> None:
    """Its WAL does not lead to the point."""
    judge_backup(BACKUP, SERVER)
    with pytest.raises(Refused, match="is of the cluster 78"):
        judge_backup(replace(BACKUP, system_id="78"), SERVER)
    with pytest.raises(Refused, match="is of timeline 2"):
        judge_backup(replace(BACKUP, timeline=2), SERVER)


def test_a_whole_chain_is_its_segments() -> None:
    """From the backup's start to the point."""
    assert judge_chain(BACKUP, CHAIN, SIZE) == NAMES


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (replace(CHAIN, found={NAMES[1]: SIZE}), f"1 of the 2 segments .* the first is {NAMES[0]}"),
        (replace(CHAIN, found={}), "2 of the 2 segments"),
        (replace(CHAIN, found={**CHAIN.found, NAMES[0]: 5}), f"{NAMES[0]} in the archive has 5 bytes and not {SIZE}"),
        (replace(CHAIN, unreadable="bad checksum"), "is damaged: bad checksum"),
        (replace(CHAIN, names=()), "the restore point point 0 times"),
        (replace(CHAIN, names=("point", "other", "point")), "the restore point point 2 times"),
        (replace(CHAIN, lsn="0/20000FF"), "ended at 0/2000100, after the point point at 0/20000FF"),
    ],
)
def test_a_chain_with_a_fault_is_refused(chain: Chain, said: str) -> None:
    """A gap, a cut, damage, a name used twice, a backup that is too new."""
    with pytest.raises(Refused, match=said):
        judge_chain(BACKUP, chain, SIZE)


@pytest.mark.parametrize(
    ("said", "segment"),
    [
        ("error in WAL record at 0/2000028: incorrect checksum in record at 0/3000060", NAMES[1]),
        ("could not find a valid record after 0/2000028", NAMES[0]),
    ],
)
def test_a_record_that_cannot_be_read_is_named_by_its_segment(said: str, segment: str) -> None:
    """pg_waldump names a position, and people look for a file; where it names the file, its word stands alone."""
    with pytest.raises(Refused, match=f"begins in {segment} in /sets/wal: a new backup is needed"):
        judge_chain(BACKUP, replace(CHAIN, unreadable=said, place="/sets/wal"), SIZE)
    with pytest.raises(Refused, match=f"in log segment {segment}, offset 0: a new backup is needed"):
        judge_chain(BACKUP, replace(CHAIN, unreadable=f"0/3 invalid in log segment {segment}, offset 0"), SIZE)


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 30), st.sampled_from([1 << 20, 16 << 20, 1 << 30]))
def test_segments_cover_every_byte_between_two_positions(start: int, length: int, size: int) -> None:
    """Counted by the names alone: one after the other, the last one holds the last byte."""
    written = [f"{each >> 32:X}/{each & 0xFFFFFFFF:X}" for each in (start, start + length)]
    names = segments(1, written[0], written[1], size)
    numbers = [int(name[8:16], 16) * ((1 << 32) // size) + int(name[16:], 16) for name in names]

    assert parse_lsn(written[0]) == start
    assert numbers == list(range(start // size, (start + length - 1) // size + 1))
    assert names[-1] == last_segment(1, written[1], size)


def test_what_a_failure_means_for_the_deployment() -> None:
    """Refused unless the catalogue allows it; a system that did not answer is never a yes."""
    allowed = DATABASE.model_copy(update={"allow_unproved": True})

    assert judge_unproved(DATABASE, Refused("no")) is None
    assert judge_unproved(allowed, Unavailable("silence")) is None
    for error in (Refused("fenced"), Unavailable("silence")):
        back = judge_unproved(DATABASE, error, takes_back="v1.2.0")
        assert back == WayBack(False, f"unproved, and let through because it takes v1.2.0 back: {error}")
    way = judge_unproved(allowed, Refused("no room"))
    assert way is not None
    assert (way.proved, way.reason) == (False, "unproved, which the catalogue allows: no room")
    assert [state_of(each) for each in (way, Refused(""), Unavailable(""))] == ["success", "failure", "error"]


def test_a_service_without_a_database_gets_no_yes() -> None:
    """A gate that checks nothing must not say that all is well."""
    service = Service(name="shop", namespace="acme", repository="acme/shop")

    with pytest.raises(Refused, match="names no database of shop"):
        database_of(service)


def test_plan_and_answer_are_shown_to_people() -> None:
    """Words from elsewhere are plain text."""
    choice = Choice(RestorePoint("shop-v1", 1), "there is no point for it yet")

    assert "To be made: `shop-v1`" in show_gate("shop", "v1", DATABASE, choice, SERVER, "100 MB *now*")
    assert "Forecast of a cold restore: 1.5 s" in show_way("shop", "v1", WayBack(True, "proved", "shop-v1", 1.5))
    assert "way back NOT proved" in show_way("shop", "v1", WayBack(False, "because"))
