"""Which settings a restored Cluster gets, and how clients' ways are changed."""

from copy import deepcopy
from typing import Any

import pytest

from recovery.cnpg import ORIGIN
from recovery.cnpg_leading import moved_host, moved_selector
from recovery.cnpg_settings import (
    CARRIED,
    CHANGED,
    archiver_of,
    backup_request,
    left_services,
    missing,
    origin_of,
    proving,
    restoring,
    secret_of,
)
from recovery.errors import Refused
from tests.unit.test_cnpg_gates import POINT

STORE = {"destinationPath": "s3://backups/", "wal": {"compression": "gzip"}}
PLUGIN = {"name": "barman-cloud.cloudnative-pg.io", "isWALArchiver": True, "parameters": {"barmanObjectName": "store"}}
SPEC: dict[str, Any] = {
    "instances": 3,
    "storage": {"size": "10Gi"},
    "postgresql": {"parameters": {"work_mem": "8MB"}, "synchronous": {"method": "any", "number": 1}},
    "minSyncReplicas": 1,
    "maxSyncReplicas": 1,
    "bootstrap": {"initdb": {"database": "shop", "owner": "shop"}},
    "backup": {"retentionPolicy": "30d", "barmanObjectStore": STORE},
    "monitoring": {"enablePodMonitor": True},
    "inheritedMetadata": {"labels": {"app": "shop"}},
    "managed": {
        "roles": [{"name": "reporting"}],
        "services": {"additional": [{"serviceTemplate": {"metadata": {"name": "shop-lb"}}}]},
    },
    "somethingNew": {"of": "a newer operator"},
}
BY_PLUGIN = {key: value for key, value in SPEC.items() if key != "backup"} | {"plugins": [{"name": "other"}, PLUGIN]}


def test_all_is_carried_over_but_what_is_said_to_be_changed() -> None:
    """What no table of ours knows, too: a newer operator's field is the team's setting."""
    wanted = restoring(SPEC, POINT, "shop-restored-1")

    assert {key for key in SPEC if wanted[key] != SPEC[key]} == {"bootstrap", "backup", "managed"}
    assert wanted["somethingNew"] == SPEC["somethingNew"]
    assert not CARRIED & CHANGED.keys()


def test_the_restored_one_archives_elsewhere_and_keeps_its_policy() -> None:
    """The operator refuses to write over what another has archived: Expected empty archive."""
    wanted = restoring(SPEC, POINT, "shop-restored-1")

    assert wanted["backup"] == {
        "retentionPolicy": "30d", "barmanObjectStore": {**STORE, "serverName": "shop-restored-1"},
    }  # fmt: skip
    assert "serverName" not in STORE


def test_the_same_where_a_plugin_archives() -> None:
    """Other plugins stay as they are, in their order."""
    wanted = restoring(BY_PLUGIN, POINT, "shop-restored-1")

    parameters = {"barmanObjectName": "store", "serverName": "shop-restored-1"}
    assert wanted["plugins"] == [{"name": "other"}, {**PLUGIN, "parameters": parameters}]
    assert "backup" not in wanted


def test_it_recovers_from_the_backup_before_the_point_up_to_the_point() -> None:
    """With the application's role as it was: its Secret, too, which no backup holds."""
    wanted = restoring(SPEC, POINT, "x")

    assert wanted["bootstrap"] == {
        "recovery": {
            "source": ORIGIN,
            "recoveryTarget": {"backupID": "20260101T110000", "targetName": POINT.name},
            "database": "shop", "owner": "shop", "secret": {"name": "shop-db-app"},
        }
    }  # fmt: skip
    assert wanted["externalClusters"] == [POINT.origin]


def test_what_was_restored_before_is_restored_again() -> None:
    """Its own origin is replaced, other external Clusters stay."""
    spec = {**SPEC, "externalClusters": [{"name": "rome"}, {"name": ORIGIN, "plugin": {}}]}
    point = deepcopy(POINT)
    object.__setattr__(point, "origin", {"name": ORIGIN, "plugin": PLUGIN})
    wanted = restoring({**spec, "bootstrap": {"recovery": {"source": ORIGIN}}}, point, "x")

    assert wanted["externalClusters"] == [{"name": "rome"}, {"name": ORIGIN, "plugin": PLUGIN}]
    assert wanted["bootstrap"]["recovery"].keys() == {"source", "recoveryTarget"}


def test_additional_services_stay_with_the_damaged_one() -> None:
    """Two Clusters cannot have Services of one name; roles are carried over."""
    assert left_services(SPEC) == ("shop-lb",)
    assert restoring(SPEC, POINT, "x")["managed"] == {"roles": [{"name": "reporting"}]}
    disabled = {"services": {**SPEC["managed"]["services"], "disabledDefaultServices": ["ro"]}}
    assert restoring({**SPEC, "managed": disabled}, POINT, "x")["managed"] == {
        "services": {"disabledDefaultServices": ["ro"]}
    }


