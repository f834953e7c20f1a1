"""What stands against a restore of a Cluster, what it loses, and what people read of it."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments import gating, restoring
from recovery.cnpg import FENCED, RESTORED_TO
from recovery.cnpg_plans import CnpgPlan, Led, Pair, plan_cnpg, restored_name
from recovery.cnpg_wording import ask_for_cnpg, cnpg_headline, cnpg_told, report_cnpg, show_cnpg, show_cnpg_gate
from recovery.errors import Refused
from recovery.rds import Frozen
from recovery.rds_plans import choose_timed
from recovery.responses import restorable
from recovery.restore_points import Choice
from tasks import runs
from tests.unit.test_cnpg_gates import NOW, POINT, SEEN, SHOP, made

NEW = "shop-restored-v1-2-0"
OURS = replace(SEEN, name=NEW, uid="uid-2", annotations={RESTORED_TO: POINT.name})
AWAY, THERE = Led("the Secret shop", False), Led("the Secret shop", True)


def planned(pair: Pair, led: Led = AWAY, counts: Mapping[str, int | None] | None = None) -> CnpgPlan:
    """The plan for what is seen."""
    return plan_cnpg(SHOP, "every total is 0", POINT, pair, led, counts or {}, NOW)


def test_a_plan_says_what_is_lost_and_asks() -> None:
    """Tables that never stand still are left out; the biggest change comes first."""
    counts = {"public.orders": 90, "public.carts": 1, "public.new": 500}
    plan = plan_cnpg(SHOP, "every total is 0", POINT, Pair(SEEN, None), AWAY, counts, NOW)

    assert [str(loss) for loss in plan.losses] == [
        "public.new: not there at the point, 500 now",
        "public.orders: 100 at the point, 90 now (-10)",
    ]
    assert (plan.ask, plan.served, plan.restored) == (True, False, NEW)
    assert plan.reason == f"shop goes back to {POINT.name}, made 30 min ago, in {NEW}: every total is 0"
    assert plan.server_name == f"{NEW}-20260101t120000"


@pytest.mark.parametrize(
    ("pair", "led", "why"),
    [
        (Pair(None, None), AWAY, "shop-db is not there, nothing says how it was set: restore backup 20260101T110000"),
        (Pair(replace(SEEN, uid="uid-9"), None), AWAY, "is another Cluster than that of"),
        (Pair(replace(SEEN, annotations={FENCED: '["*"]'}), None), AWAY, "is fenced and not by us"),
        (Pair(SEEN, replace(OURS, annotations={})), AWAY, "was not restored to .* by us: rename or remove it"),
        (Pair(SEEN, None), THERE, f"the Secret shop leads to {NEW}, and that is not there"),
    ],
)
def test_what_stands_against_it_is_refused(pair: Pair, led: Led, why: str) -> None:
    """With the way out."""
    with pytest.raises(Refused, match=why):
        planned(pair, led)


def test_a_point_of_another_cluster_is_refused() -> None:
    """Unless the catalogue names the restored one already."""
    assert SHOP.cnpg is not None
    for cluster, allowed in ((NEW, True), ("other-db", False)):
        shop = SHOP.model_copy(update={"cnpg": SHOP.cnpg.model_copy(update={"cluster": cluster})})
        with nullcontext() if allowed else pytest.raises(Refused, match="the catalogue names other-db"):
            plan_cnpg(shop, "because", POINT, Pair(SEEN, OURS), AWAY, {}, NOW)


def test_one_that_was_begun_goes_on_without_another_question() -> None:
    """A person gave the word before it was made; a damaged one may be fenced by then."""
    fenced = replace(SEEN, annotations={FENCED: '["*"]'}, ready=0)
    plan = planned(Pair(fenced, OURS))

    assert (plan.ask, plan.served) == (False, False)
    assert "a restore to it was begun before, and is gone on with" in plan.notes
    assert plan.steps[0].startswith(f"find the Cluster {NEW}")


def test_one_that_serves_is_skipped() -> None:
    """From then on there is only forward."""
    plan = planned(Pair(None, OURS), THERE)

    assert plan.served
    assert plan.reason == f"skipped: the clients of shop are led to {NEW} already"


def test_nobody_is_asked_where_the_catalogue_says_so() -> None:
    """For that very step."""
    assert SHOP.cnpg is not None
    shop = SHOP.model_copy(update={"cnpg": SHOP.cnpg.model_copy(update={"approval": "none"})})
    assert not plan_cnpg(shop, "because", POINT, Pair(SEEN, None), AWAY, {}, NOW).ask


def test_what_the_restored_one_will_not_have_is_told_before() -> None:
    """Services of the damaged one's own, and its certificates."""
    services = {"services": {"additional": [{"serviceTemplate": {"metadata": {"name": "shop-lb"}}}]}}
    spec = {**SEEN.spec, "managed": services, "certificates": {"serverCASecret": "ca", "serverTLSSecret": "tls"}}
    spec["inheritedMetadata"] = {"labels": {"app": "shop"}}
    told = planned(Pair(replace(SEEN, spec=spec), None)).notes
    plain = planned(Pair(SEEN, None), counts={"public.orders": 1}).notes

    assert told[0].startswith("the Service shop-lb is the damaged Cluster's own")
    assert any("the labels app, too: a Service of yours that selects by these alone" in each for each in told)
    assert any("must hold the restored Cluster's names" in each for each in told)
    assert plain == (
        "the restored Cluster has a certificate authority of its own: clients that verify it must know it",
    )


