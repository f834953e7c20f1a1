"""Whether a Cluster has a way back, which point it is, and whether what was recovered is what was."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recovery.catalog import Service, parse_catalogue
from recovery.cnpg import (
    FENCED,
    LONGEST,
    RESTORED_TO,
    Backed,
    BackupPhase,
    Clustered,
    CnpgPoint,
    Condition,
    Role,
    address_of,
    backup_of,
    cluster_of,
)
from recovery.cnpg_gates import (
    Register,
    Restored,
    choose_named,
    cnpg_of,
    judge_backup,
    judge_cluster,
    judge_ready,
    judge_restored,
    namespace_of,
    say_proved,
)
from recovery.errors import Refused, Unavailable
from recovery.gates import judge_unproved
from recovery.restore_points import RestorePoint, State, Then, WayBack, point_name

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATE = State({"public.orders": 100, "public.carts": 7}, {"public.orders_id_seq": 100}, (), {}, {}, "s")
SHOP = Service.model_validate(
    {
        "name": "shop", "namespace": "acme", "repository": "acme/shop",
        "cnpg": {
            "cluster": "shop-db", "url_variable": "URL", "secret": {"name": "shop"}, "uncounted": ["public.carts"],
        },
    }
)  # fmt: skip
SPEC: Mapping[str, Any] = {"instances": 3, "backup": {"barmanObjectStore": {"destinationPath": "s3://backups/"}}}
SEEN = Clustered(
    "shop-db", "uid-1", "Cluster in healthy state", 3, 3, SPEC, conditions={"ContinuousArchiving": Condition(True)}
)


def then(version: str = "v1.2.0", attempt: int = 1, minutes: float = 30) -> Then:
    """What was at a point that is so old."""
    name, at = point_name("shop", version, attempt), NOW - timedelta(minutes=minutes)
    return Then("shop", version, name, "0/5000028", 1, "7001", at, STATE, STATE)


def made(version: str = "v1.2.0", attempt: int = 1, minutes: float = 30) -> CnpgPoint:
    """The point, as the archive keeps it."""
    return CnpgPoint(then(version, attempt, minutes), attempt, "shop-db", "uid-1", "20260101T110000", {"name": "o"})


POINT = made()
GOOD = Restored("7001", 2, False, RestorePoint(POINT.name, 1), STATE)


class TestCluster:
    """What a Cluster must be like before a release is deployed."""

    def test_one_that_is_healthy_and_archived_is_said(self) -> None:
        """With its instances."""
        assert judge_cluster(SHOP, SEEN) == "shop-db is healthy with 3 of 3 instances, and its WAL is archived"

    def test_a_last_backup_that_failed_is_said_and_holds_nothing_up(self) -> None:
        """The gate takes one of its own: that decides."""
        seen = replace(SEEN, conditions={**SEEN.conditions, "LastBackupSucceeded": Condition(False, "no room")})
        assert judge_cluster(SHOP, seen).endswith("; its last backup failed: no room")

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            (None, "there is no Cluster shop-db in acme: check `cluster` and `namespace`"),
            ({"phase": "Failing over", "reason": "no primary"}, r"says 'Failing over' \(no primary\): wait until"),
            ({"phase": ""}, "says 'nothing yet'"),
            ({"ready": 0}, "has no instance that is ready"),
            ({"deleting": True}, "is being deleted"),
            ({"annotations": {FENCED: '["*"]'}}, "is fenced: name the Cluster that serves now"),
            ({"annotations": {FENCED: '["shop-db-2"]'}}, "is fenced"),
            ({"annotations": {"cnpg.io/hibernation": "on"}}, "is hibernated: wake it up"),
            ({"annotations": {"cnpg.io/skipWalArchiving": "enabled"}}, "is told to archive no WAL"),
            ({"annotations": {"cnpg.io/reconciliationLoop": "disabled"}}, "the operator leaves shop-db alone"),
            ({"conditions": {}}, "does not say whether its WAL is archived"),
            (
                {"conditions": {"ContinuousArchiving": Condition(False, "403")}},
                "the WAL of shop-db is not archived: 403",
            ),
            ({"spec": {"instances": 1}}, "archives no WAL: configure the Barman Cloud plugin"),
            ({"spec": {**SPEC, "backup": {"volumeSnapshot": {}}}}, "volume snapshots alone know no point"),
            ({"spec": {**SPEC, "replica": {"enabled": True, "source": "rome"}}}, "a replica of rome: name that"),
            ({"spec": {**SPEC, "replica": {"primary": "rome", "source": "rome"}}}, "a replica of rome"),
        ],
    )
    def test_what_cannot_be_taken_back_is_refused(self, changed: dict[str, Any] | None, why: str) -> None:
        """With the way out."""
        with pytest.raises(Refused, match=why):
            judge_cluster(SHOP, None if changed is None else replace(SEEN, **changed))

    def test_everything_that_is_against_it_is_said_at_once(self) -> None:
        """Nobody mends one thing at three in the morning to hear of the next."""
        seen = replace(SEEN, phase="Failing over", conditions={})
        with pytest.raises(Refused, match=r"Failing over.*; .*does not say whether"):
            judge_cluster(SHOP, seen)

    def test_a_primary_of_a_distributed_topology_is_no_replica(self) -> None:
        """It names itself."""
        spec = {**SPEC, "replica": {"primary": "shop-db", "source": "rome"}}
        assert judge_cluster(SHOP, replace(SEEN, spec=spec))


class TestChoice:
    """Which point the gate is about."""

    def test_a_first_point_gets_the_first_name(self) -> None:
        """There is nothing in the register yet."""
        choice = choose_named(SHOP, "v1.2.0", Register(None, NOW), [], [], SEEN)
        assert (choice.point.attempt, choice.there) == (1, False)

    @pytest.mark.parametrize(
        ("registered", "kept", "attempt", "there", "why"),
        [
            (POINT.point, [POINT], 1, True, "was made 30 min ago"),
            (made(minutes=61).point, [made(minutes=61)], 2, False, "a point stands for 1h at most"),
            (POINT.point, [], 2, False, "does not record it"),
            (RestorePoint(POINT.name, 1), [], 2, False, "was begun and not finished"),
            (POINT.point, [replace(POINT, uid="uid-0")], 2, False, "does not record it"),
        ],
    )
    def test_a_point_that_is_there_serves_while_it_is_fresh_and_of_this_cluster(
        self, registered: RestorePoint, kept: list[CnpgPoint], attempt: int, there: bool, why: str
    ) -> None:
        """A name is never used twice: recovery would stop at the first."""
        choice = choose_named(SHOP, "v1.2.0", Register(registered, NOW), kept, [], SEEN)
        assert (choice.point.attempt, choice.there) == (attempt, there)
        assert why in choice.reason

    def test_the_name_of_a_failed_backup_is_not_used_again(self) -> None:
        """The operator never tries a Backup again."""
        failed = [Backed(backup_of(point_name("shop", "v1.2.0", n)), "shop-db", BackupPhase.FAILED) for n in (1, 2)]
        choice = choose_named(SHOP, "v1.2.0", Register(None, NOW), [], failed, SEEN)
        assert choice.point.attempt == 3
        assert choice.reason == f"the Backup {failed[1].name} failed"


class TestBackup:
    """What came of the Backup before the point."""

    def test_one_that_is_whole_has_an_id(self) -> None:
        """Without the id nobody recovers from it to a name."""
        done = Backed("b", "shop-db", BackupPhase.COMPLETED, "20260101T110000")
        assert judge_backup(done, "shop-db") is None
        assert judge_backup(replace(done, backup_id=None), "shop-db") == "the Backup b is completed"

    def test_one_that_is_not_finished_says_how_far_it_is(self) -> None:
        """In the operator's word."""
        assert judge_backup(Backed("b", "shop-db", BackupPhase.RUNNING, reason="finalizing"), "shop-db") == (
            "the Backup b is finalizing"
        )

    def test_one_that_failed_or_is_another_clusters_is_refused(self) -> None:
        """With what the operator says."""
        with pytest.raises(Refused, match="the Backup b failed: exit status 4; mend that"):
            judge_backup(Backed("b", "shop-db", BackupPhase.FAILED, reason="exit status 4"), "shop-db")
        with pytest.raises(Refused, match="of other-db and not of shop-db"):
            judge_backup(Backed("b", "other-db", BackupPhase.RUNNING), "shop-db")
        with pytest.raises(Unavailable, match="not to be seen"):
            judge_backup(None, "shop-db")


