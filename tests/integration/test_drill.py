"""The drill on a real PostgreSQL: what it measures, what it finds, and that it touches nothing that is in use."""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import flows.drill
from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from recovery.catalog import Catalogue
from recovery.drills import Drill, DrillsFailed, Finding, Promise
from tasks.postgres.drilling import HISTORY, read_drills
from tests.integration.drill_talk import listen
from tests.integration.test_way_back import digest, running
from tests.integration.test_way_back_faults import archived, flip
from tests.integration.way_back import URL, Shop, new_shop


@pytest.fixture(name="gated", scope="module")
def _gated(archiving: Postgres) -> Iterator[Shop]:
    """A shop with two sets, the newer with nine rows more: no drill changes them, so all tests share them."""
    with pytest.MonkeyPatch.context() as patch, new_shop(archiving, "shop", patch) as shop:
        shop.gate("v1.1.0")
        shop.sql("INSERT INTO orders (amount) SELECT 0 FROM generate_series(1, 9)")
        shop.gate("v1.2.0")
        yield shop


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    return listen(monkeypatch)


@pytest.fixture(name="shop")
def _shop(gated: Shop, told: list[tuple[str, ...]]) -> Iterator[Shop]:
    """The shop before its first drill; what a test leaves in a set would fail the next one."""
    newest = gated.place().set
    before = digest(newest)
    shutil.rmtree(home(gated), ignore_errors=True)
    yield gated
    assert digest(newest) == before


def drill(*shops: Shop) -> str:
    """The whole flow over these services as the catalogue."""
    catalogue = Catalogue(services=tuple(shop.service for shop in shops))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.drill, "read_catalogue", lambda: catalogue)
        return flows.drill.drill.fn()


def failure(*shops: Shop) -> str:
    """The sentence with which the run fails."""
    with pytest.raises(DrillsFailed) as failed:
        drill(*shops)
    return str(failed.value)


def history(shop: Shop) -> list[Drill]:
    """The lines that were kept."""
    return read_drills.fn(shop.service)


def home(shop: Shop) -> Path:
    """The drills' own place."""
    return Path(shop.database.backups, "drills", shop.service.name)


def test_a_drill_restores_the_newest_set_and_measures_it(shop: Shop, told: list[tuple[str, ...]]) -> None:
    """Each phase took time, together no more than the drill itself; set, archive and server stay as they are."""
    before = digest(shop.place().set), digest(shop.server.archive), shop.sql("SELECT * FROM ripcord.restore_points")
    began = time.monotonic()

    said = drill(shop)

    took = time.monotonic() - began
    [done] = history(shop)
    assert (done.finding, done.point, done.made_at) == (Finding.HELD, shop.point().name, shop.then().made_at)
    assert done.phases
    assert [*done.phases.each] == ["copy", "replay", "verify", "promote"]
    assert min(done.phases.each.values()) > 0
    assert sum(done.phases.each.values()) == pytest.approx(done.phases.total)
    assert done.phases.total < took
    assert f"{shop.point().name} was restored in {done.phases.total:.1f} s and is what it was" in said
    assert done.unarchived is not None
    assert 0 <= done.unarchived < 2 * 16 << 20
    assert before == (
        digest(shop.place().set), digest(shop.server.archive), shop.sql("SELECT * FROM ripcord.restore_points"),
    )  # fmt: skip
    assert running(shop) == []
    assert [path.name for path in home(shop).iterdir()] == [HISTORY]
    assert [kind for kind, *_ in told] == ["show"]


def test_every_drill_is_a_line_and_a_line_cut_off_is_none(shop: Shop, told: list[tuple[str, ...]]) -> None:
    """The history is what a plain reader of JSON sees; a death in the middle of a line spoils no other."""
    drill(shop)
    file = home(shop) / HISTORY
    with file.open("ab") as lines:
        lines.write(b'{"service": "sho')

    drill(shop)

    assert len(history(shop)) == 2
    plain = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    assert [each["finding"] for each in plain] == ["held", "held"]
    assert f"{plain[0]['phases']['copy']:.1f}" == f"{history(shop)[0].phases.copy:.1f}"  # type: ignore[union-attr]
    assert "It is the first." not in told[-1][2]


