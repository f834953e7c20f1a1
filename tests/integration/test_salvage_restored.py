"""The whole salvage on two real servers: one that took writes after its point, and one restored to the point beside it.

The restored one is started by hand, as the runbook of the gate tells it; the flow is walked as the function that it is.
"""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.lab.postgres import Postgres
from infra.lab.postgres_home import give
from infra.lab.process import free_port, run, wait_until
from recovery.databases import Restore, Secret
from recovery.errors import Refused
from recovery.salvages import Choice
from tasks.salvage_form import SalvageAnswer
from tests.integration.salvage_talk import Talk, listen, salvage
from tests.integration.way_back import Shop, new_shop

numbers = itertools.count(1)


@dataclass
class Night:
    """The shop after its catastrophe, and what people are told and asked."""

    shop: Shop
    port: int
    talk: Talk

    def restored(self, statement: str) -> list[tuple[Any, ...]]:
        """What plain SQL says on the restored server."""
        dsn = self.shop.server.dsn(self.shop.service.name).replace(f":{self.shop.server.port}/", f":{self.port}/")
        with psycopg.connect(dsn, autocommit=True) as plain:
            cursor = plain.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def salvage(self, *, rehearse: bool = False) -> str:
        """Walk the flow."""
        return salvage(self.shop.service, rehearse=rehearse)


@contextmanager
def restored_beside(shop: Shop, port: int, action: str = "promote") -> Iterator[Path]:
    """A server with a copy of the set, recovered to the point: by the steps of the gate's runbook."""
    place, data = shop.place(), shop.server.data.parent / f"restored-{port}"
    shutil.copytree(place.data, data, symlinks=True)
    shutil.rmtree(data / "pg_wal")
    (data / "pg_wal").mkdir(mode=0o700)
    (data / "recovery.signal").touch()
    for path in (data, *data.rglob("*")):
        give(path, shop.server.runs_as)
    settings = {
        "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "archive_mode": "off",
        "restore_command": f"cp {place.wal}/%f %p", "recovery_target_name": shop.point().name,
        "recovery_target_action": action, "max_connections": 200, "fsync": "off", "dynamic_shared_memory_type": "mmap",
    }  # fmt: skip
    argv = [str(shop.server.binaries / "postgres"), "-D", str(data), *(f"--{k}={v}" for k, v in settings.items())]
    log = data.parent / f"log-{port}"
    log.mkdir(mode=0o777)
    dsn = shop.server.dsn(shop.service.name).replace(f":{shop.server.port}/", f":{port}/")

    def ready() -> bool:
        try:
            with psycopg.connect(dsn, connect_timeout=2) as plain:
                row = plain.execute("SELECT NOT pg_is_in_recovery()").fetchone()
                return action == "pause" or bool(row and row[0])
        except psycopg.OperationalError:
            return False

    with run("restored", argv, directory=log, cwd=data, user=shop.server.runs_as) as process:
        wait_until(ready, what="the restored server", seconds=60, process=process)
        yield data


