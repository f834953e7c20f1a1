"""The restored server beside the damaged one, from a set: paused at the point, in use, taken down; and all its deaths.

Plain SQL on the side's own port, the kernel's table of processes and the archive's directory are the witnesses.
"""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.lab.postgres import Postgres, postgres
from infra.lab.postgres_home import give
from infra.lab.process import wait_until
from recovery.errors import Incomplete, Refused
from recovery.sides import Stage
from tasks.postgres import raising, settings_kept, sides
from tasks.postgres.settings_kept import keep_settings, read_kept
from tasks.postgres.sides import drop_side, open_archive, promote_side, raise_side, read_side_state
from tests.integration.sides_shop import (
    Customers,
    as_arguments,
    ask,
    customers,
    in_a_process,
    kill_server,
    postmasters,
    side,
    sides_of,
    with_sides,
)
from tests.integration.small_disk import run_python
from tests.integration.way_back import Shop, new_shop

SETTINGS = {"max_connections": "137", "deadlock_timeout": "1234ms", "search_path": '"$user", public, "odd"'}
RULE = 'hostssl "my db",shop +"some group",ripcord 10.0.0.0/8 ldap ldapserver=here ldapprefix="cn=a b,"\n'
RULES = "SELECT type, database, user_name, address, netmask, auth_method, options FROM pg_hba_file_rules"
FULL = """
import shutil, sys
from pathlib import Path
from pydantic import TypeAdapter
from prefect.logging import disable_run_logger
from recovery.databases import Database
from recovery.errors import Unavailable
from recovery.restore_points import RestorePoint
from tasks.postgres.programs import give
from tasks.postgres.sides import raise_side

sides = Path(sys.argv[1], "sides")
sides.mkdir(mode=0o700)
give(sides)
database = TypeAdapter(Database).validate_json(sys.argv[2])
database = database.model_copy(update={"restore": database.restore.model_copy(update={"sides": str(sides)})})
point = TypeAdapter(RestorePoint).validate_json(sys.argv[3])
with disable_run_logger():
    for counted in (True, False):
        if not counted:  # room that somebody else takes while the copy is made
            shutil.disk_usage = lambda path: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40)
        try:
            raise_side.fn(database, point)
        except Unavailable as error:
            print(error)
print(sorted(path.name for path in sides.iterdir()))
"""


@pytest.fixture(name="origin", scope="module")
def _origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Customers]]:
    """A shop whose gate was walked once, while customers wrote; with settings and rules of its own."""
    with postgres(tmp_path_factory.mktemp("sides"), archiving=True, settings=SETTINGS) as server:
        prepare(server)
        with pytest.MonkeyPatch.context() as patch, new_shop(server, "shop", patch) as shop:
            with customers(shop, patch) as seen:
                shop.with_(uncounted=("public.ledger",)).gate()
            shop.sql("INSERT INTO orders (amount) VALUES (0); CREATE TABLE late (id int)")
            yield shop, seen


def prepare(server: Postgres) -> None:
    """Rules and settings in the files of the server, on top of those of its command line."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET commit_delay = 17")
        [(rules,)] = connection.execute("SHOW hba_file").fetchall()
        path = Path(rules)
        path.write_text(f"{path.read_text()}{RULE if has_ldap(connection) else ''}host all nobody samenet reject\n")
        connection.execute("SELECT pg_reload_conf()")


def has_ldap(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    """Answer whether the server was built with LDAP and TLS; the one from PyPI was not."""
    [(configured,)] = connection.execute("SELECT setting FROM pg_config WHERE name = 'CONFIGURE'").fetchall()
    return "--with-ldap" in str(configured)


@pytest.fixture(name="shop")
def _shop(origin: tuple[Shop, Customers]) -> Iterator[Shop]:
    with with_sides(origin[0]) as shop:
        yield shop


def raised(shop: Shop) -> str:
    """Raise it; what was said."""
    return raise_side.fn(shop.database, shop.point())


def archived(shop: Shop) -> set[str]:
    """What the archive holds that is not of the original's timeline."""
    return {path.name for path in shop.server.archive.iterdir() if not path.name.startswith("00000001")}


def at_the_point(shop: Shop) -> bool:
    """Answer by plain SQL whether the side stands exactly at the point, read-only."""
    shown = "SELECT pg_is_in_recovery(), pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn()::text"
    return ask(shop, shown) == [(True, "paused", shop.then().lsn)]


