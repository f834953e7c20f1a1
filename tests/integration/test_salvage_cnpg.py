"""The salvage on CloudNativePG: a real API server and PostgreSQL, real recoveries, a stand-in of the operator."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

import flows.parting
from infra.lab.cnpg import Operator
from infra.lab.kubernetes import Cluster
from infra.lab.process import wait_until
from recovery.cnpg import Role, cluster_of
from recovery.errors import Refused, Unavailable
from recovery.salvages import Choice
from tasks.kubernetes import api
from tasks.kubernetes.cnpg import clusters, fencing, reading
from tasks.salvage_form import SalvageAnswer
from tests.integration.cnpg_shop import CnpgShop, new_cnpg_shop
from tests.integration.dying import Death, of_the_living
from tests.integration.salvage_talk import Talk, found_in, listen, salvage
from tests.integration.test_restore_cnpg import FENCE


@pytest.fixture(name="talk", autouse=True)
def _talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    return listen(monkeypatch)


@pytest.fixture(name="shop")
def _shop(cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CnpgShop]:
    """One that was taken back: fifty rows were changed after the point, and one was inserted."""
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        shop.spoil()
        shop.take_back()
        yield shop


def place(shop: CnpgShop) -> Path:
    """Where its export lies."""
    return Path(os.environ["RIPCORD_ARCHIVE"], "salvage", shop.service.name, shop.point().name)


def base(shop: CnpgShop) -> str:
    """The Cluster that is compared with."""
    return cluster_of(shop.service.name, "v1.2.0", 1, Role.BASE)


def fenced(shop: CnpgShop) -> None:
    """The damaged Cluster does not answer, and takes no writes should it ever do."""
    found = shop.clusters()[shop.name]
    assert found["metadata"]["annotations"][FENCE] == '["*"]'
    assert not found["status"].get("readyInstances")
    with pytest.raises(psycopg.OperationalError):
        shop.sql("SELECT 1")


def kept(shop: CnpgShop) -> None:
    """Two Clusters and no more: the damaged one, fenced, and the one that serves."""
    fenced(shop)
    assert sorted(shop.clusters()) == sorted([shop.name, shop.restored])


def test_what_was_written_after_the_point_is_found_and_taken_back(shop: CnpgShop, talk: Talk) -> None:
    """Against a copy that the operator recovers to the point; what customers changed since stays theirs."""
    restored = shop.operator.server(shop.restored)
    shop.sql("UPDATE orders SET amount = 8 WHERE id = 2", restored)

    said = salvage(shop.service)

    assert said == f"{shop.service.name}: 51 rows of 1 tables were written after {shop.point().name}: {place(shop)}"
    assert found_in(place(shop)) == {"changed": 50, "inserted": 1}
    kept(shop)

    talk.answers.append(SalvageAnswer(choice=Choice.EVERYTHING, left_out="none"))
    salvage(shop.service, rehearse=False)

    assert shop.sql("SELECT count(*), sum(amount) FROM orders WHERE id <= 50", restored) == [(50, 8)]
    assert shop.sql("SELECT amount FROM orders WHERE id = 101", restored) == [(7,)]
    assert f"{shop.name} is fenced" in talk.shown[f"salvage-{shop.service.name}-v1.2.0"].replace("\\", "")
    kept(shop)


def test_who_goes_on_naming_the_old_cluster_loses_nothing(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that writes as soon as it answers is in the export; it is ended, and cannot write after that."""
    real, jobs = flows.parting.__dict__["close_to_writes"], list[psycopg.Connection]()

    def late(*given: object) -> object:
        job = psycopg.connect(shop.operator.server(shop.name).dsn("shop"), autocommit=True)
        job.execute("INSERT INTO orders (amount) VALUES (9)")
        jobs.append(job)
        said = real(*given)
        with pytest.raises(psycopg.OperationalError):
            job.execute("INSERT INTO orders (amount) VALUES (10)")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            shop.sql("INSERT INTO orders (amount) VALUES (11)")
        return said

    monkeypatch.setattr(flows.parting, "close_to_writes", late)

    salvage(shop.service)

    assert len(jobs) == 1
    assert found_in(place(shop)) == {"changed": 50, "inserted": 2}
    kept(shop)


def test_what_was_not_restored_is_not_salvaged(
    cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While clients are led to the damaged Cluster it is theirs."""
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        shop.spoil()

        with pytest.raises(Refused, match=f"does not lead to {shop.restored}, restored to .*: restore it first"):
            salvage(shop.service)

        assert sorted(shop.clusters()) == [shop.name]
        assert shop.sql("INSERT INTO orders (amount) VALUES (0) RETURNING amount") == [(0,)]


def test_a_damaged_one_that_is_gone_is_said(shop: CnpgShop) -> None:
    """Deleted, with what was written to it; one of its name is another."""
    shop.kubectl("delete", "clusters.postgresql.cnpg.io", shop.name, "--wait=true")
    wait_until(lambda: shop.name not in shop.clusters(), what="the deletion", seconds=20)

    with pytest.raises(Refused, match=f"{shop.name} is not there any more, and with it went what was written"):
        salvage(shop.service)


def test_a_failed_export_fences_again(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is half written, and the copy is there for the next try."""

    def failing(*given: object) -> str:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(flows.parting, "write_export_of_copy", failing)
        with pytest.raises(Unavailable):
            salvage(shop.service)
    fenced(shop)
    before = shop.clusters()[base(shop)]["metadata"]["uid"]

    seen, real = list[str](), flows.parting.__dict__["drop_copy"]

    def looking(*given: object) -> object:
        seen.append(shop.clusters()[base(shop)]["metadata"]["uid"])
        return real(*given)

    monkeypatch.setattr(flows.parting, "drop_copy", looking)
    salvage(shop.service)

    assert seen == [before]
    assert found_in(place(shop)) == {"changed": 50, "inserted": 1}
    kept(shop)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_change_it_exports_once(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Each run dies at the first change that none died at before, and nothing of ours tidies up on its way out."""
    died, real = list[str](), api.request

    def dying(method: str, path: str, *given: Any) -> Any:
        change = f"{method} {path.partition('?')[0].rpartition('/')[2]} {given[0] if method == 'PATCH' else ''}".strip()
        if method == "GET" or change in died:
            return real(method, path, *given)
        died.append(change)
        if moment == "after":
            real(method, path, *given)
        raise Death(change)

    for module in (reading, clusters, fencing):
        monkeypatch.setattr(module, "request", dying)
    monkeypatch.setattr(flows.parting, "afterwards", of_the_living)
    said = ""
    while not said:
        with suppress(Death):
            said = salvage(shop.service)

    assert [each.split()[0] for each in died] == ["POST", "PATCH", "PATCH", "DELETE"]
    assert found_in(place(shop)) == {"changed": 50, "inserted": 1}
    kept(shop)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["prove_recovered", "close_to_writes", "write_export_of_copy"])
def test_killed_at_every_other_step_it_ends_the_same(
    shop: CnpgShop, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """The next run fences what the killed one left open, also where its export was whole."""
    real = flows.parting.__dict__[step]

    def dying(*given: object) -> object:
        if moment == "after":
            real(*given)
        raise Death(step)

    with monkeypatch.context() as patch:
        patch.setattr(flows.parting, step, dying)
        patch.setattr(flows.parting, "afterwards", of_the_living)
        with pytest.raises(Death):
            salvage(shop.service)

    salvage(shop.service)

    assert found_in(place(shop)) == {"changed": 50, "inserted": 1}
    kept(shop)
