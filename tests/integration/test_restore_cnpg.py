"""The restore on CloudNativePG: a real API server, a stand-in for the operator, real recovery to the point."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import flows.asking
import flows.restore_cnpg
from infra.lab.cnpg import Operator
from infra.lab.kubernetes import Cluster
from infra.lab.process import wait_until
from recovery.cnpg_wording import report_cnpg
from recovery.errors import Incomplete, Refused, Unavailable
from tasks import kubernetes
from tasks.kubernetes import api, secrets
from tasks.kubernetes.cnpg import backups, clusters, fencing, leading, reading
from tests.integration.cnpg_shop import CnpgShop, by_plugin, cluster_spec, new_cnpg_shop
from tests.integration.dying import Death
from tests.integration.restore_talk import decline

FENCE = "cnpg.io/fencedInstances"
MODULES = (reading, backups, clusters, fencing, leading, secrets, kubernetes)


@pytest.fixture(name="shop")
def _shop(cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CnpgShop]:
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        yield shop


def taken_back(shop: CnpgShop, restarts: int) -> None:
    """One restored Cluster that serves, archives and is backed up; one damaged one, fenced and kept; no more."""
    found = shop.clusters()
    assert sorted(found) == sorted([shop.name, shop.restored])
    assert found[shop.name]["metadata"]["annotations"][FENCE] == '["*"]'
    assert not found[shop.name]["status"].get("readyInstances")
    with pytest.raises(psycopg.OperationalError):
        shop.sql("SELECT 1")
    restored = shop.operator.server(shop.restored)
    assert shop.sql("SELECT sum(amount), count(*) FROM orders", restored) == [(5050, 100)]
    assert f"{shop.restored}-rw.acme.svc" in shop.led_to()
    assert shop.restarts() == restarts + 1
    assert f"{shop.restored}-first" in shop.backups()
    assert len(shop.backups()) == 2


def as_before(shop: CnpgShop) -> None:
    """Clients go on: they are led to the damaged one, and it takes their writes."""
    assert f"{shop.name}-rw" in shop.led_to()
    annotations = shop.clusters()[shop.name]["metadata"].get("annotations") or {}
    assert annotations.get(FENCE, "[]") == "[]"
    wait_until(lambda: shop.operator.server(shop.name).up, what="the server", seconds=20)
    assert shop.sql("INSERT INTO orders (amount) VALUES (0) RETURNING amount") == [(0,)]


def test_the_restored_cluster_serves_and_the_damaged_one_is_kept(shop: CnpgShop) -> None:
    """What was written since is fenced away and not lost; numbers that somebody saw are not given out again."""
    shop.spoil()
    restarts, plan = shop.restarts(), shop.plan()
    assert [str(loss) for loss in plan.losses] == ["public.orders: 100 at the point, 101 now (+1)"]

    said = shop.take_back()

    taken_back(shop, restarts)
    restored = shop.operator.server(shop.restored)
    assert shop.sql("SELECT nextval('orders_id_seq') > 101", restored) == [(True,)]
    assert f"fenced {shop.name}: no instance of it answers" in said
    assert f"{shop.restored} archives its WAL" in said
    assert "customers succeed" in said
    assert f"`{shop.restored}`" in report_cnpg(plan, None, said, "SHOP_DATABASE_URL")

    again = shop.take_back()

    taken_back(shop, restarts)
    assert [each.split(":")[0] for each in again[1:3]] == ["skipped", "skipped"]


def test_every_setting_is_carried_over_and_the_archive_is_another(shop: CnpgShop) -> None:
    """As the real API server has the two objects, with all that it has filled in."""
    shop.spoil()
    shop.take_back()

    damaged, restored = (shop.clusters()[name]["spec"] for name in (shop.name, shop.restored))
    changed = {key for key in {*damaged, *restored} if damaged.get(key) != restored.get(key)}
    assert changed == {"bootstrap", "backup", "externalClusters"}
    server_name = restored["backup"]["barmanObjectStore"].pop("serverName")
    assert server_name.startswith(f"{shop.restored}-2")
    assert restored["backup"] == damaged["backup"]
    assert not shop.operator.store.is_empty(server_name)
    recovery = restored["bootstrap"]["recovery"]
    assert recovery["recoveryTarget"] == {"backupID": shop.point().backup_id, "targetName": shop.point().name}
    assert recovery["secret"] == {"name": f"{shop.name}-app"}


def test_the_same_by_the_plugin_and_a_service_by_name(
    cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin archives under another name, and an ExternalName Service leads elsewhere."""
    spec, archive = cluster_spec(**by_plugin()), str(tmp_path / "archive")
    with new_cnpg_shop(cluster, operator, monkeypatch, archive, lead="service", spec=spec) as shop:
        shop.spoil()
        restarts = shop.restarts()

        shop.take_back()
        shop.take_back()

        taken_back(shop, restarts)
        assert shop.led_to() == f"{shop.restored}-rw.acme.svc.cluster.local"
        [plugin] = shop.clusters()[shop.restored]["spec"]["plugins"]
        assert plugin["parameters"]["serverName"].startswith(f"{shop.restored}-2")