def test_a_proof_is_one_instance_that_archives_nothing() -> None:
    """And can take writes without a standby."""
    for spec in (SPEC, BY_PLUGIN):
        wanted = proving(spec, POINT)

        assert wanted["instances"] == 1
        assert wanted["postgresql"] == {"parameters": {"work_mem": "8MB"}}
        gone = {"backup", "plugins", "managed", "monitoring", "inheritedMetadata", "minSyncReplicas", "maxSyncReplicas"}
        assert not wanted.keys() & gone
        assert wanted["storage"] == SPEC["storage"]


@pytest.mark.parametrize(
    ("spec", "origin", "asked"),
    [
        (
            SPEC,
            {"barmanObjectStore": {**STORE, "serverName": "shop-db"}},
            {"method": "barmanObjectStore"},
        ),
        (
            {"backup": {"barmanObjectStore": {**STORE, "serverName": "other"}}},
            {"barmanObjectStore": {**STORE, "serverName": "other"}},
            {"method": "barmanObjectStore"},
        ),
        (
            BY_PLUGIN,
            {"plugin": {"name": PLUGIN["name"], "parameters": {"barmanObjectName": "store", "serverName": "shop-db"}}},
            {"method": "plugin", "pluginConfiguration": {"name": PLUGIN["name"]}},
        ),
    ],
)
def test_backups_are_found_where_the_damaged_one_puts_them(
    spec: dict[str, Any], origin: dict[str, Any], asked: dict[str, Any]
) -> None:
    """Under its own name unless another is given."""
    assert origin_of("shop-db", spec) == {"name": ORIGIN, **origin}
    assert backup_request("shop-db", spec) == {"cluster": {"name": "shop-db"}, **asked}


def test_a_plugin_that_is_disabled_archives_nothing() -> None:
    """Nor one that is no archiver."""
    assert archiver_of({"plugins": [{**PLUGIN, "enabled": False}, {"name": "other"}]}) is None
    with pytest.raises(Refused, match="archives no WAL"):
        origin_of("shop-db", {"plugins": [{**PLUGIN, "enabled": False}]})


@pytest.mark.parametrize(
    ("bootstrap", "secret"),
    [
        ({"initdb": {"database": "shop", "owner": "shop", "secret": {"name": "own"}}}, "own"),
        ({"pg_basebackup": {"database": "shop", "owner": "shop"}}, "shop-db-app"),
        ({"recovery": {"source": "x"}}, None),
        (None, None),
    ],
)
def test_the_applications_secret_is_the_one_that_the_operator_uses(
    bootstrap: dict[str, Any] | None, secret: str | None
) -> None:
    """Its own, named after the Cluster, unless another is given; none where it knows of no application."""
    assert secret_of("shop-db", {"bootstrap": bootstrap}) == secret


def test_what_came_out_otherwise_is_named_and_what_was_added_is_not() -> None:
    """The API server and the operator fill in defaults."""
    wanted = {"a": {"b": [1, {"c": 2}]}, "d": 3, "e": {}}

    assert missing(wanted, {"a": {"b": [1, {"c": 2, "more": 1}]}, "d": 3, "f": 1}) == ()
    assert missing(wanted, {"a": {"b": [1, {"c": 9}]}, "e": {}}) == ("spec.a.b[1].c", "spec.d")
    assert missing(wanted, {"a": {"b": [1]}, "d": 3}) == ("spec.a.b",)


class TestLeading:
    """How clients' ways are changed."""

    @pytest.mark.parametrize(
        ("host", "moved"),
        [
            ("shop-db-rw", "shop-restored-rw"),
            ("shop-db-rw.acme.svc.cluster.local", "shop-restored-rw.acme.svc.cluster.local"),
            ("shop-db-ro.acme", "shop-restored-ro.acme"),
            ("shop-restored-rw.acme", None),
        ],
    )
    def test_service_and_domain_stay(self, host: str, moved: str | None) -> None:
        """Only the Cluster is another."""
        assert moved_host(host, "shop-db", "shop-restored") == moved

    @pytest.mark.parametrize("host", ["10.0.0.5", "shop-db", "shop-db-pooler-rw", "other-rw", "shop-db-rw-x", ""])
    def test_another_way_is_refused(self, host: str) -> None:
        """Nothing that we change would reach those clients."""
        with pytest.raises(Refused, match="is no Service of shop-db: lead them to shop-db-rw"):
            moved_host(host, "shop-db", "shop-restored")

    def test_a_selector_is_moved_once(self) -> None:
        """One that selects something else is refused."""
        assert moved_selector("shop-db", "shop-db", "new") == "new"
        assert moved_selector("new", "shop-db", "new") is None
        with pytest.raises(Refused, match="selects those of other and not shop-db"):
            moved_selector("other", "shop-db", "new")
        with pytest.raises(Refused, match=r"selects nothing by cnpg\.io/cluster"):
            moved_selector(None, "shop-db", "new")