class TestReady:
    """How far a Cluster of ours has come."""

    OURS = replace(SEEN, name="shop-restored-v1-2-0", annotations={RESTORED_TO: POINT.name})

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({}, None),
            ({"ready": 2}, "2 of 3 instances are ready"),
            ({"phase": "Setting up primary", "ready": 0}, "its recovery pod's log says more"),
            ({"phase": ""}, "'nothing yet'"),
            ({"deleting": True}, "is being deleted"),
        ],
    )
    def test_it_is_up_when_every_instance_is(self, changed: dict[str, Any], said: str | None) -> None:
        """A healthy phase alone is not enough."""
        answer = judge_ready(replace(self.OURS, **changed), "shop-restored-v1-2-0", POINT.name)
        assert answer is None if said is None else said in str(answer)

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"annotations": {}}, "was not restored to .* by us"),
            ({"annotations": {RESTORED_TO: "another"}}, "was not restored to"),
            ({"phase": "Cluster is unrecoverable and needs manual intervention"}, "mend that, or remove it"),
        ],
    )
    def test_what_is_not_ours_or_hopeless_is_refused(self, changed: dict[str, Any], why: str) -> None:
        """It is waited for in vain."""
        with pytest.raises(Refused, match=why):
            judge_ready(replace(self.OURS, **changed), "shop-restored-v1-2-0", POINT.name)

    def test_one_that_is_not_seen_yet_is_waited_for(self) -> None:
        """It may have been made a moment ago."""
        assert judge_ready(None, "n", POINT.name) == "n is not to be seen"