def test_a_service_that_selects_is_led_too(
    cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other selectors stay; the operator's own Service is refused."""
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive"), lead="service") as shop:
        name = f"{shop.service.name}-database"
        selector = {"cnpg.io/cluster": shop.name, "cnpg.io/instanceRole": "primary"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
        service["spec"] = {"selector": selector, "ports": [{"port": 5432}]}
        shop.kubectl("delete", "service", name)
        shop.kubectl("create", "-f", "-", input=json.dumps(service))
        shop.spoil()

        shop.take_back()

        assert json.loads(shop.led_to()) == {**selector, "cnpg.io/cluster": shop.restored}

        uid = shop.clusters()[shop.name]["metadata"]["uid"]
        owner = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": shop.name, "uid": uid}
        patch = {"metadata": {"ownerReferences": [owner]}}
        shop.kubectl("patch", "service", name, "-p", json.dumps(patch))
        with pytest.raises(Refused, match="is the operator's own: lead clients by one of yours"):
            shop.plan()


def test_a_way_of_clients_that_is_neither_clusters_is_refused_before_anything_is_made(shop: CnpgShop) -> None:
    """A pooler, an address: what we change would not reach them."""
    shop.spoil()
    url = "postgresql://shop:secret@10.0.0.5/shop"
    patch = json.dumps({"stringData": {"DATABASE_URL": url}})
    shop.kubectl("patch", "secret", f"{shop.service.name}-database", "-p", patch)

    with pytest.raises(Refused, match=r"clients are led to 10\.0\.0\.5, which is no Service of") as refusal:
        shop.take_back()

    assert "secret@" not in str(refusal.value)
    assert [*shop.clusters()] == [shop.name]


def test_what_is_not_what_was_is_not_led_to(shop: CnpgShop) -> None:
    """Everybody goes on as before, and the restored one stays to be looked at."""
    shop.spoil()
    wrong = shop.with_(smoke=(shop.service.cnpg.smoke[0].model_copy(update={"equals": "1"}),))  # type: ignore[union-attr]

    with pytest.raises(Refused, match="nobody is led to"):
        wrong.take_back()

    assert sorted(shop.clusters()) == sorted([shop.name, shop.restored])
    as_before(shop)


def test_a_failure_after_the_fence_lifts_it_again(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was led away: clients go on where they were, and the next run ends the work."""
    shop.spoil()
    restarts = shop.restarts()
    with monkeypatch.context() as patch:
        patch.setattr(flows.restore_cnpg, "lead_clients", lambda *said: (_ for _ in ()).throw(Refused("may not")))
        with pytest.raises(Refused, match="may not"):
            shop.take_back()

    as_before(shop)
    shop.take_back()
    taken_back(shop, restarts)


def test_a_failure_after_the_clients_were_led_is_no_way_back(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Secret was changed: a person must know, the fence stays, and the next run ends the work."""
    shop.spoil()
    restarts = shop.restarts()

    def refuse(*said: object) -> list[str]:
        raise Refused("the role may not")

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "_restart", refuse)
        with pytest.raises(Incomplete, match=rf"could not be restarted.*done before: put {shop.restored}-rw"):
            shop.take_back()

    assert shop.clusters()[shop.name]["metadata"]["annotations"][FENCE] == '["*"]'
    assert not shop.plan().ask
    shop.take_back()
    taken_back(shop, restarts)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_change_it_ends_in_one_restored_cluster(
    shop: CnpgShop, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Each run dies at the first change that none died at before: the one that lives ends the work."""
    shop.spoil()
    restarts, died = shop.restarts(), list[str]()

    def dying(method: str, path: str, *given: Any) -> Any:
        change = f"{method} {path.partition('?')[0].rpartition('/')[2]}"
        if method == "GET" or change in died:
            return api.request(method, path, *given)
        died.append(change)
        if moment == "after":
            api.request(method, path, *given)
        raise Death(change)

    for module in MODULES:
        monkeypatch.setattr(module, "request", dying)
    ended, runs = None, 0
    while ended is None:
        runs += 1
        with suppress(Death):
            ended = shop.take_back()

    assert died == [
        "POST clusters", f"PATCH {shop.name}", f"PATCH {shop.service.name}-database", f"PATCH {shop.service.name}",
        "POST backups",
    ]  # fmt: skip
    assert runs == 6
    taken_back(shop, restarts)


@pytest.mark.parametrize(
    "step",
    ["settle_cluster", "prove_beside", "note_numbers", "move_numbers_on", "wait_until_settled", "ask_in_restored"],
)
def test_killed_before_every_other_step_it_ends_the_same(
    shop: CnpgShop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Those that change no object, and the SQL between them."""
    shop.spoil()
    restarts, real, died = shop.restarts(), getattr(flows.restore_cnpg, step), list[str]()

    def dying(*given: object) -> object:
        if died:
            return real(*given)
        died.append(step)
        raise Death(step)

    monkeypatch.setattr(flows.restore_cnpg, step, dying)
    with pytest.raises(Death):
        shop.take_back()

    shop.take_back()

    taken_back(shop, restarts)
    restored = shop.operator.server(shop.restored)
    assert shop.sql("SELECT nextval('orders_id_seq') > 101", restored) == [(True,)]


def test_a_cluster_of_another_is_not_restored_over(shop: CnpgShop) -> None:
    """It lacks our annotation."""
    shop.spoil()
    theirs = {"instances": 1, "storage": {"size": "1Gi"}}
    kind = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": shop.restored}}
    shop.kubectl("create", "-f", "-", input=json.dumps({**kind, "spec": theirs}))

    with pytest.raises(Refused, match=f"{shop.restored} is there and was not restored to .* by us"):
        shop.take_back()

    as_before(shop)


def test_an_archive_that_is_not_empty_is_waited_for_in_vain(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would come of the damaged one's own server name, and why the restored one never has it."""
    shop.spoil()
    plan = replace(shop.plan(), server_name=shop.name)
    impatient = shop.with_(deadline=timedelta(seconds=3))

    with pytest.raises(Unavailable, match=r"'Setting up primary', 0 of 3 .*its recovery pod's log says more"):
        flows.restore_cnpg.take_back(impatient.service, plan)

    assert f"WAL archive check failed for server {shop.name}: Expected empty archive" in shop.operator.log
    as_before(shop)


def test_a_restored_one_that_does_not_archive_is_told(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients are served by then: a person must look, and Retry goes on."""
    shop.spoil()
    restarts = shop.restarts()
    shop.operator.not_archiving.add(shop.restored)
    monkeypatch.setattr(fencing, "ARCHIVED", timedelta(seconds=1))
    with pytest.raises(Incomplete, match="serves the clients and its WAL is not archived: ContinuousArchivingFailing"):
        shop.take_back()
    shop.operator.not_archiving.clear()
    monkeypatch.setattr(fencing, "ARCHIVED", timedelta(seconds=20))
    shop.take_back()

    taken_back(shop, restarts)


def test_a_restored_cluster_is_itself_taken_back(shop: CnpgShop) -> None:
    """When the catalogue names it, the next release has a gate and a restore of its own."""
    shop.spoil()
    shop.take_back()
    with pytest.raises(Refused, match="is fenced: name the Cluster that serves now in `cluster`"):
        shop.gate("v1.3.0")
    later = shop.with_(cluster=shop.restored)

    assert later.gate("v1.3.0").proved
    later.sql("DELETE FROM orders")
    later.take_back("v1.3.0")

    name = f"{shop.service.name}-restored-v1-3-0"
    assert later.sql("SELECT count(*) FROM orders", shop.operator.server(name)) == [(100,)]
    assert f"{name}-rw.acme.svc" in shop.led_to()
    origins = shop.clusters()[name]["spec"]["externalClusters"]
    assert [each["name"] for each in origins] == ["ripcord-origin"]


def test_a_person_is_asked_unless_the_catalogue_says_otherwise(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is lost above the form; nothing is made before the answer."""
    shop.spoil()
    asked = decline(monkeypatch)

    assert not flows.asking.agreed_on_cnpg(shop.plan())
    assert "| public.orders | 100 | 101 |" in asked[0]
    assert flows.asking.agreed_on_cnpg(shop.with_(approval="none").plan())
    assert len(asked) == 1
    assert [*shop.clusters()] == [shop.name]


@pytest.mark.parametrize("lead", ["secret", "service"])
@pytest.mark.parametrize("silent", ["for one answer", "from then on"])
def test_a_lost_answer_to_the_change_of_the_way_is_settled(
    cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lead: str, silent: str
) -> None:
    """By reading back; where that says nothing either a person must know, and the next run goes on."""
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive"), lead=lead) as shop:
        shop.spoil()
        restarts, lost = shop.restarts(), list[str]()
        module = secrets if lead == "secret" else leading

        def losing(method: str, path: str, *given: Any) -> Any:
            if lost and silent == "from then on":
                raise Unavailable("the cluster did not answer")
            answer = api.request(method, path, *given)
            if method == "PATCH" and not lost:
                lost.append(path)
                raise Unavailable("the cluster did not answer")
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(module, "request", losing)
            if silent == "from then on":
                with pytest.raises(Incomplete, match=rf"the {lead.title()} {shop.service.name}-database may have been"):
                    shop.take_back()
            else:
                shop.take_back()

        shop.take_back()

        taken_back(shop, restarts)
