"""The parachute of a database whose backups Barman or pgBackRest keeps; plain SQL on its port is the witness."""

from pathlib import Path

import pytest

from infra.lab.postgres import postgres
from recovery.sides import Stage
from tests.integration.managers import Keeper, by_barman, by_pgbackrest
from tests.integration.sides_shop import ask, kill_server, side, sides_of, with_sides
from tests.integration.way_back import go_back, new_shop


@pytest.mark.parametrize("keeper", [by_barman, by_pgbackrest])
def test_a_gate_leaves_a_parachute_that_opens(keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, it comes back to the point out of the set; promoted, it takes writes and archives where the others do."""
    with (
        postgres(tmp_path / "server", archiving=True) as server,
        keeper(server, tmp_path) as (words, path),
        new_shop(server, "jumping", monkeypatch) as shop,
        with_sides(shop.with_(**words), parachute=True) as sided,
    ):
        monkeypatch.setenv("PATH", path)
        way = sided.gate()
        assert way.proved, way.reason
        sided.sql("INSERT INTO orders (amount) VALUES (0)")
        assert (side(sided).stage, side(sided).parachute, side(sided).lsn) == (Stage.PAUSED, True, sided.then().lsn)
        assert ask(sided, "SELECT count(*) FROM orders") == [(100,)]

        kill_server(sides_of(sided))
        opened = go_back(sided)
        assert opened.sql("SELECT count(*) FROM orders") == [(100,)]
        opened.sql("INSERT INTO orders (amount) VALUES (1)")
