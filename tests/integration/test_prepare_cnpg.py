"""The gate on CloudNativePG: a real API server, a stand-in for the operator, real backup and recovery."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flows.prepare_cnpg
from infra.lab.cnpg import Operator
from infra.lab.kubernetes import Cluster
from infra.lab.process import LabError, wait_until
from recovery.errors import Refused, Unavailable
from recovery.restore_points import point_name
from tasks.kubernetes import api
from tasks.kubernetes.cnpg import clusters
from tasks.kubernetes.cnpg.checking import check_cnpg
from tasks.postgres import named_points
from tests.integration.cnpg_shop import PLUGIN, CnpgShop, by_plugin, cluster_spec, new_cnpg_shop


@pytest.fixture(name="shop")
def _shop(cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CnpgShop]:
    with new_cnpg_shop(cluster, operator, monkeypatch, str(tmp_path / "archive")) as shop:
        yield shop


def test_a_way_back_is_proved_on_a_copy_that_is_removed(shop: CnpgShop) -> None:
    """One Backup under the point's name, one point, one copy recovered to it: and nothing of the copy is left."""
    way = shop.gate()

    name, point = point_name(shop.service.name, "v1.2.0"), shop.point()
    assert way.proved
    assert f"it ends at {name} ({point.then.lsn}) on timeline 2, with 1 tables and 100 rows as they were" in way.reason
    [(backup, found)] = shop.backups().items()
    assert backup == f"{shop.service.name}-{name.removeprefix(shop.service.name + '-').replace('.', '-')}"
    assert (found["status"]["backupId"], found["spec"]["method"]) == (point.backup_id, "barmanObjectStore")
    assert shop.sql("SELECT name, lsn::text FROM ripcord.restore_points") == [(name, point.then.lsn)]
    assert [*shop.clusters()] == [shop.name]
    with pytest.raises(LabError):
        shop.operator.server(shop.proof)


