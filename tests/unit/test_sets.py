"""The order of a service's sets, which of them may go, and what is said of a disk that fills up."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.backups import Server
from recovery.bridging import Bridge, plan_bridges
from recovery.databases import Database, PgBouncer, Restore
from recovery.restore_points import State, Then
from recovery.sets import Spare, StoredSet, by_history, plan_expiry, warn_of_disks

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MEGABYTE = 1_000_000
STATE = State({}, {}, (), {}, {}, "s")
THEN = Then("shop", "v1.2.0", "shop", "0/5000", 1, "c1", NOW, STATE, STATE)
DATABASE = Database(url_variable="SHOP_URL", backups="/backups", archive="/archive")
POOLED = PgBouncer(admin_variable="POOLER_URL", databases_file="/p/databases.ini", alias="shop")
SERVER = Server(
    version=15, programs=15, system_id="77", timeline=1, segment_size=16 << 20, in_recovery=False,
    wal_level="replica", archive_mode="on", archive_command="cp", archived_at=NOW, failed_at=None, failed_segment="",
    size=100 * MEGABYTE, data_directory="/var/lib/postgresql/data", tablespaces=(), unlogged=(), prepared=0, now=NOW,
)  # fmt: skip


def made(name: str, position: int, age: timedelta, *, proved: bool = True) -> StoredSet:
    """A set of a point at a position, so old by the clock."""
    return StoredSet(replace(THEN, name=name, lsn=f"0/{position:X}", made_at=NOW - age), proved)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 99), st.integers(-400, 400)), unique_by=lambda each: each[:2])
)
def test_no_clock_changes_the_order_within_a_cluster(points: list[tuple[int, int, int]]) -> None:
    """Timeline and position alone do; whatever the clock said when each was made."""
    sets = [
        replace(THEN, timeline=timeline, lsn=f"0/{position:X}", made_at=NOW + number * DAY)
        for timeline, position, number in points
    ]

    ordered = by_history(sets, lambda each: each)

    assert [(each.timeline, int(each.lsn[2:], 16)) for each in ordered] == sorted(each[:2] for each in points)


def test_the_cluster_that_made_the_last_point_comes_last() -> None:
    """Positions of two clusters cannot be compared: the new one begins near zero."""
    old = [replace(THEN, lsn="9/0", made_at=NOW - 2 * DAY), replace(THEN, lsn="8/0", made_at=NOW - 3 * DAY)]
    new = [replace(THEN, lsn="0/2000", system_id="c0"), replace(THEN, lsn="0/1000", system_id="c0", made_at=NOW - DAY)]

    assert by_history([new[0], *old, new[1]], lambda each: each) == [old[1], old[0], new[1], new[0]]


def test_a_locked_set_never_goes_and_the_newest_proved_ones_stay() -> None:
    """However many newer ones there are."""
    sets = [made(name, 90 - age, age * DAY) for name, age in (("d", 0), ("c", 1), ("b", 2), ("a", 3))]

    assert plan_expiry(sets, 1, DAY, NOW) == ("b", "a")
    assert plan_expiry(sets, 3, DAY, NOW) == ("a",)
    assert plan_expiry(sets, 1, 4 * DAY, NOW) == ()
    assert plan_expiry([replace(sets[0], proved=False), *sets[1:]], 1, timedelta(seconds=-1), NOW) == ("d", "b", "a")


def test_a_clock_that_ran_wrong_does_not_cost_the_newest_set() -> None:
    """It was made while the clock was a year behind: by its time it is the oldest of all."""
    sets = [made("newest", 90, 365 * DAY), made("older", 80, 2 * DAY), made("oldest", 70, 3 * DAY)]

    assert plan_expiry(sets, 1, DAY, NOW) == ("older", "oldest")


@pytest.mark.parametrize(
    ("proved", "age", "gone"),
    [
        ((2, "c1"), 2 * DAY, ("shop-restored",)),
        ((2, "c1"), DAY / 2, ()),
        ((1, "c1"), 2 * DAY, ()),
        ((2, "c2"), 2 * DAY, ()),
    ],
)
def test_the_backup_of_a_restored_server_stays_until_a_point_of_that_server_is_proved(
    proved: tuple[int, str], age: timedelta, gone: tuple[str, ...]
) -> None:
    """The sets of the damaged one are no reason, nor those of another cluster."""
    timeline, system_id = proved
    points = [replace(THEN, timeline=timeline, system_id=system_id)]

    assert plan_bridges([Bridge("shop", "shop", "c1", 2, NOW - age)], points, DAY, NOW) == gone


def restoring(database: Database) -> Database:
    """The same with a place for restored servers."""
    return database.model_copy(update={"restore": Restore(sides="/sides", pgbouncer=POOLED)})


def parachuting(database: Database) -> Database:
    """The same where one stands ready."""
    return database.model_copy(update={"restore": Restore(sides="/sides", pgbouncer=POOLED, parachute=True)})


@pytest.mark.parametrize(
    ("server", "change", "spare", "said"),
    [
        (SERVER, restoring, Spare(360 * MEGABYTE, 120 * MEGABYTE), None),
        (SERVER, restoring, Spare(359 * MEGABYTE, 120 * MEGABYTE), "/backups has 359 MB free, and two more"),
        (SERVER, restoring, Spare(360 * MEGABYTE, 119 * MEGABYTE), "/sides has 119 MB free, and a server"),
        (SERVER, restoring, Spare(360 * MEGABYTE, None), None),
        (SERVER, parachuting, Spare(360 * MEGABYTE, 0), None),
        (replace(SERVER, unbounded=("journal",)), restoring, Spare(10**12, 10**12), "journal.*max_slot"),
    ],
)  # fmt: skip
def test_people_are_told_a_deployment_before_it_is_refused(
    server: Server, change: Callable[[Database], Database], spare: Spare, said: str | None
) -> None:
    """Of the disk of the sets, of that of a restored server, and of slots that keep WAL for nobody."""
    warned = warn_of_disks(server, change(DATABASE), spare)

    assert (warned is None) if said is None else re.search(said, warned or "")