def test_a_cold_side_pauses_exactly_at_the_point(shop: Shop, origin: tuple[Shop, Customers]) -> None:
    """All that was acknowledged before is there, nothing that was begun after; a repeat changes nothing."""
    said = raised(shop)

    assert f"is paused at {shop.then().lsn}" in said
    assert at_the_point(shop)
    assert origin[1].fits([row[0] for row in ask(shop, "SELECT id FROM ledger ORDER BY id")])
    assert ask(shop, "SELECT count(*), to_regclass('late') FROM orders") == [(100, None)]
    pids = postmasters(sides_of(shop))
    assert raised(shop) == f"skipped: the side {shop.then().name} is paused at {shop.then().lsn}"
    assert postmasters(sides_of(shop)) == pids
    seen = side(shop)
    assert (seen.stage, seen.lsn, seen.timeline, seen.system_id, seen.foreign) == (
        Stage.PAUSED, shop.then().lsn, 1, shop.then().system_id, None,
    )  # fmt: skip
    way = read_side_state.fn(shop.database.model_copy(update={"uncounted": ("public.ledger",)}), shop.point())
    assert way.proved
    assert archived(shop) == set()


def test_what_is_not_as_it_was_is_named(shop: Shop) -> None:
    """Rows that moved while the point was made are no lie, rows that differ from what was recorded are."""
    raised(shop)
    place, then = shop.place().set / "then.json", shop.then()
    text = place.read_text()
    try:
        place.write_text(text.replace('"public.orders": 100', '"public.orders": 101'))
        way = read_side_state.fn(shop.database, shop.point())
    finally:
        place.write_text(text)

    assert not way.proved
    assert "table public.orders has 100 rows and not 101" in way.reason
    assert shop.then() == then


def test_the_settings_and_the_rules_of_the_original_come_along(shop: Shop) -> None:
    """From its command line, its files and ALTER SYSTEM; the rules with their quotes; and none of its places."""
    raised(shop)

    for name in ("max_connections", "deadlock_timeout", "search_path", "commit_delay", "fsync", "TimeZone"):
        assert ask(shop, f"SHOW {name}") == shop.sql(f"SHOW {name}"), name
    assert ask(shop, RULES)[1:] == shop.sql(RULES)
    assert ask(shop, RULES)[0][:3] == ("local", ["all", "replication"], ["all"])
    assert ask(shop, "SHOW archive_mode; ") == [("on",)]
    assert ask(shop, "SHOW archive_command") == [("",)]
    assert ask(shop, "SHOW data_directory") != shop.sql("SHOW data_directory")
    assert (shop.place().set / "settings.json").stat().st_mode & 0o077 == 0


def test_a_set_without_settings_goes_on_with_what_its_backup_has(shop: Shop) -> None:
    """It says so; the control file still names what a standby must have."""
    kept = shop.place().set / "settings.json"
    text = kept.read_bytes()
    kept.unlink()
    try:
        said = raised(shop)
    finally:
        kept.write_bytes(text)

    assert said.endswith("; its set keeps no settings, it has those of its backup")
    assert at_the_point(shop)
    assert ask(shop, "SHOW max_connections") == [("137",)]
    assert ask(shop, "SHOW commit_delay") == [("17",)]
    assert ask(shop, RULES)[1:] == shop.sql(RULES)