@pytest.fixture(name="night")
def _night(archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    name, port = f"shop{next(numbers)}", free_port()
    with new_shop(archiving, name, monkeypatch) as made:
        restore = Restore(sides=str(tmp_path / "sides"), port=port, secret=Secret(name="shop"))
        shop = made.with_(restore=restore)
        night = Night(shop, port, listen(monkeypatch))
        assert shop.gate().proved
        yield night


def test_a_salvage_from_the_point_to_the_report(night: Night) -> None:
    """Found against a copy at the point, though customers write to the restored server meanwhile; asked, taken back."""
    shop = night.shop
    shop.sql(
        "INSERT INTO orders (amount) SELECT 1000 FROM generate_series(1, 30); UPDATE orders SET amount = 0 WHERE id < 4"
    )
    shop.sql("DELETE FROM orders WHERE id = 9")
    with restored_beside(shop, night.port):
        assert night.restored("SELECT count(*), sum(amount) FROM orders") == [(100, 5050)]
        night.restored("INSERT INTO orders (id, amount) VALUES (105, 7); UPDATE orders SET amount = 8 WHERE id = 2")

        said = night.salvage(rehearse=True)

        assert "34 rows of 1 tables were written after" in said
        assert "STILL TAKES WRITES" in night.talk.shown[f"salvage-{shop.service.name}-v1.2.0"]
        with pytest.raises(Refused, match="still takes writes"):
            night.salvage()
        shop.sql("INSERT INTO orders (amount) VALUES (2000)")  # after that look, and before nobody writes any more
        shop.sql(f"ALTER DATABASE {shop.service.name} SET default_transaction_read_only = on")
        night.talk.answers += [
            SalvageAnswer(choice=Choice.EVERYTHING, left_out="public.nothing"),
            SalvageAnswer(choice=Choice.INSERTED, left_out="none"),
        ]
        assert (
            night.salvage()
            == f"{shop.service.name}: 30 rows taken back, 0 were there already, 1 left alone for a person"
        )
        assert "public.nothing is none of the tables" in night.talk.asked[1].replace("\\", "")
        assert "| public.orders | 31 | 3 | 1 | - |" in night.talk.asked[0]
        night.talk.answers += [SalvageAnswer(choice=Choice.EVERYTHING, left_out="none")]
        assert (
            night.salvage()
            == f"{shop.service.name}: 33 rows taken back, 0 were there already, 2 left alone for a person"
        )

        page = night.talk.shown[f"salvaged-{shop.service.name}-v1.2.0"]
        assert "| public.orders | changed | 3 | 2 | 0 | 1 |" in page
        assert "Read anew: all stands." in page
        assert night.restored("SELECT id, amount FROM orders WHERE id IN (1, 2, 9, 104, 105, 106, 131) ORDER BY 1") == [
            (1, 0), (2, 8), (104, 1000), (105, 7), (106, 1000), (131, 2000)
        ]  # fmt: skip
        assert night.restored("SELECT count(*) FROM orders") == [(130,)]
        assert night.restored("SELECT nextval('orders_id_seq') > 130") == [(True,)]
        assert [each[0].partition("/")[2].partition("/")[0] for each in night.talk.told] == [
            "asked",
            shop.service.name,
        ] * 2
    assert not shop.place().copy.exists()
    assert shop.sets() == [shop.point().name]


def test_nothing_is_an_answer_and_a_paused_server_takes_none(night: Night) -> None:
    """A restored server that waits at the point may be compared; rows go back only where it takes writes."""
    shop = night.shop
    shop.sql("INSERT INTO orders (amount) VALUES (1)")
    shop.sql(f"ALTER DATABASE {shop.service.name} SET default_transaction_read_only = on")
    with restored_beside(shop, night.port, "pause"):
        assert "1 rows of 1 tables" in night.salvage(rehearse=True)
        with pytest.raises(Refused, match="takes no writes yet"):
            night.salvage()
    night.talk.answers.append(SalvageAnswer(choice=Choice.NOTHING, left_out="none"))
    shutil.rmtree(shop.server.data.parent / f"log-{night.port}")
    shutil.rmtree(shop.server.data.parent / f"restored-{night.port}")
    with restored_beside(shop, night.port):
        assert "nothing is taken back" in night.salvage()
        assert night.restored("SELECT count(*) FROM orders") == [(100,)]
        assert night.restored("SELECT to_regclass('ripcord.salvages')") == [(None,)]


def test_servers_that_are_not_the_two_are_refused(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged one twice; the two mixed up; a set that is gone: each is told before anything is compared."""
    shop, variable = night.shop, night.shop.database.url_variable
    shop.sql("INSERT INTO orders (amount) VALUES (1)")
    with restored_beside(shop, night.port):
        url = shop.server.dsn(shop.service.name)
        monkeypatch.setenv(variable, url.replace(f":{shop.server.port}/", f":{night.port}/"))
        with pytest.raises(Refused, match="one and the same"):
            night.salvage(rehearse=True)
        restore = shop.database.restore
        assert restore is not None
        swapped = shop.with_(restore=restore.model_copy(update={"port": shop.server.port}))
        with pytest.raises(Refused, match="the two may be mixed up"):
            salvage(swapped.service)
        monkeypatch.setenv(variable, url)
        place = shop.place()
        place.set.rename(place.root.parent / "gone")
        with pytest.raises(Refused, match="there is no set of the damaged server's timeline 1"):
            night.salvage(rehearse=True)
