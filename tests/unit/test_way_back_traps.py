"""What the judgement of a way back must not fall for: links, a clock put back, a server without room for a backup."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.backups import SENDERS, Room, Server, judge_server
from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint, Seen, State, Then, choose_point, judge_proof, point_name

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATABASE = Database(url_variable="SHOP_URL", backups="/backups", archive="/archive")
ROOM = Room(free=10**12, taken=False)
SERVER = Server(
    version=15, programs=15, system_id="77", timeline=1, segment_size=1 << 24, in_recovery=False, wal_level="replica",
    archive_mode="on", archive_command="cp", archived_at=NOW, failed_at=None, failed_segment="", size=10**8,
    data_directory="/var/lib/postgresql/data", tablespaces=(), unlogged=(), prepared=0, now=NOW,
)  # fmt: skip
STATE = State({"public.orders": 100}, {}, ("app",), {}, {}, "abc")
THEN = Then("shop", "v1.2.0", point_name("shop", "v1.2.0"), "0/3000090", 1, "77", NOW, STATE, STATE)
SEEN = Seen("0/3000090", 1, "77", STATE, seconds=1.25)


@pytest.mark.parametrize("room", [replace(ROOM, backups="/var/lib/postgresql/data/x"), replace(ROOM, archive="/var")])
def test_a_place_is_where_it_really_lies(room: Room) -> None:
    """The catalogue names a link, and the link leads into the server's own directory or around it."""
    judge_server(SERVER, DATABASE, replace(ROOM, backups="/disk/backups", archive="/disk/archive"))
    with pytest.raises(Refused, match="and the server's own /var/lib/postgresql/data lie in one another"):
        judge_server(SERVER, DATABASE, room)


def test_two_links_to_one_place_are_one_place() -> None:
    """Sets among the archived WAL would be archived over, or tidied away with it."""
    with pytest.raises(Refused, match="`backups` /backups and `archive` /archive lie in one another: part them"):
        judge_server(SERVER, DATABASE, replace(ROOM, backups="/disk", archive="/disk"))


@pytest.mark.parametrize("free", range(SENDERS))
def test_a_backup_needs_two_senders(free: int) -> None:
    """None is needed where the set is there already."""
    judge_server(replace(SERVER, free_senders=SENDERS), DATABASE, ROOM)
    judge_server(replace(SERVER, free_senders=free), DATABASE, replace(ROOM, taken=True))
    with pytest.raises(Refused, match=f"{free} of max_wal_senders are free and a base backup takes 2"):
        judge_server(replace(SERVER, free_senders=free), DATABASE, ROOM)


def test_a_backup_needs_a_slot() -> None:
    """And says which ones hold it off."""
    full = replace(SERVER, free_slots=0, slots=("replica", "old"))
    judge_server(full, DATABASE, replace(ROOM, taken=True))
    with pytest.raises(Refused, match=r"none of max_replication_slots is free .* \(replica, old\)"):
        judge_server(full, DATABASE, ROOM)


def test_slots_are_not_in_a_way_back() -> None:
    """Which the plan says aloud."""
    said = judge_server(replace(SERVER, slots=("replica",)), DATABASE, ROOM)

    assert said.endswith("; replication slots that would have to be made anew: replica")


@pytest.mark.parametrize(("seconds", "there"), [(0, True), (3600, True), (3601, False), (-1, False), (-86400, False)])
def test_a_point_stands_between_now_and_an_hour_ago(seconds: int, there: bool) -> None:
    """One of the future has no age: the clock was put back, by a second or by a day."""
    made = RestorePoint(THEN.name, 1, THEN.lsn, NOW)
    choice = choose_point("shop", "v1.2.0", DATABASE, made, THEN, NOW + timedelta(seconds=seconds))

    assert choice.there is there
    assert choice.point.attempt == (1 if there else 2)
    assert ("was made in the future" in choice.reason) is (seconds < 0)


def test_damage_is_no_proof_and_what_was_looked_at_is_said() -> None:
    """Also that nobody looked."""
    assert judge_proof(THEN, replace(SEEN, checked="pg_amcheck found no damage")).reason.endswith(
        " as they were; pg_amcheck found no damage"
    )
    way = judge_proof(THEN, replace(SEEN, damage="pg_amcheck failed: orders_pkey"))
    assert not way.proved
    assert way.reason.endswith("is not what was: pg_amcheck failed: orders_pkey")