class TestRestored:
    """Whether a recovered database is what was at the point."""

    def test_one_that_ends_at_the_point_is_what_was(self) -> None:
        """The register has the name and not the position that the commit after it wrote."""
        proof = judge_restored(POINT, GOOD, (), ("public.carts",))
        assert proof.proved
        assert (
            proof.reason
            == f"it ends at {POINT.name} (0/5000028) on timeline 2, with 2 tables and 107 rows as they were"
        )

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"system_id": "7002"}, "it is of another database"),
            ({"registered": None}, "it is of an earlier time"),
            ({"registered": RestorePoint("other", 1)}, "it is of an earlier time"),
            ({"registered": POINT.point}, "the commit after .* is in it: it is of a later time"),
            ({"in_recovery": True}, "it takes no writes"),
            ({"timeline": 1}, "it was not recovered"),
            (
                {"state": replace(STATE, counts={"public.orders": 99, "public.carts": 7})},
                "orders has 99 rows and not 100",
            ),
            (
                {"state": replace(STATE, sequences={"public.orders_id_seq": 99})},
                "sequence public.orders_id_seq is at 99",
            ),
        ],
    )
    def test_every_difference_is_named(self, changed: dict[str, Any], why: str) -> None:
        """And nobody is led to it."""
        proof = judge_restored(POINT, replace(GOOD, **changed), ("smoke is wrong",), ())
        assert not proof.proved
        assert proof.reason.endswith("smoke is wrong")
        assert re.search(why, proof.reason)

    def test_a_table_that_never_stands_still_is_not_counted(self) -> None:
        """The catalogue says which."""
        seen = replace(GOOD, state=replace(STATE, counts={"public.orders": 100, "public.carts": 1}))
        assert judge_restored(POINT, seen, (), ("public.carts",)).proved

    def test_the_yes_says_what_was_done(self) -> None:
        """With the time it took: the forecast of the real one."""
        way = say_proved(POINT, "shop-proof-v1-2-0", WayBack(True, "it ends there", POINT.name), 61.4)
        assert way.reason == (
            "shop-proof-v1-2-0, restored from backup 20260101T110000 in 61 s and removed again: it ends there"
        )
        assert way.seconds == 61.4


