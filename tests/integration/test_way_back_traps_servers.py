"""What happens to the server, its clock and its settings while a gate is on its way, and what it had before."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

import flows.prepare_release
from infra.lab.postgres import Postgres, postgres
from infra.lab.postgres_home import give
from infra.lab.process import wait_until
from recovery.errors import Refused, Unavailable
from recovery.restore_points import State, point_name
from tasks.postgres import damage, manifests, points, reading
from tasks.postgres.connection import Session
from tasks.postgres.engines import native
from tasks.postgres.programs import helper
from tasks.postgres.temporary import closed_directory
from tests.integration.plain_restore import as_server, laid_out, options, owned, plain
from tests.integration.test_way_back_faults import before, flip
from tests.integration.way_back import Shop, new_shop

numbers = itertools.count(1)
STEPS = (
    "read_server", "read_point", "read_set", "read_room", "take_backup", "read_backup", "make_point",
    "wait_until_archived", "read_chain", "keep_chain", "prove_way_back",
)  # fmt: skip
FICKLE = """
CREATE FUNCTION compared(a int4, b int4) RETURNS int LANGUAGE sql AS
    $$ SELECT CASE WHEN $1 = $2 THEN 0 WHEN $1 > $2 THEN 1 ELSE -1 END $$;
CREATE OPERATOR CLASS fickle FOR TYPE int4 USING btree AS
    OPERATOR 1 < (int4, int4), OPERATOR 2 <= (int4, int4), OPERATOR 3 = (int4, int4), OPERATOR 4 >= (int4, int4),
    OPERATOR 5 > (int4, int4), FUNCTION 1 compared(int4, int4);
CREATE INDEX fickle_index ON orders USING btree (amount fickle);
CREATE OR REPLACE FUNCTION compared(a int4, b int4) RETURNS int LANGUAGE sql AS
    $$ SELECT CASE WHEN $1 = $2 THEN 0 WHEN $1 < $2 THEN 1 ELSE -1 END $$;
"""


@pytest.fixture(name="archiving", scope="module")
def _archiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with few senders and slots."""
    few = {"max_wal_senders": "3", "max_replication_slots": "2"}
    with postgres(tmp_path_factory.mktemp("archiving"), archiving=True, settings=few) as server:
        yield server