def test_damage_in_a_set_fails_the_drill_before_anything_boots(shop: Shop, told: list[tuple[str, ...]]) -> None:
    """A bit in a file of the backup, then one in its WAL; told once each, and once more when it is mended."""
    [(table,)] = shop.sql("SELECT pg_relation_filepath('orders')")
    flip(shop.place().data / str(table), 5000)
    for _ in range(2):
        assert str(table) in failure(shop)
    flip(shop.place().data / str(table), 5000)
    last = max(shop.place().wal.iterdir())
    flip(last, (int(shop.then().lsn.partition("/")[2], 16) % (1 << 24)) - 40)
    assert "is damaged: pg_waldump failed" in failure(shop)
    flip(last, (int(shop.then().lsn.partition("/")[2], 16) % (1 << 24)) - 40)

    drill(shop)

    assert [each.finding for each in history(shop)] == [Finding.BROKEN] * 3 + [Finding.HELD]
    identities = [identity for kind, identity, *_ in told if kind == "notify"]
    assert len(identities) == 4
    assert len(set(identities[:3])) == 1  # which tasks.notify tells once
    assert identities[3].endswith("/held")
    assert not (home(shop) / "copy").exists()


def test_a_copy_that_is_not_what_was_fails_the_drill(shop: Shop, told: list[tuple[str, ...]]) -> None:
    """In numbers, as the gate would say it; and the set is left as it is."""
    then = shop.place().set / "then.json"
    recorded = then.read_text()
    then.write_text(recorded.replace('"public.orders": 109', '"public.orders": 110'))

    try:
        assert "table public.orders has 109 rows and not 110" in failure(shop)
    finally:
        then.write_text(recorded)
    assert history(shop)[0].phases is not None


def test_one_services_failure_keeps_no_other_from_its_drill(shop: Shop, archiving: Postgres) -> None:
    """A service without a set, and one without a database, which is left out; the run fails for the first."""
    empty = Path(shop.database.backups).with_name(f"empty-{shop.service.name}")
    empty.mkdir(mode=0o700)
    give(empty, archiving.runs_as)
    database = shop.database.model_copy(update={"backups": str(empty)})
    bare = Shop(archiving, database, shop.service.model_copy(update={"name": "bare", "database": database}))
    none = Shop(archiving, shop.database, shop.service.model_copy(update={"name": "none", "database": None}))

    said = failure(bare, none, shop)

    assert said.startswith("1 of 2 drills failed: bare: no set, bare has no proved set, and so no way back")
    assert [each.finding for each in history(shop)] == [Finding.HELD]


def test_a_set_is_drilled_while_its_server_is_silent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is proved, and the run fails all the same: what could not be looked at never reads as held."""
    name = shop.service.name
    monkeypatch.setenv(URL, f"postgresql://ripcord:hunter2@127.0.0.1:1/{name}")

    said = failure(shop)

    assert "could not be looked at, how far the archive is behind is not known" in said
    assert "hunter2" not in said
    assert history(shop)[0].phases is not None


def test_what_is_promised_is_held_against_what_was_measured(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that takes longer, and a point that is older, than the catalogue promises."""
    monkeypatch.setattr(flows.drill, "promise_of", lambda database: Promise(timedelta(milliseconds=1), timedelta()))

    said = failure(shop)

    assert "too slow, a restore took" in said
    assert "s old and `rpo` promises" in said


def test_an_archiver_that_fails_fails_the_drill(shop: Shop) -> None:
    """The set is sound, and the next one could not be made."""
    shop.server.archive.chmod(0o500)
    try:
        shop.sql("CREATE TABLE more (); SELECT pg_switch_wal()")
        failing = "SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver"
        deadline = time.monotonic() + 60
        while not shop.sql(failing)[0][0] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert "archive behind, the archiver fails with 0000" in failure(shop)
    finally:
        shop.server.archive.chmod(0o700)
        archived(shop)