def test_a_repeated_gate_makes_nothing_twice(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the point is fresh; later there is another one, with a Backup of its own."""
    first = shop.gate()
    assert shop.gate() == first
    assert len(shop.backups()) == 1

    later = shop.with_(fresh=timedelta(seconds=0))
    again = later.gate()

    assert again.proved
    assert again.point == point_name(shop.service.name, "v1.2.0", 2)
    assert len(shop.backups()) == 2


def test_the_plugin_takes_the_backup_where_it_archives(
    cluster: Cluster, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the copy finds it by the same plugin."""
    spec, archive = cluster_spec(**by_plugin()), str(tmp_path / "archive")
    with new_cnpg_shop(cluster, operator, monkeypatch, archive, spec=spec) as shop:
        assert shop.gate().proved

        [backup] = shop.backups().values()
        assert backup["spec"]["method"] == "plugin"
        assert backup["spec"]["pluginConfiguration"] == {"name": PLUGIN}
        parameters = {"barmanObjectName": "store", "serverName": shop.name}
        assert shop.point().origin["plugin"] == {"name": PLUGIN, "parameters": parameters}


def test_a_backup_that_failed_refuses_and_the_next_gate_takes_another(shop: CnpgShop) -> None:
    """The operator never tries a Backup again, and its name is taken."""
    shop.operator.failing.add(shop.name)
    with pytest.raises(Refused, match="failed: can't execute backup: exit status 4; mend that"):
        shop.gate()
    assert shop.sql("SELECT to_regclass('ripcord.restore_points')") == [(None,)]
    shop.operator.failing.clear()

    way = shop.gate()

    assert way.point == point_name(shop.service.name, "v1.2.0", 2)
    assert len(shop.backups()) == 2


def test_one_whose_wal_is_not_archived_is_refused_before_anything_is_made(shop: CnpgShop) -> None:
    """By the gate and by `ripcord check`."""
    shop.operator.not_archiving.add(shop.name)
    try:
        seen = wait_until(lambda: _refused(lambda: check_cnpg(shop.service)), what="the refusal", seconds=20)
        assert "is not archived: ContinuousArchivingFailing" in seen
        assert _refused(shop.gate) == seen
        assert not shop.backups()
    finally:
        shop.operator.not_archiving.clear()


def _refused(act: Any) -> str:
    try:
        act()
    except Refused as refused:
        return str(refused)
    return ""


def test_a_check_tries_every_right_and_makes_nothing(shop: CnpgShop) -> None:
    """What would be made is sent as a dry run, through the real schema."""
    said = check_cnpg(shop.service)

    assert said.startswith(f"{shop.name} is healthy with 3 of 3 instances, and its WAL is archived")
    assert said.endswith(f"clients are led by the Secret {shop.service.name}-database to {shop.name}-rw.acme.svc:5432")
    assert [*shop.clusters()] == [shop.name]
    assert not shop.backups()
    assert check_cnpg(shop.service.model_copy(update={"cnpg": None})) == "none in the catalogue"


def test_a_cluster_that_is_not_there_is_refused(shop: CnpgShop) -> None:
    """With the keys of the catalogue that name it."""
    with pytest.raises(Refused, match="there is no Cluster nowhere in acme: check `cluster` and `namespace`"):
        shop.with_(cluster="nowhere").gate()


def test_a_copy_that_is_not_what_was_refuses_and_stays_to_be_looked_at(shop: CnpgShop) -> None:
    """And the next gate of another point removes it."""
    wrong = shop.with_(smoke=(shop.service.cnpg.smoke[0].model_copy(update={"equals": "1"}),))  # type: ignore[union-attr]
    with pytest.raises(Refused, match=r"smoke query .* returned 5050 and not 1: nobody is led to"):
        wrong.gate()
    assert sorted(shop.clusters()) == sorted([shop.name, shop.proof])

    assert shop.with_(fresh=timedelta(seconds=0)).gate().proved

    assert [*shop.clusters()] == [shop.name]


def test_a_name_that_is_somebody_elses_is_left_alone(shop: CnpgShop) -> None:
    """Nothing is recovered over it, nothing removed."""
    theirs = {"instances": 1, "storage": {"size": "1Gi"}}
    kind = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": shop.proof}, "spec": theirs}
    shop.kubectl("create", "-f", "-", input=json.dumps(kind))

    with pytest.raises(Refused, match=f"{shop.proof} is there and was not restored to .* by us"):
        shop.gate()

    assert shop.proof in shop.clusters()


class Death(BaseException):
    """The process ends here: nothing of ours catches it, as nothing catches kill -9."""


@pytest.mark.parametrize("step", ["take_named_backup", "name_point", "raise_copy", "prove_recovered", "drop_copy"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_every_step_it_proves_one_point(
    shop: CnpgShop, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """The one that is run again ends with one point that is proved, one Backup, and no copy."""
    real, died = getattr(flows.prepare_cnpg, step), list[str]()

    def dying(*given: object) -> object:
        if died:
            return real(*given)
        died.append(step)
        if moment == "after":
            real(*given)
        raise Death(step)

    monkeypatch.setattr(flows.prepare_cnpg, step, dying)
    with pytest.raises(Death):
        shop.gate()

    assert shop.gate().proved
    assert len(shop.backups()) == 1
    assert [*shop.clusters()] == [shop.name]


def test_a_gate_that_died_before_its_point_was_kept_takes_another_name(
    shop: CnpgShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two points of one name recovery would stop at the first."""
    with monkeypatch.context() as patch:
        patch.setattr(named_points, "keep_value", lambda *said: (_ for _ in ()).throw(Death()))
        with pytest.raises(Death):
            shop.gate()

    way = shop.gate()

    assert way.point == point_name(shop.service.name, "v1.2.0", 2)
    assert way.proved


def test_a_lost_answer_makes_no_twin(shop: CnpgShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Cluster was made and nobody heard of it: the next look finds it."""
    lost: list[str] = []

    def losing(method: str, *given: Any) -> Any:
        answer = api.request(method, *given)
        if method == "POST" and not lost:
            lost.append(method)
            raise Unavailable("the cluster did not answer")
        return answer

    monkeypatch.setattr(clusters, "request", losing)
    with pytest.raises(Unavailable):
        shop.gate()

    assert shop.gate().proved
    assert [*shop.clusters()] == [shop.name]