class TestNames:
    """What is made in Kubernetes has names that it takes."""

    @pytest.mark.parametrize("version", ["v1.2.0", "V1.2.0-RC.1+build", "a" * 80, "..", "1"])
    def test_names_are_labels(self, version: str) -> None:
        """Of the length that the operator takes, and different for what is different."""
        point = point_name("shop", version)
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", backup_of(point))
        assert len(backup_of(point)) <= 63
        for service in ("shop", "0-shop", "s" * 63):
            names = {cluster_of(service, version, n, role) for n in (1, 2) for role in Role}
            assert len(names) == 2 * len(Role)
            assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) and len(name) <= LONGEST for name in names)

    def test_an_address_is_that_of_the_operators_service(self) -> None:
        """For reading and writing."""
        assert address_of("acme", "shop-db") == {"host": "shop-db-rw.acme.svc", "port": "5432"}


class TestCatalogue:
    """What may stand in the block `cnpg`."""

    def test_the_namespace_is_the_services_unless_it_is_named(self) -> None:
        """Clients and Cluster may live apart."""
        assert namespace_of(SHOP) == "acme"
        cnpg = cnpg_of(SHOP).model_copy(update={"namespace": "databases"})
        assert namespace_of(SHOP.model_copy(update={"cnpg": cnpg})) == "databases"

    def test_a_service_without_it_is_refused(self) -> None:
        """With the way out."""
        with pytest.raises(Refused, match="add `cnpg`"):
            cnpg_of(Service(name="shop", namespace="acme", repository="acme/shop"))

    @pytest.mark.parametrize(
        ("block", "why"),
        [
            ("cluster: shop-db, url_variable: URL", "name one way by which clients are led"),
            ("cluster: shop-db, url_variable: URL, secret: {name: s}, service: {name: s}", "`secret` or `service`"),
            ("cluster: Shop, url_variable: URL, secret: {name: s}", "should match pattern"),
            (f"cluster: {'s' * 51}, url_variable: URL, secret: {{name: s}}", "should match pattern"),
            ("cluster: shop-db, url_variable: URL, secret: {name: s}, clutser: x", "did you mean 'cluster'"),
            ("cluster: shop-db, url_variable: URL, service: {nme: s}", "did you mean 'name'"),
            ("url_variable: URL, secret: {name: s}", "cnpg.cluster: Field required"),
            ("cluster: shop-db, url_variable: postgresql://u:p@h, secret: {name: s}", "url_variable"),
        ],
    )
    def test_a_mistake_is_named(self, block: str, why: str) -> None:
        """In a sentence, before the night it is needed."""
        text = f"services: [{{name: shop, namespace: acme, repository: acme/shop, cnpg: {{{block}}}}}]"
        with pytest.raises(Refused, match=why):
            parse_catalogue(text)

    def test_it_excludes_the_other_ways(self) -> None:
        """A service is taken back in one."""
        rds = "rds: {instance: shop, region: eu-central-1, url_variable: URL}"
        cnpg = "cnpg: {cluster: shop-db, url_variable: URL, secret: {name: s}}"
        with pytest.raises(Refused, match="name one of `database`, `rds` and `cnpg`"):
            parse_catalogue(f"services: [{{name: shop, namespace: acme, repository: acme/shop, {rds}, {cnpg}}}]")

    def test_unproved_is_allowed_where_it_says_so(self) -> None:
        """And said aloud; a system that is silent is no answer."""
        lenient = cnpg_of(SHOP).model_copy(update={"allow_unproved": True})
        allowed = judge_unproved(lenient, Refused("no room"))
        assert allowed is not None
        assert allowed.reason == "unproved, which the catalogue allows: no room"
        assert judge_unproved(cnpg_of(SHOP), Refused("no room")) is None
        assert judge_unproved(lenient, Unavailable("silent")) is None
