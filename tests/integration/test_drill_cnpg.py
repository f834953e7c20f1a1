"""The drill on CloudNativePG: a copy that the operator recovers is held against what was, timed and removed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import flows.drill
from infra.lab.cnpg import Operator
from infra.lab.kubernetes import Cluster
from infra.lab.process import wait_until
from recovery.catalog import Service
from recovery.cnpg import Clustered, CnpgPoint, Role, cluster_of
from recovery.drills import Finding
from recovery.restore_points import WayBack
from tasks.kubernetes.cnpg import raise_copy
from tasks.kubernetes.cnpg.reading import look
from tasks.postgres.drilling import read_drills
from tasks.postgres.named_points import prove_recovered, read_proved
from tests.integration.cnpg_shop import CnpgShop, new_cnpg_shop
from tests.integration.drill_talk import drill, failed, listen


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    return listen(monkeypatch)


@pytest.fixture(name="shop")
def _shop(
    cluster: Cluster, operator: Operator, told: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CnpgShop]:
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        yield shop


def name_of_copy(shop: CnpgShop) -> str:
    """The Cluster in which v1.2.0's first point is drilled."""
    return cluster_of(shop.service.name, "v1.2.0", 1, Role.DRILL)


def test_the_newest_point_is_restored_measured_and_thrown_away(shop: CnpgShop, told: list[tuple[str, ...]]) -> None:
    """What serves is not touched; what was measured is kept, and shown with what nobody can see inside the copy."""
    assert shop.gate("v1.1.0").proved
    assert shop.gate().proved
    before = shop.clusters()[shop.name]["metadata"]["resourceVersion"], shop.backups().keys()

    said = drill(shop.service)

    [done] = read_drills.fn(shop.service)
    assert (done.finding, done.point) == (Finding.HELD, shop.point().name)
    assert done.phases
    assert done.phases.each.keys() == {"copy", "verify"}
    assert min(done.phases.each.values()) > 0
    assert done.unarchived is not None
    assert f"{shop.point().name} was restored in {done.phases.total:.1f} s and is what it was" in said
    assert [*shop.clusters()] == [shop.name]
    assert before == (shop.clusters()[shop.name]["metadata"]["resourceVersion"], shop.backups().keys())
    [(_, key, page)] = told
    assert key == f"drill-{shop.service.name}"
    assert "| verify | " in page
    assert "| replay | " not in page


def test_a_copy_that_is_not_what_was_is_told_once_and_removed_by_the_next(
    shop: CnpgShop, told: list[tuple[str, ...]]
) -> None:
    """It stays to be looked at, and no longer than until the next drill, which makes its own."""
    assert shop.gate().proved
    assert shop.service.cnpg
    wrong = shop.with_(smoke=(shop.service.cnpg.smoke[0].model_copy(update={"equals": "1"}),))

    assert failed(wrong.service).finding is Finding.BROKEN
    left = shop.clusters()[name_of_copy(shop)]["metadata"]["uid"]
    assert failed(wrong.service).finding is Finding.BROKEN
    assert shop.clusters()[name_of_copy(shop)]["metadata"]["uid"] != left
    drill(shop.service)

    assert [*shop.clusters()] == [shop.name]
    titles = [said[2] for said in told if said[0] == "notify"]
    assert len(titles) == 3  # the same news has the same identity, which is told once
    assert titles[0] == titles[1]
    assert titles[2].endswith("holds again")


def test_what_a_killed_drill_has_left_is_removed_and_not_gone_on_with(
    shop: CnpgShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore is timed whole, so nothing of an earlier one may help."""
    assert shop.gate().proved
    serving = look("acme", shop.name)
    assert serving
    made = raise_copy.fn(shop.service, serving, shop.point(), Role.DRILL)
    seen: list[Clustered | None] = []

    def noting(service: Service, point: CnpgPoint, name: str) -> WayBack:
        seen.append(look("acme", name))
        return prove_recovered.fn(service, point, name)

    monkeypatch.setattr(flows.drill, "prove_recovered", noting)

    drill(shop.service)

    [copy] = seen
    assert copy
    assert copy.uid != made.uid
    assert [*shop.clusters()] == [shop.name]


def test_without_a_proved_point_of_this_very_cluster_there_is_no_way_back(shop: CnpgShop) -> None:
    """A point of a Cluster that had the name before is none."""
    assert failed(shop.service).finding is Finding.NO_SET
    assert shop.gate().proved
    point = shop.point()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.drill, "read_proved", lambda service: ())
        assert "has no proved set" in failed(shop.service).said
    assert point in read_proved.fn(shop.service)


def test_a_promise_that_is_not_kept_and_a_server_that_is_silent_fail(shop: CnpgShop) -> None:
    """Too slow is not broken; a Cluster that is down is drilled, and what was not looked at never reads as held."""
    assert shop.gate().proved
    assert failed(shop.with_(rto=timedelta(milliseconds=1)).service).finding is Finding.SLOW
    assert failed(shop.with_(rpo=timedelta(0)).service).finding is Finding.OLD

    shop.kubectl("annotate", "clusters.postgresql.cnpg.io", shop.name, 'cnpg.io/fencedInstances=["*"]')
    wait_until(lambda: not shop.operator.server(shop.name).up, what="the fence", seconds=30)
    blind = failed(shop.service)
    assert blind.finding is Finding.BLIND
    assert blind.phases