@pytest.fixture(name="shop")
def _shop(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(archiving, f"shop{next(numbers)}", monkeypatch) as shop:
        yield shop


def gate_again(shop: Shop) -> None:
    """Start the server anew: nothing is lost, and the gate proves its way back, with nothing half left."""
    shop.server.restart()
    assert shop.sql("SELECT count(*), sum(amount) FROM orders") == [(100, 5050)]
    assert shop.gate().proved
    assert shop.sql("SELECT count(*) FROM ripcord.restore_points WHERE lsn IS NOT NULL") == [(1,)]
    assert shop.point().name in shop.sets()
    assert not [name for name in shop.sets() if name.startswith(".")]


def killed(shop: Shop) -> str:
    """The gate on a server that is killed: proved without it, or unavailable in one sentence."""
    said = ""
    try:
        assert shop.gate().proved
    except Unavailable as unavailable:
        said = str(unavailable)
    assert "\n" not in said
    assert shop.server.password not in said
    return said


@pytest.mark.parametrize(
    "step",
    [step if step in ("take_backup", "prove_way_back") else pytest.param(step, marks=pytest.mark.torture)
     for step in STEPS],
)  # fmt: skip
def test_a_server_killed_before_a_step_is_unavailable_and_nothing_is_lost(
    shop: Shop, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps up to the point need the server, those after it need only what is on disk."""
    monkeypatch.setattr(points, "ARCHIVED_SECONDS", 2.0)
    with before(step, shop.server.process.kill):
        said = killed(shop)

    if STEPS.index(step) <= STEPS.index("make_point"):
        assert "did not answer" in said
    if STEPS.index(step) > STEPS.index("wait_until_archived"):
        assert said == ""
    gate_again(shop)


def test_a_server_killed_during_the_backup_is_unavailable(shop: Shop) -> None:
    """What pg_basebackup has written until then is gone."""
    name = f".{point_name(shop.service.name, 'v1.2.0')}.part"
    begun = Path(shop.database.backups, name, "data", "base")

    def kill() -> None:
        wait_until(begun.exists, what="the backup", seconds=60, every=0.01)
        shop.server.process.kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "checksums", lambda: (*manifests.checksums(), "--max-rate=2M"))
        killer = threading.Thread(target=kill)
        killer.start()
        said = killed(shop)
        killer.join()

    assert said.startswith("pg_basebackup: the server did not answer to the end: ")
    assert shop.sets() == []
    gate_again(shop)


@pytest.mark.parametrize("nth", [pytest.param(1, marks=pytest.mark.torture), 2])
def test_a_server_killed_around_the_point_is_unavailable_and_gets_another(shop: Shop, nth: int) -> None:
    """Right before the point, or right after its marker commit: the name is not used twice."""
    calls = itertools.count(1)

    def counted(asked: Session) -> State:
        if next(calls) == nth:
            shop.server.process.kill()
            wait_until(lambda: not shop.server.process.running(), what="its death", seconds=30)
        return reading.read_state(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "read_state", counted)
        assert "did not answer" in killed(shop)

    gate_again(shop)
    assert shop.sets() == [shop.point().name]
    assert shop.point().attempt == 2


def test_no_sender_or_slot_left_is_refused_before_anything_is_touched(shop: Shop, archiving: Postgres) -> None:
    """pg_basebackup would tell it after the checkpoint that it has asked for."""
    slots = [f"{shop.service.name}_{number}" for number in (1, 2)]
    with ExitStack() as stack:
        for _ in range(2):  # a standby, or a pg_receivewal that somebody has forgotten
            stack.enter_context(psycopg.connect(archiving.dsn(), replication="database", autocommit=True))
        argv = [str(archiving.binaries / "pg_basebackup"), f"--dbname={archiving.dsn()}", "-D", "-", "-Ft", "-Xfetch"]
        with psycopg.connect(archiving.dsn(), replication="database", autocommit=True):
            full = subprocess.run(argv, capture_output=True, text=True, cwd="/", env=plain(), check=False)
        assert "number of requested standby connections exceeds" in full.stderr
        with pytest.raises(Refused, match="1 of max_wal_senders are free and a base backup takes 2"):
            shop.gate()
    wait_until(lambda: shop.sql("SELECT count(*) FROM pg_stat_replication") == [(0,)], what="their end", seconds=30)
    try:
        for slot in slots:
            shop.sql(f"SELECT pg_create_physical_replication_slot('{slot}')")
        said = rf"none of max_replication_slots is free and a base backup takes one \({', '.join(slots)}\)"
        with pytest.raises(Refused, match=said):
            shop.gate()
        assert shop.sets() == []
        assert shop.sql("SELECT to_regclass('ripcord.restore_points')") == [(None,)]
    finally:
        shop.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    assert shop.gate().proved


def test_a_clock_that_was_put_back_makes_no_point_fresh(shop: Shop) -> None:
    """By the server's own clock the point lies in the future: nobody knows how old it is."""
    shop.gate()
    shop.sql("UPDATE ripcord.restore_points SET made_at = clock_timestamp() + interval '2 hours'")

    said = flows.prepare_release.prove(shop.service, "v1.2.0", rehearse=True).reason

    assert f"{shop.point().name} was made in the future" in said
    assert shop.gate().proved
    assert shop.point().attempt == 2


def test_a_table_that_stays_locked_is_told_soon(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds it, a migration or a prepared transaction: the gate does not wait for hours."""
    monkeypatch.setattr(reading, "LOCK_SECONDS", 1)
    with psycopg.connect(shop.server.dsn(shop.service.name)) as holder:
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="canceling statement due to lock timeout"):
            shop.gate()
    assert shop.gate().proved


def test_settings_that_were_raised_after_the_backup_are_named(shop: Shop) -> None:
    """Recovery then waits before the point, and PostgreSQL calls that paused, too."""

    def raise_them() -> None:
        shop.sql("ALTER SYSTEM SET max_worker_processes = 12")
        shop.server.restart()

    with before("make_point", raise_them), pytest.raises(Refused, match="was raised after the backup was taken"):
        shop.gate()
    shop.place().set.rename(shop.server.data.parent / "moved away")
    assert shop.gate().proved


def test_damage_that_the_backup_carries_along_is_found_in_the_copy(shop: Shop) -> None:
    """An index whose order is not what it says: every file is whole, every count is right, and rows are not found."""
    contrib = shop.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") == [(1,)]
    if not contrib:
        assert shop.gate().reason.endswith(
            "tables and indexes were not checked for damage, there is no extension amcheck"
        )
        return
    assert shop.gate().reason.endswith("; pg_amcheck found no damage")
    shop.sql(FICKLE)

    with pytest.raises(Refused, match=r"pg_amcheck failed: .*fickle_index.*item order invariant violated"):
        shop.gate("v1.3.0")
    assert shop.sql("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'") == [(0,)]


def test_what_pg_amcheck_says_once_is_kept_and_what_it_says_twice_is_damage(shop: Shop) -> None:
    """It was seen to raise a false alarm while a standby still replayed."""
    place = Path(shop.database.backups)
    once = helper("sh", "-c", "test -e said || { touch said; echo odd >&2; exit 2; }")
    assert damage._attempts(once, place, plain()) == (
        None,
        "pg_amcheck found no damage, though it first said: sh failed: odd",
    )
    assert damage._attempts(helper("sh", "-c", "echo rotten; exit 2"), place, plain()) == ("sh failed: rotten", "")


def test_a_configuration_outside_the_data_directory_is_not_needed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian has it: a copy of the data alone does not start by hand, and ours does."""
    outside = Path(tempfile.mkdtemp(prefix="ripcord-etc-"))
    outside.chmod(0o755)
    (outside / "postgresql.conf").write_text("work_mem = '5MB'\n")
    (outside / "pg_hba.conf").write_text(
        "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
    )
    settings = {"config_file": f"{outside}/postgresql.conf", "hba_file": f"{outside}/pg_hba.conf"}
    try:
        directory = tmp_path_factory.mktemp("debian")
        with (
            postgres(directory, archiving=True, settings=settings) as server,
            new_shop(server, "shop", monkeypatch) as shop,
        ):
            for name in ("postgresql.conf", "pg_hba.conf"):
                (server.data / name).unlink()

            assert shop.gate().proved
            assert shop.sql("SHOW work_mem") == [("5MB",)]
            with laid_out(server, shop.place().data) as data:
                argv = [str(server.binaries / "postgres"), "-D", str(data)]
                done = subprocess.run(
                    argv, cwd="/", env=plain(), capture_output=True, text=True, check=False, **as_server(server)
                )
                assert "could not access the server configuration file" in done.stderr
    finally:
        shutil.rmtree(outside)


def test_a_dead_server_that_nobody_reaps_keeps_its_socket_and_not_ours(shop: Shop) -> None:
    """In a container whose first process reaps nobody, kill -9 leaves a zombie, which PostgreSQL takes for alive."""
    shop.gate()
    server, place = shop.server, shop.place()
    with laid_out(server, place.data) as data, ExitStack() as stack:
        (data / "recovery.signal").unlink()
        shutil.rmtree(data / "pg_wal")
        owned(server, Path(shutil.copytree(place.data / "pg_wal", data / "pg_wal")))
        socket = closed_directory(place.copy)  # where a copy that was killed would have left it
        there = {"unix_socket_directories": socket, "listen_addresses": "", "port": 5432, "archive_mode": "off"}
        argv = [str(server.binaries / "postgres"), "-D", str(data), *options(there)]
        quiet = subprocess.DEVNULL
        dead = subprocess.Popen(argv, cwd="/", env=plain(), stdout=quiet, stderr=quiet, **as_server(server))
        stack.callback(dead.wait)
        stack.callback(dead.kill)
        wait_until((socket / ".s.PGSQL.5432.lock").exists, what="its socket", seconds=30)
        os.kill(dead.pid, signal.SIGKILL)
        wait_until(lambda: state_of(dead.pid) == "Z", what="its death", seconds=30)

        again = subprocess.run(
            [*argv, f"--external_pid_file={data.parent}/pid"],
            cwd="/", env=plain(), capture_output=True, text=True, check=False, **as_server(server),
        )  # fmt: skip
        assert again.returncode != 0
        assert "already exists" in again.stderr

        assert shop.gate().proved
        assert state_of(dead.pid) == "Z"
    assert shop.sets() == [place.name]


@pytest.mark.parametrize("by_ourselves", [False, True])
def test_a_backup_is_checked_by_its_manifest_also_where_the_program_cannot_run(
    archiving: Postgres, shop: Shop, by_ourselves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every harm that pg_verifybackup finds, file by file, and no other."""
    if not by_ourselves and not manifests._runs():
        pytest.skip("pg_verifybackup does not run on this machine")
    data = archiving.data.parent / f"checked-{by_ourselves}"
    argv = [str(archiving.binaries / "pg_basebackup"), f"--dbname={archiving.dsn()}", "-D", str(data)]
    argv += ["--checkpoint=fast", "--manifest-checksums=SHA256"]
    subprocess.run(argv, check=True, cwd="/", env=plain(), **as_server(archiving))
    if by_ourselves:
        monkeypatch.setattr(manifests, "_runs", lambda: False)
        assert manifests.checksums() == ("--manifest-checksums=SHA256",)
    [(table,)] = shop.sql("SELECT pg_relation_filepath('orders'::regclass)")
    victim, manifest, more = data / str(table), data / "backup_manifest", data / "base" / "more"
    whole, listed = victim.read_bytes(), manifest.read_bytes()
    manifests.check_manifest(data)
    (data / "recovery.signal").touch()
    (data / "postgresql.auto.conf").write_text("# another one")

    for harm, said in (
        (lambda: flip(victim, 5000), str(table)),
        (lambda: os.truncate(victim, 100), str(table)),
        (victim.unlink, str(table)),
        (more.touch, "base/more"),
        (lambda: manifest.write_bytes(listed.replace(b'"Size": 8192', b'"Size": 8193', 1)), "manifest"),
        (lambda: manifest.write_bytes(listed[:-200]), "manifest"),
    ):
        harm()
        with pytest.raises(Refused, match=said):
            manifests.check_manifest(data)
        victim.write_bytes(whole)
        manifest.write_bytes(listed)
        more.unlink(missing_ok=True)
    give(victim, archiving.runs_as)
    manifests.check_manifest(data)
    shutil.rmtree(data)


def state_of(pid: int) -> str:
    """The state of a process, Z for one that is dead and not reaped."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return ""