def test_the_newest_point_of_a_release_is_gone_back_to() -> None:
    """Unless a later release has one, whose writes nobody asked to lose."""
    again = made(attempt=2, minutes=5)
    assert choose_timed("shop", "v1.2.0", [POINT, again]) is again
    assert restored_name(again) == f"{NEW}-2"
    with pytest.raises(Refused, match=r"v1\.3\.0 of shop has a point of its own"):
        choose_timed("shop", "v1.2.0", [POINT, made("v1.3.0", minutes=1)])
    with pytest.raises(Refused, match=r"no point of shop v9 is kept, there are those of v1\.2\.0"):
        choose_timed("shop", "v9", [POINT])


def test_people_read_what_is_done_and_lost() -> None:
    """The same in the plan, above the form and in the report; nothing is taken for Markdown."""
    initdb = {"initdb": {"database": "shop", "owner": "shop"}}
    seen = replace(SEEN, spec={**SEEN.spec, "bootstrap": initdb})
    plan = replace(planned(Pair(seen, None), counts={"public.orders": 101}), cause="every *total* is 0")
    report = report_cnpg(plan, Frozen(NOW, {}), ("led <them>",), "SHOP_URL")

    for text in (show_cnpg(plan, rehearsed=True), ask_for_cnpg(plan), report):
        assert "| public.orders | 100 | 101 |" in text
    assert "every \\*total\\* is 0" in ask_for_cnpg(plan)
    assert "rehearsed, nothing was changed" in show_cnpg(plan, rehearsed=True)
    assert "going on" in show_cnpg(plan, rehearsed=False)
    assert "kept in `shop-db`, fenced at 2026-01-01 12:00:00 UTC" in report
    assert "copy `shop-db-app`, which goes with it, and what else" in report
    assert f"name `{NEW}` in the catalogue's `cluster`, and lead `SHOP_URL` there" in report
    assert "- led \\<them\\>" in report
    assert cnpg_headline(plan) == f"the database of shop is back at {POINT.name}, made 2026-01-01 11:30:00 UTC"
    assert "`ripcord salvage shop v1.2.0`: what was written since, row by row" in report
    assert cnpg_told(plan).endswith(
        "kept in the Cluster shop-db, fenced. What next: salvage, 'ripcord salvage shop v1.2.0'."
    )


def test_the_gates_plan_names_what_it_makes() -> None:
    """Before it makes anything."""
    text = show_cnpg_gate("shop", "v1.2.0", Choice(POINT.point, "there is no point"), "shop-proof-v1-2-0", "healthy")
    assert f"To be made: `{POINT.name}`" in text
    assert "Cluster `shop-proof-v1-2-0` of one instance" in text


def test_the_commands_take_the_flows_of_cloudnativepg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the catalogue says `cnpg`, also by an answer to an alert."""
    for module in (restoring, gating):
        monkeypatch.setattr(module, "known_server", nullcontext)
        monkeypatch.setattr(module, "read_service", lambda name: SHOP)
    monkeypatch.setattr(runs, "get_client", lambda **_: nullcontext())
    launched: list[Any] = []
    monkeypatch.setattr(runs, "_create", lambda *said: launched.append(said[1]))
    ran: list[str] = []
    monkeypatch.setattr(gating, "prepare_cnpg", lambda *said, **named: ran.append("prepare_cnpg"))
    monkeypatch.setitem(restoring.FLOWS, "restore_cnpg", lambda *said, **named: ran.append("restore_cnpg"))

    restoring.start_restore("shop", "v1.2.0", "every total is 0")
    restoring.rehearse("shop", "v1.2.0", "every total is 0")
    gating.run_gate("shop", "v1.2.0")

    assert launched == ["restore_cnpg/restore_cnpg"]
    assert ran == ["restore_cnpg", "prepare_cnpg"]
    assert restorable(SHOP)
    assert runs.RESTORES.keys() == restoring.FLOWS.keys()
    assert {"restore_cnpg"} <= {*runs.ACTING}
    assert NOW - POINT.at == timedelta(minutes=30)
