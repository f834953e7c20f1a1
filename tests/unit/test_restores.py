"""Which set a database goes back to, what stands against it, and what a restored sequence hands out next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.restore_points import State, Then
from recovery.restores import (
    Begun,
    Counter,
    Damaged,
    PointSet,
    RestorePlan,
    Sight,
    choose_set,
    database_to_restore,
    move_past,
    plan_restore,
)
from recovery.routes import Route
from recovery.sides import Side, Stage

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATE = State({"public.orders": 100, "public.carts": 7}, {}, (), {}, {}, "s")
SHOP = Service.model_validate(
    {
        "name": "shop", "namespace": "acme", "repository": "acme/shop",
        "database": {
            "url_variable": "SHOP_URL", "backups": "/b", "archive": "/a", "uncounted": ["public.carts"],
            "restore": {
                "sides": "/s", "port": 5433,
                "pgbouncer": {"admin_variable": "POOLER_URL", "databases_file": "/p/databases.ini", "alias": "shop"},
            },
        },
    }
)  # fmt: skip
SIDE = Side("shop-v1.2.0", Stage.ABSENT, "127.0.0.1", 5433)
DAMAGED = Damaged("it answers", True, "c1", 1, counts={"public.orders": 130, "public.carts": 9})
SIGHT = Sight(DAMAGED, SIDE, free=10**10, needed=10**6, begun=None, now=NOW)
ROUTE = Route("PgBouncer", "127.0.0.1", 5432)


def made(version: str = "v1.2.0", *, hours: float = 1, proved: bool = True, service: str = "shop") -> PointSet:
    """A set whose point is so old, a thousand bytes of WAL an hour."""
    lsn = f"0/{0x500000 - int(hours * 1000):X}"
    then = Then(service, version, f"{service}-{version}", lsn, 1, "c1", NOW - timedelta(hours=hours), STATE, STATE)
    return PointSet(then, proved, 4.0)


def planned(sight: Sight = SIGHT, route: Route = ROUTE, service: Service = SHOP) -> RestorePlan:
    """The plan for what is seen."""
    return plan_restore(service, "every total is 0", made(), sight, route)


class TestSet:
    """The set that a restore goes back to."""

    def test_it_is_the_newest_proved_one_of_the_release(self) -> None:
        """Neither another service's, nor one that was never proved."""
        sets = [made(hours=9), made(hours=3), made(hours=2, proved=False), made("v9.0.0", service="other", hours=1)]

        assert choose_set("shop", "v1.2.0", sets, "/b").then is sets[1].then

    def test_a_clock_that_was_put_back_hides_no_later_release(self) -> None:
        """Its point has an earlier time and a later position: what was written before it would be lost."""
        later = made("v1.3.0", hours=1)
        jumped = replace(later, then=replace(later.then, made_at=NOW - timedelta(days=400)))

        with pytest.raises(Refused, match=r"v1\.3\.0 of shop has a point of its own"):
            choose_set("shop", "v1.2.0", [made(hours=3), jumped], "/b")

    def test_without_a_proved_one_it_says_which_there_are(self) -> None:
        """And that one is there which was never proved."""
        with pytest.raises(
            Refused, match=r"no proved set of shop v1\.2\.0; one is there .*never proved, proved are v1\.1\.0"
        ):
            choose_set("shop", "v1.2.0", [made("v1.1.0", hours=9), made(proved=False)], "/b")

    def test_a_later_release_would_lose_its_writes_too(self) -> None:
        """Nobody has asked for that."""
        with pytest.raises(Refused, match=r"v1\.3\.0 of shop has a point of its own"):
            choose_set("shop", "v1.2.0", [made(hours=3), made("v1.3.0", hours=1)], "/b")


