"""The traps of PostgreSQL's recovery: first how one falls into them by hand, then what the gate says.

The proof of the gate's part stands elsewhere for

- a segment that is not archived yet, a copy that ends early, a name that was used before, a backup newer than its
  point, places of the server's own, a full disk: test_way_back_faults;
- the marker commit, the timeline that stays out of the archive, the sets that are locked, the grants: test_way_back.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

import flows.prepare_release
from infra.lab.postgres import postgres
from infra.lab.process import free_port, wait_until
from recovery.errors import Refused
from tasks.postgres import proving
from tasks.postgres.connection import session
from tasks.postgres.copies import Copy, copy_of
from tasks.postgres.proving import prove_way_back
from tests.integration.plain_restore import (
    Restored,
    as_server,
    by_hand,
    laid_out,
    options,
    owned,
    plain,
    restoring,
    started,
)
from tests.integration.test_way_back_faults import before, fill_segments, flip
from tests.integration.way_back import Shop, new_shop

ROWS = "SELECT count(*) FROM orders"
ENDED = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True)
class Stored:
    """A shop with a proved way back, whose set holds five segments of WAL."""

    shop: Shop
    data: Path
    wal: Path
    name: str
    lsn: str
    rows: int

    def segments(self) -> list[Path]:
        """The WAL of the set, in its order."""
        return sorted(self.wal.iterdir())

    def target(self, **more: object) -> dict[str, object]:
        """The settings that lead to the point."""
        return {"recovery_target_name": self.name, "recovery_target_timeline": "current", **more}

    def by_hand(self, wal: Path | None = None, /, **settings: object) -> AbstractContextManager[Restored]:
        """A server that somebody restored from the set."""
        return by_hand(self.shop.server, self.data, wal or self.wal, **settings)

    def database(self) -> str:
        """The name of its database."""
        return self.shop.service.name

    def refusal(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """The sentence with which the gate refuses before a copy is booted."""
        monkeypatch.setattr(proving, "copy_of", lambda *given: pytest.fail("a copy was made"))
        with pytest.raises(Refused) as refused:
            self.shop.gate()
        return str(refused.value)


@pytest.fixture(name="stored", scope="module")
def _stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """What an original has that a copy must not take over, or does not get: leftover targets, slots, locks, caches."""
    settings = {"max_prepared_transactions": "5"}
    with (
        postgres(tmp_path_factory.mktemp("archiving"), archiving=True, settings=settings) as server,
        pytest.MonkeyPatch.context() as patch,
        new_shop(server, "shop", patch) as shop,
    ):
        shop.sql("ALTER SYSTEM SET recovery_target_xid = '3'")
        shop.sql("ALTER SYSTEM SET restore_command = 'false'")
        shop.sql("CREATE UNLOGGED TABLE cache AS SELECT generate_series(1, 50) AS id")
        shop.sql("CREATE SEQUENCE tickets; CREATE TABLE carts (id int)")
        shop.sql("BEGIN; INSERT INTO carts VALUES (1); PREPARE TRANSACTION 'half done'")
        shop.sql("SELECT pg_create_physical_replication_slot('replica')")

        def write() -> None:
            fill_segments(shop)
            shop.sql("SELECT nextval('tickets') FROM generate_series(1, 3)")

        with before("make_point", write):
            assert shop.gate().proved
        place, then = shop.place(), shop.then()
        yield Stored(shop, place.data, place.wal, then.name, then.lsn, then.after.counts["public.orders"])


@contextmanager
def harmed(stored: Stored, segment: Path, harm: Callable[[Path], object]) -> Iterator[None]:
    """Harm a file; it is as it was at the end."""
    kept = stored.shop.server.data.parent / f"kept-{segment.name}"  # beside it, it would be a file too many
    subprocess.run(["cp", "--archive", str(segment), str(kept)], check=True)
    try:
        harm(segment)
        yield
    finally:
        kept.rename(segment)


def flip_a_record(segment: Path) -> None:
    """Damage one record in the middle."""
    flip(segment, 40000)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (Path.unlink, "1 of the 5 segments from the backup to"),
        (flip_a_record, "is damaged: pg_waldump failed"),
    ],
)
def test_wal_that_is_gone_or_damaged_opens_a_server_with_a_part_of_the_rows(
    stored: Stored, harm: Callable[[Path], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand and without a target, PostgreSQL reports nothing; the gate reads the chain before it boots anything."""
    with harmed(stored, stored.segments()[2], harm):
        with stored.by_hand() as restored:
            assert restored.opened()
            assert restored.sql(ROWS, stored.database())[0][0] < stored.rows
            assert "FATAL" not in restored.said().replace("FATAL:  the database system is", "")

        assert said in stored.refusal(monkeypatch)