def test_a_promoted_side_takes_writes_archives_when_told_and_is_never_dropped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then not a byte of its timeline is in the archive; its own register says that the point was made.

    Not even where the original was a side itself, and the backup has the file by which it was told to archive.
    """
    told = shop.place().data / "side.archive.conf"
    told.write_text("archive_command = 'touch /nowhere'\n")
    give(told, shop.server.runs_as)
    try:
        raised(shop)
    finally:
        told.unlink()
    assert ask(shop, "SHOW archive_command") == [("",)]
    with pytest.raises(Refused, match="is paused and takes no writes: promote it before it archives"):
        open_archive.fn(shop.database, shop.point())

    assert promote_side.fn(shop.database, shop.point()).startswith("promoted the side ")
    assert promote_side.fn(shop.database, shop.point()).startswith("skipped: ")

    ask(shop, "INSERT INTO orders (amount) VALUES (-7); SELECT pg_switch_wal()")
    assert ask(shop, "SELECT name, lsn::text FROM ripcord.restore_points") == [(shop.then().name, shop.then().lsn)]
    assert ask(shop, "SELECT pg_walfile_name(pg_current_wal_lsn()) LIKE '00000002%'") == [(True,)]
    assert archived(shop) == set()

    monkeypatch.setattr(sides, "ARCHIVED_SECONDS", 1.0)
    elsewhere = shop.with_(archive=str(shop.server.data))
    with pytest.raises(Incomplete, match=r"does not archive: 00000002.* was not in .*archive_command was set"):
        open_archive.fn(elsewhere.database, shop.point())
    monkeypatch.setattr(sides, "ARCHIVED_SECONDS", 60.0)
    said = open_archive.fn(shop.database, shop.point())
    assert "archives" in said
    assert "00000002.history" in archived(shop)
    assert len([name for name in archived(shop) if len(name) == 24]) >= 2
    assert open_archive.fn(shop.database, shop.point()).startswith("skipped: ")
    assert side(shop).archiving

    with pytest.raises(Refused, match="was promoted and may hold what is nowhere else"):
        drop_side.fn(shop.database, shop.point())
    kill_server(sides_of(shop))
    assert (side(shop).stage, side(shop).running) == (Stage.PROMOTED, False)
    with pytest.raises(Refused, match="was promoted and may hold"):
        drop_side.fn(shop.database, shop.point())
    assert raised(shop) == f"started the side {shop.then().name}, which was promoted"
    assert ask(shop, "SELECT count(*) FROM orders WHERE amount = -7") == [(1,)]
    for name in archived(shop):
        (shop.server.archive / name).unlink()


def test_a_killed_server_comes_to_the_same_place_again(shop: Shop) -> None:
    """Kill -9 of the postmaster, twice; and a pid file that names a stranger."""
    raised(shop)
    for _ in range(2):
        kill_server(sides_of(shop))
        assert side(shop).stage is Stage.STOPPED
        lock = next(sides_of(shop).glob("*/data/postmaster.pid"))
        lock.write_text("\n".join([str(os.getpid()), *lock.read_text().splitlines()[1:]]) + "\n")
        assert not side(shop).running

        raised(shop)

        assert at_the_point(shop)


@pytest.mark.parametrize(
    "moment", [".*.part", "*/data/postmaster.pid", pytest.param("*/side.json", marks=pytest.mark.torture)]
)
def test_killed_while_raising_it_converges(shop: Shop, moment: str) -> None:
    """While it copies, when it is whole, when the server starts: again, and there is one side at the point."""
    process = in_a_process(shop)
    wait_until(
        lambda: any(sides_of(shop).glob(moment)) or process.poll() is not None, what=moment, seconds=120, every=0.002
    )
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert side(shop).stage in (Stage.PARTIAL, Stage.STOPPED, Stage.REPLAYING, Stage.PAUSED)

    raised(shop)

    assert at_the_point(shop)
    assert len(postmasters(sides_of(shop))) == 1
    assert [path.name for path in sides_of(shop).iterdir() if not path.name.startswith(".port-")] == [shop.then().name]


def test_it_survives_the_process_that_raised_it(shop: Shop) -> None:
    """It is a daemon of a session of its own, and another process finds it again."""
    process = in_a_process(shop)
    said, wrong = process.communicate(timeout=120)

    assert process.returncode == 0, wrong[-2000:]
    assert "is paused at" in said
    [pid] = postmasters(sides_of(shop)).values()
    assert os.getsid(pid) not in (os.getsid(0), process.pid)
    assert at_the_point(shop)
    assert side(shop).stage is Stage.PAUSED


def test_a_port_that_somebody_holds_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is copied; and where they come in between, the server's own words are told."""
    assert shop.database.restore is not None
    with socket.create_server(("127.0.0.1", shop.database.restore.port)):
        with pytest.raises(Refused, match=r"is held by somebody else .*: stop that, or name another `port`"):
            raised(shop)
        assert list(sides_of(shop).iterdir()) == []
        assert side(shop).stage is Stage.ABSENT

        monkeypatch.setattr(raising, "accepts", lambda host, port: False)
        with pytest.raises(Refused, match=r"cannot listen on port \d+: .*see who holds it"):
            raised(shop)
    raised(shop)
    assert at_the_point(shop)


def test_a_full_disk_is_a_sentence_and_leaves_nothing(shop: Shop) -> None:
    """Counted beforehand; and where the room goes meanwhile, at the first byte that does not fit."""
    before, during, left = run_python(12, FULL, *as_arguments(shop)).splitlines()

    assert " MB free and " in before
    assert before.endswith("are needed: make room")
    assert during.startswith("cp: the disk of ")
    assert left == "[]"


