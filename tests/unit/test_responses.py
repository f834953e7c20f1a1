"""The whole answer to one incident, before anything is touched."""

from datetime import UTC, datetime

import pytest

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause, Mode, Source
from recovery.responses import plan_response
from recovery.rollouts import Revision, Rollout

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHOP = Service(name="shop", namespace="acme", repository="acme/shop")
CAUSE = Cause(sentence="31 of 100 checkouts failed", seen_at=NOW)


def running(version: str, patch_of: str | None = None) -> Rollout:
    """A Deployment that came from v1.1.0."""
    history = (Revision(4, "shop-4", "h4", "v1.1.0", NOW), Revision(5, "shop-5", "h5", version, NOW, None, patch_of))
    return Rollout("shop", "acme", "shop", "u", version, 1, 1, 3, 3, 3, 3, revisions=history, current=history[-1])


@pytest.mark.parametrize("mode", Mode)
def test_the_mode_decides_whether_we_act_and_nothing_else(mode: Mode) -> None:
    """The plan is the same, so that people see what would have been done."""
    plan = plan_response(SHOP, running("v1.2.0"), "v1.2.0", CAUSE, mode)

    assert plan.act is (mode is not Mode.NOTIFY)
    assert CAUSE.sentence in plan.reason
    assert (plan.undo.from_version, plan.undo.to_version, len(plan.steps)) == ("v1.2.0", "v1.1.0", 5)


def test_a_person_is_asked_where_the_mode_says_so_or_recoveries_pile_up() -> None:
    """At the limit of the day, not below it; never one who called himself."""
    seen = Cause(sentence="31 of 100 checkouts failed", source=Source.MONITOR, seen_at=NOW)

    def asked(cause: Cause, mode: Mode, recent: int) -> str | None:
        return plan_response(SHOP, running("v1.2.0"), "v1.2.0", cause, mode, recent).ask

    assert asked(seen, Mode.ACT, 2) is None
    assert asked(seen, Mode.ACT, 3) == "shop was recovered 3 times in the last 24 hours, and 3 are allowed"
    assert asked(seen, Mode.CONFIRM, 0) == "mode is confirm"
    assert asked(seen, Mode.NOTIFY, 9) is None
    assert asked(CAUSE, Mode.CONFIRM, 9) is None


def test_a_release_of_the_team_with_a_patch_number_is_no_patch_of_ours() -> None:
    """v1.2.1 by people is taken back as any other; only ours, marked so, is not."""
    assert plan_response(SHOP, running("v1.2.1"), "v1.2.1", CAUSE, Mode.ACT).act
    with pytest.raises(Refused, match=r"patch release that took v1\.2\.0 back.*fix it forward"):
        plan_response(SHOP, running("v1.2.1", patch_of="v1.2.0"), "v1.2.1", CAUSE, Mode.ACT)


@pytest.mark.parametrize("version", ["latest", "1.2.0", "", "$(id)"])
def test_what_is_no_release_is_not_answered(version: str) -> None:
    """The image's tag must be a release tag."""
    with pytest.raises(Refused, match="is not a release tag"):
        plan_response(SHOP, running(version), version, CAUSE, Mode.ACT)


def test_where_data_are_corrupt_the_database_is_a_step_of_its_own() -> None:
    """Right after the cluster, which stops the damage; without an entry in the catalogue it is left to people."""
    database = {"url_variable": "SHOP_URL", "backups": "/b", "archive": "/a"}
    pooler = {"admin_variable": "POOLER_URL", "databases_file": "/p/databases.ini", "alias": "shop"}
    closed = Service.model_validate(SHOP.model_dump() | {"database": database})
    ready = Service.model_validate(
        SHOP.model_dump() | {"database": database | {"restore": {"sides": "/s", "pgbouncer": pooler}}}
    )
    cause = CAUSE.model_copy(update={"data_corrupt": True})

    def steps(service: Service) -> list[str]:
        return list(plan_response(service, running("v1.2.0"), "v1.2.0", cause, Mode.ACT).steps)

    assert steps(ready)[1].startswith("ask a person whether the database goes back to its point before v1.2.0")
    assert steps(closed)[1] == steps(SHOP)[1]
    assert steps(SHOP)[1].startswith("leave the database of shop to people")


def test_a_service_without_develop_is_told_so() -> None:
    """No step speaks of a branch that is not there."""
    trunk = SHOP.model_copy(update={"develop": None})

    plan = plan_response(trunk, running("v1.2.0"), "v1.2.0", CAUSE, Mode.ACT)

    assert "no develop branch" in plan.steps[-1]