def test_pg_ctl_calls_a_server_started_that_dies_before_its_target(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The point's own segment is missing, as before it is archived: `pg_ctl -w start` says 0 all the same."""
    server = stored.shop.server

    def control(*arguments: str) -> int:
        argv = [str(server.binaries / "pg_ctl"), *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.run(
            argv, cwd="/", env=plain(), stdin=quiet, stdout=quiet, stderr=quiet, check=False, **as_server(server)
        ).returncode

    with harmed(stored, stored.segments()[-1], Path.unlink):
        with laid_out(server, stored.data) as data:
            slowly = restoring(stored.wal) | {"restore_command": f"sleep 0.7; cp {stored.wal}/%f %p"}
            settings = {**slowly, **stored.target(), "port": free_port(), "unix_socket_directories": ""}
            lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
            (data / "postgresql.auto.conf").write_text("".join(lines))
            log = data.parent / "log"
            try:
                assert control("-D", str(data), "-l", str(log), "-w", "start") == 0
                wait_until(lambda: ENDED in log.read_text(), what="its end", seconds=30)
                wait_until(lambda: control("-D", str(data), "status") == 3, what="its end", seconds=30)
            finally:
                control("-D", str(data), "-m", "immediate", "stop")

        assert "segments from the backup to" in stored.refusal(monkeypatch)


def test_recovery_by_time_dies_where_the_zone_is_another_or_nothing_follows(stored: Stored) -> None:
    """A time without its zone is read in the server's; after the last commit there is no time. We go by name alone."""
    naive = stored.shop.then().made_at.strftime("%Y-%m-%d %H:%M:%S")
    later = (stored.shop.then().made_at + timedelta(hours=1)).isoformat()
    by_time: tuple[Mapping[str, object], ...] = (
        {"recovery_target_time": naive, "timezone": "America/New_York"},
        {"recovery_target_time": later},
    )
    for settings in by_time:
        with stored.by_hand(**settings) as restored:
            assert restored.ended() != 0
            assert ENDED in restored.said()


def test_of_two_points_of_one_name_recovery_stops_at_the_first(stored: Stored) -> None:
    """And reports nothing: what was written between the two is missing."""
    shop = stored.shop
    shop.sql("CREATE TABLE between (id int)")
    shop.sql("SELECT pg_create_restore_point('twice')")
    shop.sql("INSERT INTO between VALUES (1)")
    shop.sql("SELECT pg_create_restore_point('twice')")
    [(segment,)] = shop.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    shop.sql("INSERT INTO between VALUES (2); SELECT pg_switch_wal()")
    wait_until((shop.server.archive / str(segment)).exists, what="the archive", seconds=30)

    with stored.by_hand(shop.server.archive, recovery_target_name="twice") as restored:
        assert restored.paused()
        assert restored.sql("SELECT count(*) FROM between", stored.database()) == [(0,)]
    shop.sql("DROP TABLE between")


def test_what_does_not_come_back_is_named_in_the_plan(stored: Stored) -> None:
    """Unlogged rows and slots are gone, a sequence is ahead, a prepared transaction is back."""
    with stored.by_hand(**stored.target(recovery_target_action="promote")) as restored:
        assert restored.opened()
        assert restored.sql("SELECT count(*) FROM cache", stored.database()) == [(0,)]
        assert restored.sql("SELECT count(*) FROM pg_replication_slots", stored.database()) == [(0,)]
        assert restored.sql("SELECT gid FROM pg_prepared_xacts", stored.database()) == [("half done",)]
        assert restored.sql("SELECT last_value FROM tickets", stored.database())[0][0] > 3

    said = flows.prepare_release.prove(stored.shop.service, "v1.2.0", rehearse=True).reason

    assert "unlogged and empty after a way back: public.cache" in said
    assert "1 prepared transactions would come back with their locks" in said
    assert "replication slots that would have to be made anew: replica" in said
    assert stored.shop.then().before.sequences["public.tickets"] == 3


def test_a_backup_newer_than_the_point_dies(stored: Stored) -> None:
    """A tool that takes the newest set for a name ends like this."""
    server, newer = stored.shop.server, stored.shop.server.data.parent / "newer"
    argv = [str(server.binaries / "pg_basebackup"), f"--dbname={server.dsn()}", "-D", str(newer), "--checkpoint=fast"]
    subprocess.run(argv, check=True, cwd="/", env=plain(), **as_server(server))
    with by_hand(server, newer, stored.wal, **stored.target()) as restored:
        assert restored.ended() != 0
        assert "FATAL" in restored.said()
    shutil.rmtree(newer)


def test_a_target_that_the_original_has_left_over_is_not_taken_along(stored: Stored) -> None:
    """PostgreSQL takes no two; the set was proved although the original's own settings name one."""
    assert "recovery_target_xid = '3'" in (stored.data / "postgresql.auto.conf").read_text()
    with stored.by_hand(**stored.target(recovery_target_xid="3")) as restored:
        assert restored.ended() != 0
        assert "multiple recovery targets" in restored.said()


def test_a_copy_that_is_paused_looks_up_and_is_not(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts and answers, and takes no writes; where it cannot answer, it stops instead."""
    with stored.by_hand(**stored.target()) as restored:
        assert restored.paused()
        program = [str(stored.shop.server.binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(restored.port)]
        assert subprocess.run(program, capture_output=True, check=False).returncode == 0
        assert restored.sql(ROWS, stored.database()) == [(stored.rows,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            restored.sql("DELETE FROM orders", stored.database())
    with stored.by_hand(**stored.target(hot_standby="off")) as restored:
        restored.ended()
        assert "shutdown at recovery target" in restored.said()

    monkeypatch.setattr(Copy, "promote", lambda self, database: None)
    with pytest.raises(Refused, match="it did not take writes after its promotion"):
        prove_way_back.fn(stored.shop.database, stored.shop.point())
    assert stored.shop.sets() == [stored.name]


def test_a_copy_with_fewer_connections_dies_or_comes_up_with_too_few(stored: Stored) -> None:
    """Which one depends on `hot_standby`; ours has what the original had, its target by name, and no archive."""
    fewer = {"max_connections": 50}
    with stored.by_hand(**stored.target(**fewer)) as restored:
        assert restored.ended() != 0
        assert "insufficient parameter settings" in restored.said()
    alone = {"hot_standby": "off", "recovery_target_action": "promote"}
    with stored.by_hand(**stored.target(**fewer, **alone)) as restored:
        assert restored.opened()
        assert restored.sql("SHOW max_connections", "postgres") == [("50",)]

    with copy_of(stored.shop.database, stored.shop.place(), stored.name) as copy:
        copy.wait_until_paused(stored.shop.database)
        with session(stored.shop.database, copy.way) as asked:
            seen = dict(asked.rows("SELECT name, setting FROM pg_settings"))
    at_least = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions")
    original = dict(stored.shop.sql("SELECT name, setting FROM pg_settings"))
    assert {name: seen[name] for name in at_least} == {name: original[name] for name in at_least}
    targets = {name: value for name, value in seen.items() if name.startswith("recovery_target") and value}
    kept = {"recovery_target_name", "recovery_target_timeline", "recovery_target_action", "recovery_target_inclusive"}
    assert targets.keys() == kept
    assert (seen["hot_standby"], seen["archive_mode"], targets["recovery_target_name"]) == ("on", "off", stored.name)


def test_inclusive_says_nothing_of_a_name(stored: Stored) -> None:
    """Both stop at the very same place, so that there is nothing to choose."""
    for inclusive in ("on", "off"):
        with stored.by_hand(**stored.target(recovery_target_inclusive=inclusive)) as restored:
            assert restored.paused()
            assert restored.sql("SELECT pg_last_wal_replay_lsn()::text", "postgres") == [(stored.lsn,)]


def test_a_copy_that_archives_writes_a_timeline_into_the_archive(stored: Stored) -> None:
    """Every later restore to the latest would follow it."""
    scratch = stored.shop.server.data.parent / "scratch"
    scratch.mkdir()
    owned(stored.shop.server, scratch)
    archiving = {"archive_mode": "on", "archive_command": f"cp %p {scratch}/%f", "recovery_target_action": "promote"}
    with stored.by_hand(**stored.target(**archiving)) as restored:
        assert restored.opened()
        wait_until((scratch / "00000002.history").exists, what="the timeline", seconds=30)
    shutil.rmtree(scratch)


def test_a_bit_turned_over_in_a_table_boots_and_is_found_before(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recovery does not read what it does not change."""
    [(table,)] = stored.shop.sql("SELECT pg_relation_filepath('cache'::regclass)")
    [(orders,)] = stored.shop.sql("SELECT pg_relation_filepath('orders'::regclass)")
    assert table != orders
    path = stored.data / str(orders)
    with harmed(stored, path, lambda file: flip(file, 5000)):
        with stored.by_hand(**stored.target()) as restored:
            assert restored.paused()

        said = stored.refusal(monkeypatch)
        assert str(orders) in said
        assert f"the backup in {stored.shop.place().set} is damaged" in said


def test_what_a_killed_restore_leaves_does_not_start_and_is_taken_away(stored: Stored) -> None:
    """A copy that has not got its control file yet, the unfinished backup beside it, and a socket's directory."""
    with laid_out(stored.shop.server, stored.data) as data:
        (data / "global" / "pg_control").unlink()
        with started(stored.shop.server, data, restoring(stored.wal) | stored.target()) as restored:
            assert restored.ended() != 0
            assert "could not find the database system" in restored.said() or "pg_control" in restored.said()
        place = stored.shop.place()
        for left in (place.copy, place.part):
            shutil.copytree(data, left / "data")

    assert stored.shop.gate().proved
    assert stored.shop.sets() == [stored.name]


def test_a_restore_over_a_running_server_is_refused_also_by_another_name(stored: Stored) -> None:
    """PostgreSQL looks for postmaster.pid alone; a link into the server's own directory is seen through."""
    server = stored.shop.server
    with laid_out(server, stored.data) as data, started(server, data, restoring(stored.wal) | stored.target()) as one:
        assert one.paused()
        argv = [str(server.binaries / "postgres"), "-D", str(data), *options({"unix_socket_directories": ""})]
        twice = subprocess.run(
            argv, cwd="/", env=plain(), capture_output=True, text=True, check=False, **as_server(server)
        )
        assert twice.returncode != 0
        assert 'lock file "postmaster.pid" already exists' in twice.stderr

    link = server.data.parent / "elsewhere"
    link.symlink_to(server.data / "base")
    for place in ({"backups": str(link)}, {"archive": str(link)}):
        with pytest.raises(Refused, match=r"/base and the server's own .* lie in one another"):
            stored.shop.with_(**place).gate("v1.3.0")
    assert stored.shop.sets() == [stored.name]
    link.unlink()