def test_a_side_is_taken_down_when_nobody_uses_it(shop: Shop) -> None:
    """Files and processes are gone; while somebody is connected it stays."""
    raised(shop)
    assert shop.database.restore is not None
    address = shop.server.dsn("shop").replace(f":{shop.server.port}/", f":{shop.database.restore.port}/")
    with psycopg.connect(address):
        with pytest.raises(Refused, match="1 clients are connected to the side"):
            drop_side.fn(shop.database, shop.point())
        assert at_the_point(shop)
    wait_until(lambda: side(shop).clients == 0, what="nobody", seconds=10)

    assert drop_side.fn(shop.database, shop.point()).endswith("which was paused")

    assert postmasters(sides_of(shop)) == {}
    assert [path.name for path in sides_of(shop).iterdir() if not path.name.startswith(".port-")] == []
    assert drop_side.fn(shop.database, shop.point()).startswith("skipped: ")


def test_what_must_not_be_raised_or_promoted_is_refused(shop: Shop) -> None:
    """A set that lacks its WAL, a directory that is not ours, a side that does not stand."""
    with pytest.raises(Refused, match="is absent and not paused at its point: raise it first"):
        promote_side.fn(shop.database, shop.point())
    wal = shop.place().wal
    wal.rename(wal.with_name("away"))
    try:
        with pytest.raises(Refused, match="is not whole"):
            raised(shop)
    finally:
        wal.with_name("away").rename(wal)
    stranger = sides_of(shop) / shop.then().name
    stranger.mkdir()
    with pytest.raises(Refused, match="was not made by ripcord: move it away"):
        raised(shop)
    stranger.rmdir()
    assert list(sides_of(shop).iterdir()) == []


def test_wal_that_ends_before_the_point_is_told_in_the_servers_words(shop: Shop) -> None:
    """The server ends by itself; the copy stays for those who look, and may be dropped."""
    chain = sorted(shop.place().wal.iterdir())
    moved = chain[-1].rename(shop.server.data.parent / chain[-1].name)
    try:
        with pytest.raises(Refused, match=r"recovery ended before|could not locate required checkpoint|did not start"):
            raised(shop)
        assert side(shop).stage is Stage.STOPPED
        assert drop_side.fn(shop.database, shop.point()).startswith("took down the side ")
    finally:
        moved.rename(chain[-1])


def test_the_rules_are_kept_without_a_superuser(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the view is closed the file is read, on the server's own machine; with the grant, the view."""
    place, rules = shop.place(), Path(shop.sql("SHOW hba_file")[0][0]).read_text()
    by_superuser = read_kept(place)
    assert by_superuser is not None
    point, kept = shop.point(), shop.place().set / "settings.json"
    text = kept.read_bytes()
    shop.sql("CREATE ROLE keeper LOGIN PASSWORD 'a keeper''s own'; GRANT pg_monitor TO keeper")
    monkeypatch.setenv("SHOP_DATABASE_URL", shop.server.dsn("shop").replace(
        f"ripcord:{shop.server.password}", "keeper:a%20keeper's%20own"
    ))  # fmt: skip
    try:
        assert keep_settings.fn(shop.database, point).startswith("skipped: ")
        kept.unlink()
        assert "pg_hba.conf is closed to us" not in keep_settings.fn(shop.database, point)
        assert read_kept(place) == by_superuser
        assert by_superuser.rules == rules
        monkeypatch.setattr(settings_kept, "_text", lambda asked, setting: None)
        kept.unlink()
        said = keep_settings.fn(shop.database, point)
        assert said.endswith(
            "pg_hba.conf is closed to us, grant SELECT on pg_hba_file_rules and EXECUTE on its function"
        )
    finally:
        kept.write_bytes(text)
        shop.sql("DROP OWNED BY keeper; DROP ROLE keeper")


def test_rules_that_are_only_shown_by_the_server_are_written_as_it_reads_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file is another machine's: names with blanks, groups, options with quotes."""
    kept = shop.place().set / "settings.json"
    text = kept.read_bytes()
    kept.unlink()
    try:
        monkeypatch.setattr(settings_kept, "_text", lambda asked, setting: None)
        keep_settings.fn(shop.database, shop.point())
        raised(shop)
    finally:
        kept.write_bytes(text)

    assert ask(shop, RULES)[1:] == shop.sql(RULES)
    assert len(ask(shop, RULES)) > 3
