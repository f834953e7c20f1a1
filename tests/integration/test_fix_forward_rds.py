"""Fix-forward on RDS: moto answers for the API, servers of the lab stand behind the database and behind the clone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import flows.trying
from infra.lab.postgres import Postgres, postgres
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.fix_scripts import read_script
from recovery.rds import DRILLED, ROLE
from tests.integration.dying import Death, of_the_living
from tests.integration.fix_talk import FixTalk, fix, listen
from tests.integration.rds_shop import (
    REGION,
    SMOKE,
    URL,
    Hook,
    RdsShop,
    fill,
    forget_snapshots,
    give_password,
    new_rds_shop,
    policy,
)
from tests.integration.test_restore_rds import make_cluster, make_instance

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "fix_forward.md"
FIX = "ALTER TABLE orders ADD note text; INSERT INTO orders (amount, note) VALUES (0, 'mended')"
CLONE = f"shop-fix-{read_script(FIX).digest[:12]}"
COLUMNS = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders'"
Opening = Callable[..., AbstractContextManager[RdsShop]]


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    with postgres(tmp_path_factory.mktemp("serving")) as serving, postgres(tmp_path_factory.mktemp("clone")) as clone:
        give_password(clone, serving.password)
        yield serving, clone


@pytest.fixture(name="talk", autouse=True)
def _talk(monkeypatch: pytest.MonkeyPatch) -> FixTalk:
    return listen(monkeypatch)


@pytest.fixture(name="opening")
def _opening(servers: tuple[Postgres, Postgres], moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opening:
    def anew(operation: str, _: dict[str, Any]) -> None:
        """What RDS restores is another database each time."""
        if operation.endswith("ToPointInTime"):
            fill(servers[1], "shop")
            forget_snapshots(CLONE)

    @contextmanager
    def opening(kind: str, hooks: dict[str, Hook] | None = None) -> Iterator[RdsShop]:
        httpx.post(f"{moto}/moto-api/reset", trust_env=False)
        rds = {kind: "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]}
        service = Service.model_validate({"name": "shop", "namespace": "acme", "repository": "acme/shop", "rds": rds})
        archive, hooks = str(tmp_path / "archive"), {"before": anew, **(hooks or {})}
        with new_rds_shop(servers, service, moto, monkeypatch, archive, hooks) as shop:
            make_instance(shop) if kind == "instance" else make_cluster(shop)
            shop.calls.clear()
            yield shop

    return opening


def nothing_left(shop: RdsShop) -> None:
    """No clone: it is paid for while it lasts."""
    assert not [name for name in (*shop.instances(), *shop.clusters()) if name.startswith("shop-fix")]


def registered(shop: RdsShop) -> int:
    """How often a fix was applied, as the register has it."""
    if shop.sql("SELECT to_regclass('ripcord.fixes')") == [(None,)]:
        return 0
    return int(shop.sql("SELECT count(*) FROM ripcord.fixes")[0][0])


@pytest.mark.parametrize("kind", ["instance", "cluster"])
def test_a_fix_is_tried_on_what_rds_restores_and_applied_once(opening: Opening, talk: FixTalk, kind: str) -> None:
    """To a moment that is not over when the fix is asked for; the clone is removed, a repeat changes nothing."""
    begun = datetime.now(UTC)
    with opening(kind) as shop:
        said = fix(shop.service, FIX)

        assert said == f"the database of shop v1.2.0 is mended by fix {read_script(FIX).digest[:12]}"
        assert shop.sql("SELECT amount FROM orders WHERE note = 'mended'") == [(0,)]
        assert registered(shop) == 1
        assert "2 statements ran on a clone" in talk.shown[f"plan-fix-shop-{read_script(FIX).digest[:12]}"]
        nothing_left(shop)
        [told] = shop.asked("RestoreDBInstanceToPointInTime") + shop.asked("RestoreDBClusterToPointInTime")
        assert told.get("RestoreTime", told.get("RestoreToTime", begun)) > begun
        assert {each["Key"]: each["Value"] for each in told["Tags"]}[ROLE] == DRILLED
        assert {operation for operation, _ in shop.calls} <= policy(
            PAGE, "Instances" if kind == "instance" else "Clusters"
        )

        calls = len(shop.calls)
        assert fix(shop.service, FIX).startswith("skipped: the fix was applied at 2")
        assert (registered(shop), len(shop.calls)) == (1, calls)


def test_a_rehearsal_changes_nothing(opening: Opening) -> None:
    """Not even the register is made."""
    with opening("instance") as shop:
        assert fix(shop.service, FIX, rehearse=True).startswith("rehearsed, nothing was changed: 2 statements")

        assert (shop.sql(COLUMNS), registered(shop)) == ([(2,)], 0)
        nothing_left(shop)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("ALTER TABLE nowhere ADD note text", "the fix failed on a clone, nothing was changed: statement 1 on line 1"),
        ("UPDATE orders SET amount = 0", "the fix ran on a clone, and afterwards"),
    ],
)
def test_what_fails_on_the_clone_is_refused_and_the_clone_removed(opening: Opening, script: str, why: str) -> None:
    """PostgreSQL's own words, or a smoke query that is answered wrongly afterwards."""
    with opening("instance") as shop:
        with pytest.raises(Refused, match=why):
            fix(shop.service, script)

        assert shop.sql(SMOKE.sql) == [(5050,)]
        nothing_left(shop)


def test_a_frozen_database_has_no_clone_made(opening: Opening) -> None:
    """A restore has taken it out of use; an hour of RDS would be for nothing."""
    with opening("instance") as shop:
        shop.sql('ALTER DATABASE "shop" SET default_transaction_read_only = on')

        with pytest.raises(Refused, match="the database is frozen"):
            fix(shop.service, FIX)

        assert shop.asked("RestoreDBInstanceToPointInTime") == []


@pytest.mark.parametrize("kind", ["instance", "cluster"])
def test_killed_at_every_call_it_is_applied_once(opening: Opening, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Each run dies one call later than the one before it, and nothing of ours tidies up on its way out."""
    run, seen = 0, 0

    def die(operation: str, _: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if seen == run:
            raise Death(operation)

    monkeypatch.setattr(flows.trying, "afterwards", of_the_living)
    with opening(kind, {"after": die}) as shop:
        said = ""
        while not said:
            run, seen = run + 1, 0
            with suppress(Death):
                said = fix(shop.service, FIX)

        run = 0
        assert registered(shop) == 1
        assert shop.sql("SELECT count(*) FROM orders WHERE note = 'mended'") == [(1,)]
        nothing_left(shop)
