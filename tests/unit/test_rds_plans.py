"""Whether a database on RDS has a way back, which moment it is, and what stands against going it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.catalog import Service, parse_catalogue
from recovery.errors import Refused
from recovery.rds import LONGEST, Managed, TimedPoint, member_of, names_of, snapshot_of
from recovery.rds_catalog import Rds
from recovery.rds_gates import choose_time, judge_gate, judge_reach, rds_of, say_reached
from recovery.rds_plans import RdsPlan, Three, choose_timed, judge_restored, plan_rds
from recovery.restore_points import State, point_name

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATE = State({"public.orders": 100, "public.carts": 7}, {}, (), {}, {}, "s")
SHOP = Service.model_validate(
    {
        "name": "shop", "namespace": "acme", "repository": "acme/shop",
        "rds": {"instance": "shop", "region": "eu-central-1", "url_variable": "URL", "uncounted": ["public.carts"]},
    }
)  # fmt: skip
RDS = rds_of(SHOP)
SEEN = Managed("shop", "available", "h", 5432, "db-1", 7, NOW)


def made(version: str = "v1.2.0", *, minutes: float = 30, attempt: int = 1, service: str = "shop") -> TimedPoint:
    """A point that is so old."""
    name, at = point_name(service, version, attempt), NOW - timedelta(minutes=minutes)
    return TimedPoint(service, version, name, attempt, at, "shop", "db-1", STATE, STATE)


POINT = made()
OURS = replace(SEEN, identifier="shop-restored-v1-2-0", resource="db-2", tags={"ripcord:restored-to": POINT.name})


def planned(three: Three, **counts: int) -> RdsPlan:
    """The plan for what the three names lead to."""
    return plan_rds(SHOP, "every total is 0", POINT, three, counts, NOW)


class TestGate:
    """What RDS must be like before a release is deployed."""

    @pytest.mark.parametrize(
        ("seen", "why"),
        [
            (None, r"RDS has no shop in eu-central-1: check `instance` or `cluster`, and `region`"),
            (replace(SEEN, status="modifying"), "shop is modifying and not available: wait"),
            (replace(SEEN, retention=0), "keeps no automated backups: set its backup retention"),
            (replace(SEEN, source="origin"), "a replica of origin: name that"),
            (replace(SEEN, settings={"GlobalClusterIdentifier": "g"}), "in a global cluster"),
        ],
    )
    def test_what_cannot_be_restored_is_refused(self, seen: Managed | None, why: str) -> None:
        """With the way out."""
        with pytest.raises(Refused, match=why):
            judge_gate(RDS, seen)

    def test_one_that_can_is_said(self) -> None:
        """With the days that it goes back."""
        assert judge_gate(RDS, SEEN) == "shop is available and keeps 7 days of backups"

    @pytest.mark.parametrize(
        ("attempts", "kept", "attempt", "why"),
        [
            (0, None, 1, "no point for it yet"),
            (1, None, 2, "attempt 1 was begun and not finished"),
            (1, made(minutes=59), 1, "was made 59 min ago"),
            (1, made(minutes=61), 2, "a point stands for 1h"),
            (2, made(minutes=5), 3, "attempt 2 was begun and not finished"),
            (1, made(minutes=-5), 2, "a point stands for 1h"),
            (0, made(minutes=5), 1, "was made 5 min ago"),
        ],
    )
    def test_a_point_is_taken_again_while_it_is_fresh(
        self, attempts: int, kept: TimedPoint | None, attempt: int, why: str
    ) -> None:
        """And no name is used twice: of one that was begun nobody knows how far it came."""
        choice = choose_time("shop", "v1.2.0", timedelta(hours=1), attempts, kept, SEEN, NOW)

        assert (choice.attempt, choice.name) == (attempt, point_name("shop", "v1.2.0", attempt))
        assert why in choice.reason

    def test_a_point_of_a_database_that_was_exchanged_since_serves_no_more(self) -> None:
        """After a restore the name leads to another one, whose backups begin there."""
        choice = choose_time("shop", "v1.2.0", timedelta(hours=1), 1, made(), replace(SEEN, resource="db-2"), NOW)

        assert (choice.attempt, choice.kept) == (2, None)
        assert choice.reason == f"{made().name} is of a database that was exchanged since"

    @pytest.mark.parametrize(("seconds", "reached"), [(-1, False), (0, False), (1, True)])
    def test_the_point_is_reached_when_rds_can_restore_past_it(self, seconds: int, reached: bool) -> None:
        """RDS wants a time before its latest one."""
        seen = replace(SEEN, latest=POINT.at + timedelta(seconds=seconds))

        assert (judge_reach(seen, POINT) is None) is reached

    def test_a_database_that_was_exchanged_meanwhile_is_refused(self) -> None:
        """Its backups do not hold the point."""
        with pytest.raises(Refused, match=r"shop is db-9, and .* is of db-1: run the gate again"):
            judge_reach(replace(SEEN, resource="db-9"), POINT)

    def test_the_yes_does_not_claim_that_a_copy_was_restored(self) -> None:
        """RDS says that it can; nobody has seen it."""
        way = say_reached(SEEN, POINT, "; snapshot s is begun")

        assert way.proved
        assert way.reason.endswith("with 107 rows counted; no copy was restored; snapshot s is begun")


class TestPoint:
    """The point that a restore goes back to."""

    def test_it_is_the_newest_of_the_release(self) -> None:
        """Not another service's."""
        points = [made(minutes=90), made(minutes=30, attempt=2), made("v9.0.0", minutes=1, service="other")]

        assert choose_timed("shop", "v1.2.0", points) is points[1]

    def test_a_later_release_would_lose_its_writes_too(self) -> None:
        """Nobody has asked for that."""
        with pytest.raises(Refused, match=r"v1\.3\.0 of shop has a point of its own"):
            choose_timed("shop", "v1.2.0", [made(), made("v1.3.0", minutes=5)])

    def test_without_one_it_says_which_there_are(self) -> None:
        """And the way out."""
        with pytest.raises(Refused, match=r"no point of shop v2\.0\.0 is kept, there are those of v1\.2\.0"):
            choose_timed("shop", "v2.0.0", [made()])


