"""Whether there is something to salvage where AWS or CloudNativePG runs the database, from what was seen."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recovery.cnpg import HEALTHY, RESTORED_TO, Clustered, CnpgPoint
from recovery.cnpg_plans import Led, Pair
from recovery.errors import Refused
from recovery.managed_salvages import choose_parted, judge_base, judge_exchanged, judge_led
from recovery.rds import RESTORED_TO as TAG
from recovery.rds import Managed, TimedPoint
from recovery.rds_plans import Three
from recovery.restore_points import State, Then, WayBack

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
STATE = State(counts={}, sequences={}, roles=(), extensions={}, collations={}, schema="")
POINT = TimedPoint("shop", "v1.2.0", "shop-v1.2.0-1-aaaa", 1, AT, "shop", "db-1", STATE, STATE)
DAMAGED = Managed("shop-damaged-v1-2-0", "available", "old", 5432, "db-1", 7, AT)
FINAL = Managed("shop", "available", "new", 5432, "db-2", 7, AT, tags={TAG: POINT.name})
EXCHANGED = Three(FINAL, DAMAGED, None)


def test_the_newest_attempt_of_the_release_is_it_whatever_was_released_since() -> None:
    """The patch release has had a gate of its own by the time that somebody salvages."""
    again, later = replace(POINT, name="again", attempt=2), replace(POINT, version="v1.2.1", name="later")
    again = replace(again, at=AT.replace(hour=11))
    assert choose_parted("shop", "v1.2.0", [again, replace(later, at=AT.replace(hour=12)), POINT]) is again
    with pytest.raises(Refused, match=r"no point of shop v2\.0\.0 is kept"):
        choose_parted("shop", "v2.0.0", [POINT])


def test_two_exchanged_names_lead_to_the_damaged_and_the_restored_one() -> None:
    """Told by the resource id and by our tag."""
    assert judge_exchanged(POINT, EXCHANGED) == (DAMAGED, FINAL)


@pytest.mark.parametrize(
    ("three", "why"),
    [
        (replace(EXCHANGED, final=replace(FINAL, tags={})), "shop was not restored to shop-v1.2.0-1-aaaa"),
        (replace(EXCHANGED, final=replace(FINAL, tags={TAG: "another"})), "shop was not restored to"),
        (replace(EXCHANGED, final=None), "shop was not restored to"),
        (replace(EXCHANGED, damaged=None), "shop-damaged-v1-2-0 is not there any more"),
        (replace(EXCHANGED, damaged=replace(DAMAGED, resource="db-3")), "shop-damaged-v1-2-0 is not there any more"),
        (replace(EXCHANGED, damaged=replace(DAMAGED, status="stopped")), "shop-damaged-v1-2-0 is stopped"),
        (replace(EXCHANGED, final=replace(FINAL, status="rebooting")), "shop is rebooting"),
        (replace(EXCHANGED, damaged=replace(DAMAGED, host="")), "shop-damaged-v1-2-0 is available: wait"),
    ],
)
def test_anything_else_on_rds_is_refused_with_its_reason(three: Three, why: str) -> None:
    """Nobody opens a database that is not known for the damaged one."""
    with pytest.raises(Refused, match=why):
        judge_exchanged(POINT, three)


THEN = Then(
    name="shop-v1.2.0-1-aaaa", service="shop", version="v1.2.0", lsn="0/3000090", timeline=1, system_id="7", made_at=AT,
    before=STATE, after=STATE,
)  # fmt: skip
NAMED = CnpgPoint(THEN, 1, "shop-db", "uid-1", "backup", {})
OLD = Clustered("shop-db", "uid-1", HEALTHY, 3, 0, {})
NEW = Clustered("shop-restored-v1-2-0", "uid-2", HEALTHY, 3, 3, {}, annotations={RESTORED_TO: THEN.name})
LED = Led("the Secret shop-database", restored=True)


def test_a_cluster_that_clients_were_led_away_from_is_the_damaged_one() -> None:
    """Told by its uid."""
    assert judge_led(NAMED, Pair(OLD, NEW), LED) is OLD


@pytest.mark.parametrize(
    ("pair", "led", "why"),
    [
        (Pair(OLD, NEW), replace(LED, restored=False), "does not lead to shop-restored-v1-2-0"),
        (Pair(OLD, None), LED, "does not lead to shop-restored-v1-2-0"),
        (Pair(OLD, replace(NEW, annotations={})), LED, "does not lead to shop-restored-v1-2-0"),
        (Pair(None, NEW), LED, "shop-db is not there any more"),
        (Pair(replace(OLD, uid="uid-9"), NEW), LED, "shop-db is not there any more"),
    ],
)
def test_anything_else_on_cloudnativepg_is_refused_with_its_reason(pair: Pair, led: Led, why: str) -> None:
    """Nobody lifts a fence that may hold back customers."""
    with pytest.raises(Refused, match=why):
        judge_led(NAMED, pair, led)


def test_nothing_is_compared_with_a_copy_that_is_not_what_was() -> None:
    """Its reason is the refusal's."""
    assert judge_base(WayBack(True, "it is what was", "point")) == "it is what was"
    with pytest.raises(Refused, match="a row too many: nothing can be compared with it"):
        judge_base(WayBack(False, "a row too many", "point"))