class TestPlan:
    """What is done, and what stands against it."""

    def test_it_counts_what_is_lost_and_asks(self) -> None:
        """Tables whose rows are not counted are not told as lost."""
        plan = planned()

        assert [str(loss) for loss in plan.losses] == ["public.orders: 100 at the point, 130 now (+30)"]
        assert (plan.ask, plan.served, plan.age) == (True, False, "60 min")
        assert len(plan.steps) == 6

    def test_a_word_of_the_catalogue_or_one_that_was_given_asks_nobody(self) -> None:
        """A killed restore goes on by itself."""
        assert SHOP.database is not None
        assert SHOP.database.restore is not None
        free = SHOP.database.restore.model_copy(update={"approval": "none"})
        database = SHOP.database.model_copy(update={"restore": free})

        assert not planned(service=SHOP.model_copy(update={"database": database})).ask
        assert not planned(replace(SIGHT, begun=Begun("shop-v1.2.0", NOW))).ask

    def test_a_dead_server_is_left_behind_all_the_same(self) -> None:
        """What is lost is unknown then, and said."""
        plan = planned(replace(SIGHT, damaged=Damaged("it does not answer")))

        assert plan.losses == ()
        assert any("what is lost is unknown" in note for note in plan.notes)

    def test_a_server_that_is_only_silent_is_not_left_behind_without_a_persons_word(self) -> None:
        """It may hang, and go on committing for others."""
        silent = replace(SIGHT, damaged=Damaged("the damaged server does not answer: timeout", silent=True))

        with pytest.raises(Refused, match=r"nothing refuses a connection there either.* say so with --off"):
            planned(silent)
        assert plan_restore(SHOP, "every total is 0", made(), silent, ROUTE, off=True).off

    @pytest.mark.parametrize(
        ("sight", "route", "said"),
        [
            (replace(SIGHT, damaged=replace(DAMAGED, system_id="c2")), ROUTE, "of the cluster c1 and the server is c2"),
            (replace(SIGHT, damaged=replace(DAMAGED, timeline=2)), ROUTE, "on timeline 1 and the server on 2"),
            (replace(SIGHT, damaged=replace(DAMAGED, in_recovery=True)), ROUTE, "leads to a standby"),
            (replace(SIGHT, damaged=replace(DAMAGED, lacking=("the role may not fence",))), ROUTE, "may not fence"),
            (replace(SIGHT, side=replace(SIDE, foreign="somebody listens")), ROUTE, "is taken: somebody listens"),
            (replace(SIGHT, free=1_000_000), ROUTE, r"has 1 MB free and 1 are needed"),
            (SIGHT, Route("PgBouncer", "127.0.0.1", 5433), "must be another server's than that in use"),
        ],
    )  # fmt: skip
    def test_it_is_refused(self, sight: Sight, route: Route, said: str) -> None:
        """Before anything is touched, naming the way out."""
        with pytest.raises(Refused, match=said):
            planned(sight, route)

    def test_where_the_clients_are_there_already_nothing_is_asked(self) -> None:
        """A repeat after the end is no restore."""
        sight = replace(SIGHT, side=replace(SIDE, stage=Stage.PROMOTED), damaged=replace(DAMAGED, kept=True))

        plan = planned(sight, Route("PgBouncer", "127.0.0.1", 5433))

        assert (plan.served, plan.ask) == (True, False)
        assert plan.reason.startswith("skipped: the clients of shop are led to the server restored")

    def test_a_service_without_a_word_on_it_is_left_to_people(self) -> None:
        """The sentence names the key."""
        with pytest.raises(Refused, match="add `database`"):
            database_to_restore(SHOP.model_copy(update={"database": None}))


@pytest.mark.parametrize(
    ("last", "step", "handed_out", "wanted"),
    [
        (100, 1, 150, 1150),
        (100, 1, 100, 1100),
        (5000, 1, 150, None),  # past it already
        (100, 1, None, None),  # the damaged server has none of the name
        (100, 10, 150, 10150),
        (-100, -1, -150, -1150),
        (-5000, -1, -150, None),
        (100, 1, 9990, 10000),  # no further than it goes
    ],
)
def test_a_sequence_goes_on_past_what_was_handed_out(
    last: int, step: int, handed_out: int | None, wanted: int | None
) -> None:
    """With room for what was handed out between the look and the fence."""
    assert move_past(Counter(last, step, -20000, 10000 if step == 1 else 20000), handed_out) == wanted