class TestPlan:
    """What is done, and what stands against it."""

    def test_it_asks_a_person_and_counts_what_is_lost(self) -> None:
        """Unless the catalogue says otherwise; a table that never stands still is not told."""
        plan = planned(Three(SEEN, None, None), **{"public.orders": 130, "public.carts": 9})

        assert (plan.ask, plan.begun, plan.served) == (True, False, False)
        assert [str(loss) for loss in plan.losses] == ["public.orders: 100 at the point, 130 now (+30)"]
        assert plan.names.damaged == "shop-damaged-v1-2-0"
        assert plan.reason == "shop goes back to 2026-01-01 11:30:00 UTC, 30 min ago: every total is 0"

    def test_what_a_person_agreed_to_is_gone_on_with(self) -> None:
        """The restored one stands there: nobody would have made it without a word."""
        plan = planned(Three(SEEN, None, OURS))

        assert (plan.ask, plan.begun) == (False, False)
        assert "a restore to it was begun before, and is gone on with" in plan.notes

    def test_between_the_two_renames_there_is_only_forward(self) -> None:
        """Nobody is asked, and the damaged one is not opened again."""
        plan = planned(Three(None, replace(SEEN, identifier="shop-damaged-v1-2-0"), OURS))

        assert (plan.ask, plan.begun, plan.served) == (False, True, False)

    def test_afterwards_it_is_a_repeat(self) -> None:
        """The name leads to the restored one."""
        plan = planned(Three(replace(OURS, identifier="shop"), replace(SEEN, identifier="shop-damaged-v1-2-0"), None))

        assert (plan.ask, plan.served) == (False, True)
        assert plan.reason.startswith("skipped: shop is the one restored to ")

    @pytest.mark.parametrize(
        ("three", "why"),
        [
            (Three(None, None, None), "RDS has no shop in eu-central-1"),
            (Three(replace(SEEN, resource="db-9"), None, None), r"shop is db-9 now, and .* is of db-1"),
            (Three(SEEN, None, replace(SEEN, resource="db-9")), "shop-restored-v1-2-0 is foreign and not ours"),
            (Three(SEEN, replace(SEEN, resource="db-9"), None), "shop-damaged-v1-2-0 is foreign and not ours"),
            (Three(replace(SEEN, retention=0), None, None), "shop keeps no backups any more"),
            (Three(replace(SEEN, latest=POINT.at), None, None), "RDS can restore up to 11:30:00 UTC and the point is"),
            (Three(replace(SEEN, source="o"), None, None), "shop is a replica of o"),
        ],
    )
    def test_what_cannot_go_well_is_refused_before_anything_is_made(self, three: Three, why: str) -> None:
        """With what was seen."""
        with pytest.raises(Refused, match=why):
            planned(three)

    def test_what_does_not_follow_is_said(self) -> None:
        """Replicas, a stack of CloudFormation, a secret of the master's."""
        seen = replace(
            SEEN,
            replicas=("reports",),
            tags={"aws:cloudformation:stack-name": "x"},
            settings={"MasterUserSecret": True},
        )

        notes = " ".join(planned(Three(seen, None, None)).notes)

        for each in (
            "reports go on following the damaged one",
            "CloudFormation",
            "new secret",
            "what is lost is unknown",
        ):
            assert each in notes


