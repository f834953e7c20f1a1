"""What a person reads of a restore on RDS, and which run a command starts for it."""

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments import gating, restoring
from recovery.catalog import Service
from recovery.rds import Frozen
from recovery.rds_gates import TimedChoice, rds_of
from recovery.rds_plans import Three
from recovery.rds_wording import ask_for_rds, rds_headline, report_rds, show_rds, show_rds_gate
from recovery.responses import restorable
from tasks import runs
from tests.unit.test_rds_plans import SEEN, SHOP, planned

PLAN = planned(Three(SEEN, None, None), **{"public.orders": 130, "public.carts": 9})


def test_the_question_says_what_is_lost_and_that_nothing_is_done() -> None:
    """With the names, the age and the outage."""
    text = ask_for_rds(PLAN)

    for each in (
        "Nothing is done yet", "| public.orders | 100 | 130 |", "30 min ago", "rename shop to shop-damaged-v1-2-0",
        "minutes, in which nobody reaches the database", "Mend it forwards instead",
    ):  # fmt: skip
        assert each in text
    assert "public.carts" not in text


def test_a_rehearsal_says_that_it_is_one() -> None:
    """In the artifact's first line."""
    assert "rehearsed, nothing was changed" in show_rds(PLAN, rehearsed=True)
    assert "rehearsed" not in show_rds(PLAN, rehearsed=False)


def test_the_report_says_where_everything_is() -> None:
    """The restored one under the name, the damaged one under its own, closed since then."""
    text = report_rds(PLAN, Frozen(datetime(2026, 1, 1, 12, 5, tzinfo=UTC), {}), ("closed shop: *nobody*",))

    assert "the database of shop is back at 2026-01-01 11:30:00 UTC" in rds_headline(PLAN)
    assert "kept in `shop-damaged-v1-2-0`, closed at 2026-01-01 12:05:00 UTC" in text
    assert r"- closed shop: \*nobody\*" in text


def test_the_plan_of_a_gate_says_how_long_it_may_wait() -> None:
    """And that no copy is restored."""
    text = show_rds_gate("shop", "v1.2.0", rds_of(SHOP), TimedChoice("n", 1, "there is none"), "shop is available")

    assert "wait, 15m at most" in text
    assert "No copy is restored" in text


@pytest.mark.parametrize("rds", [True, False])
def test_the_catalogue_says_which_flow_a_command_is(rds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ripcord restore` and `ripcord gate` are one word for both."""
    for module in (restoring, gating):
        monkeypatch.setattr(module, "known_server", nullcontext)
    monkeypatch.setattr(runs, "get_client", lambda **_: nullcontext())
    launched: list[dict[str, Any]] = []
    entry = SHOP if rds else Service(name="shop", namespace="acme", repository="acme/shop")
    for module in (restoring, gating):
        monkeypatch.setattr(module, "read_service", lambda name: entry)
    monkeypatch.setattr(restoring, "database_to_restore", lambda entry: None)
    monkeypatch.setattr(runs, "_create", lambda *said: launched.append({"flow": said[1], "key": said[5]}))
    ran: list[str] = []
    for name in ("prepare_rds", "prepare_release"):
        monkeypatch.setattr(gating, name, lambda *said, _name=name, **named: ran.append(_name))

    restoring.start_restore("shop", "v1.2.0", "every total is 0")
    gating.run_gate("shop", "v1.2.0")

    assert launched == [{"flow": runs.RESTORE_RDS if rds else runs.RESTORE, "key": "restore/shop/v1.2.0"}]
    assert ran == ["prepare_rds" if rds else "prepare_release"]


def test_a_service_on_rds_can_be_restored_by_an_answer_to_an_alert() -> None:
    """`data: corrupt` asks a person about it, too."""
    assert restorable(SHOP)
    assert not restorable(Service(name="shop", namespace="acme", repository="acme/shop"))
