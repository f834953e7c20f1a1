"""Fix-forward on CloudNativePG: a real API server and PostgreSQL, a clone that is really recovered to now."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import flows.trying
from infra.lab.cnpg import Operator
from infra.lab.kubernetes import Cluster
from recovery.errors import Refused
from recovery.fix_scripts import read_script
from tasks.kubernetes import api
from tasks.kubernetes.cnpg import clusters, reading
from tests.integration.cnpg_shop import CnpgShop, new_cnpg_shop
from tests.integration.dying import Death, of_the_living
from tests.integration.fix_talk import FixTalk, fix, listen

# It fails where the order is not that was taken after the gate: on anything but a clone of now.
FIX = """
DO $$ BEGIN IF NOT EXISTS (SELECT FROM orders WHERE id = 101) THEN RAISE 'of an earlier time'; END IF; END $$;
ALTER TABLE orders ADD note text;
INSERT INTO orders (amount, note) VALUES (0, 'mended')
"""
COLUMNS = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders'"


@pytest.fixture(name="talk", autouse=True)
def _talk(monkeypatch: pytest.MonkeyPatch) -> FixTalk:
    return listen(monkeypatch)


@pytest.fixture(name="shop")
def _shop(cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CnpgShop]:
    """A shop that took an order since the gate."""
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        assert shop.gate().proved
        shop.sql("INSERT INTO orders (amount) VALUES (0)")
        yield shop


def registered(shop: CnpgShop) -> int:
    """How often a fix was applied, as the register has it."""
    if shop.sql("SELECT to_regclass('ripcord.fixes')") == [(None,)]:
        return 0
    return int(shop.sql("SELECT count(*) FROM ripcord.fixes")[0][0])


def test_a_fix_is_tried_on_a_clone_of_now_and_applied_once(shop: CnpgShop, talk: FixTalk) -> None:
    """The clone is removed, a repeat changes nothing; the gate's register knows of no other point."""
    before = shop.sql("SELECT name, lsn::text FROM ripcord.restore_points")

    said = fix(shop.service, FIX)

    assert said == f"the database of {shop.service.name} v1.2.0 is mended by fix {read_script(FIX).digest[:12]}"
    assert shop.sql("SELECT amount FROM orders WHERE note = 'mended'") == [(0,)]
    assert registered(shop) == 1
    assert "3 statements ran on a clone" in next(iter(talk.shown.values()))
    assert sorted(shop.clusters()) == [shop.name]
    assert shop.sql("SELECT name, lsn::text FROM ripcord.restore_points") == before

    assert fix(shop.service, FIX).startswith("skipped: the fix was applied at 2")
    assert registered(shop) == 1


def test_what_fails_on_the_clone_is_refused_and_the_clone_removed(shop: CnpgShop) -> None:
    """Nothing was changed; and a rehearsal that goes well changes nothing either."""
    with pytest.raises(Refused, match="the fix failed on a clone, nothing was changed: statement 1 on line 1"):
        fix(shop.service, "ALTER TABLE nowhere ADD note text")
    assert sorted(shop.clusters()) == [shop.name]

    assert fix(shop.service, FIX, rehearse=True).startswith("rehearsed, nothing was changed: 3 statements")
    assert (shop.sql(COLUMNS), registered(shop)) == ([(2,)], 0)
    assert sorted(shop.clusters()) == [shop.name]


def test_without_a_proved_point_there_is_no_backup_to_clone_from(
    cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out is the gate."""
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        with pytest.raises(Refused, match="run `ripcord gate"):
            fix(shop.service, FIX)

        assert sorted(shop.clusters()) == [shop.name]


def test_killed_at_every_change_it_is_applied_once(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run dies at the first change that none died at before, and nothing of ours tidies up on its way out."""
    died, real = list[str](), api.request

    def dying(method: str, path: str, *given: Any) -> Any:
        if method == "GET" or method in died:
            return real(method, path, *given)
        real(method, path, *given)
        died.append(method)
        raise Death(method)

    for module in (reading, clusters):
        monkeypatch.setattr(module, "request", dying)
    monkeypatch.setattr(flows.trying, "afterwards", of_the_living)
    said = ""
    while not said:
        with suppress(Death):
            said = fix(shop.service, FIX)

    assert died == ["POST", "DELETE"]
    assert registered(shop) == 1
    assert shop.sql("SELECT count(*) FROM orders WHERE note = 'mended'") == [(1,)]
    assert sorted(shop.clusters()) == [shop.name]