class TestProof:
    """Whether a restored database is what was."""

    def test_the_two_commits_and_the_rows_prove_it(self) -> None:
        """The one before is in it, the one after is not."""
        assert judge_restored(POINT, STATE, frozenset({"before"}), (), RDS).proved

    @pytest.mark.parametrize(
        ("marks", "state", "wrong", "why"),
        [
            ((), STATE, (), "the commit before .* is not in it: it is of an earlier time"),
            (("before", "after"), STATE, (), "the commit after .* is in it: it is of a later time"),
            (("before",), replace(STATE, counts={"public.orders": 99}), (), "table public.orders has 99 rows"),
            (("before",), replace(STATE, schema="t"), (), "schema are t and not s"),
            (("before",), STATE, ("smoke query 'x' returned 1 and not 2",), "smoke query 'x'"),
        ],
    )
    def test_everything_else_refutes_it(
        self, marks: tuple[str, ...], state: State, wrong: tuple[str, ...], why: str
    ) -> None:
        """And is named."""
        way = judge_restored(POINT, state, frozenset(marks), wrong, RDS)

        assert not way.proved
        with pytest.raises(AssertionError, match=why):
            raise AssertionError(way.reason)


class TestNames:
    """The identifiers of a restore."""

    def test_they_are_said_by_the_release(self) -> None:
        """A second attempt at the same release has names of its own."""
        assert names_of("shop", "v1.2.0", 1).damaged == "shop-damaged-v1-2-0"
        assert names_of("shop", "v1.2.0", 2).damaged == "shop-damaged-v1-2-0-2"
        assert snapshot_of("shop", "v1.2.0", 1) == "shop-before-v1-2-0"

    @pytest.mark.parametrize("final", ["s", "a" * 63, "a-" * 31 + "a"])
    @pytest.mark.parametrize("version", ["v1.2.0", "v1.2.0-rc.1+build.7", "release/2026--1_x", "v" + "9" * 200])
    def test_rds_takes_each_of_them(self, final: str, version: str) -> None:
        """63 characters of a-z, 0-9 and single hyphens, a letter first, no hyphen last; and no two are the same."""
        names = names_of(final, version, 1)
        every = [names.damaged, names.restored, member_of(names.restored, 1), snapshot_of(final, version, 1)]

        for name in every:
            assert len(name) <= LONGEST
            assert name.replace("-", "").isalnum()
            assert name == name.lower()
            assert name[0].isalpha()
            assert "--" not in name
            assert not name.endswith("-")
        assert len({final, *every}) == 5


CATALOGUE = "services: [{{name: shop, namespace: acme, repository: acme/shop, {more}}}]"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            "rds: {instance: a, cluster: b, region: eu-central-1, url_variable: URL}",
            "one of `instance` .* and `cluster`",
        ),
        ("rds: {region: eu-central-1, url_variable: URL}", "one of `instance`"),
        ("rds: {instance: Shop, region: eu-central-1, url_variable: URL}", r"services\.0\.rds\.instance"),
        ("rds: {instance: a--b, region: eu-central-1, url_variable: URL}", r"services\.0\.rds\.instance"),
        ("rds: {instance: a, region: Frankfurt, url_variable: URL}", r"services\.0\.rds\.region"),
        ("rds: {instance: a, region: eu-central-1, url_variable: 'postgresql://u:p@h/d'}", "rds.url_variable"),
        ("rds: {instanse: a, region: eu-central-1, url_variable: URL}", "did you mean 'instance'"),
        (
            "rds: {instance: a, region: us-gov-west-1, url_variable: URL}, "
            "database: {url_variable: URL, archive: /a, backups: /b}",
            "one of `database`, `rds` and `cnpg`",
        ),
    ],
)
def test_a_mistake_in_the_catalogue_is_named(more: str, why: str) -> None:
    """Before the night it is needed."""
    with pytest.raises(Refused, match=why):
        parse_catalogue(CATALOGUE.format(more=more))


def test_every_key_of_it_is_described() -> None:
    """The catalogue explains itself."""
    assert all(field.description for field in Rds.model_fields.values())
