"""The salvage on RDS: moto answers for the API, three servers of the lab stand behind the addresses."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import flows.parting
from infra.lab.postgres import Postgres, postgres
from recovery.catalog import Service
from recovery.errors import Refused, Unavailable
from recovery.rds import DRILLED, RESTORED_TO, ROLE
from recovery.salvages import Choice
from tasks.salvage_form import SalvageAnswer
from tests.integration.dying import Death, of_the_living
from tests.integration.rds_shop import (
    REGION,
    SMOKE,
    URL,
    Hook,
    RdsShop,
    forget_snapshots,
    give_password,
    new_rds_shop,
    policy,
)
from tests.integration.salvage_talk import Talk, found_in, listen, salvage
from tests.integration.test_restore_rds import make_cluster, make_instance

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "salvage.md"
COPY, DAMAGED = "shop-then-v1-2-0", "shop-damaged-v1-2-0"
Opening = Callable[..., AbstractContextManager[RdsShop]]


@pytest.fixture(name="servers", scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres, Postgres]]:
    first, second, third = (tmp_path_factory.mktemp(name) for name in ("damaged", "restored", "then"))
    with postgres(first) as damaged, postgres(second) as restored, postgres(third) as then:
        for each in (restored, then):
            give_password(each, damaged.password)
        yield damaged, restored, then


@pytest.fixture(name="opening")
def _opening(
    servers: tuple[Postgres, Postgres, Postgres], moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Opening:
    """A shop that was taken back: its damaged database has rows of after the point, its copies have none."""

    def before(operation: str, _: dict[str, Any]) -> None:
        if operation == "RestoreDBClusterToPointInTime":
            forget_snapshots(COPY)

    @contextmanager
    def opening(kind: str, hooks: dict[str, Hook] | None = None, *, restored: bool = True) -> Iterator[RdsShop]:
        httpx.post(f"{moto}/moto-api/reset", trust_env=False)
        rds = {kind: "shop", "region": REGION, "url_variable": URL, "smoke": [SMOKE.model_dump()]}
        service = Service.model_validate({"name": "shop", "namespace": "acme", "repository": "acme/shop", "rds": rds})
        archive, hooks = str(tmp_path / "archive"), {"before": before, **(hooks or {})}
        with new_rds_shop(servers[:2], service, moto, monkeypatch, archive, hooks, copies=servers[2]) as shop:
            make_instance(shop) if kind == "instance" else make_cluster(shop)
            assert shop.gate().proved
            shop.replay()
            shop.replay(server=servers[2])
            shop.sql("UPDATE orders SET amount = 0 WHERE id <= 3")
            shop.sql("INSERT INTO orders (amount) SELECT 1000 FROM generate_series(1, 30)")
            shop.sql("DELETE FROM orders WHERE id = 9")
            if restored:
                shop.take_back()
            if restored and kind == "cluster":  # moto takes a cluster's instances away with its name
                shop.client.create_db_instance(
                    DBInstanceIdentifier="shop-writer-kept", DBClusterIdentifier=DAMAGED, Engine="aurora-postgresql",
                    DBInstanceClass="db.r6g.large",
                )  # fmt: skip
            shop.calls.clear()
            yield shop

    return opening


@pytest.fixture(name="talk", autouse=True)
def _talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    return listen(monkeypatch)


def place(shop: RdsShop) -> Path:
    """Where its export lies."""
    return Path(os.environ["RIPCORD_ARCHIVE"], "salvage", "shop", shop.point().name)


def kept(shop: RdsShop) -> None:
    """The damaged one is closed again, the restored one serves, and of the copy nothing is left."""
    found = shop.clusters() if shop.rds.is_cluster else shop.instances()
    assert sorted(found) == ["shop", DAMAGED]
    assert not [name for name in shop.instances() if name.startswith(COPY)]
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        shop.sql("SELECT 1")


@pytest.mark.parametrize("kind", ["instance", "cluster"])
def test_what_was_written_after_the_point_is_found_and_taken_back(opening: Opening, talk: Talk, kind: str) -> None:
    """Against a copy that RDS restores out of the damaged one's backups, though customers write to the restored one."""
    with opening(kind) as shop:
        shop.sql("INSERT INTO orders (id, amount) VALUES (105, 7)", shop.restored)
        shop.sql("UPDATE orders SET amount = 8 WHERE id = 2", shop.restored)

        said = salvage(shop.service)

        assert said == f"shop: 34 rows of 1 tables were written after {shop.point().name}: {place(shop)}"
        assert found_in(place(shop)) == {"inserted": 30, "changed": 3, "deleted": 1}
        kept(shop)
        assert {operation for operation, _ in shop.calls} <= policy(
            PAGE, "Instances" if kind == "instance" else "Clusters"
        )
        [told] = shop.asked("RestoreDBInstanceToPointInTime") + shop.asked("RestoreDBClusterToPointInTime")
        source = told.get("SourceDBInstanceIdentifier") or told.get("SourceDBClusterIdentifier")
        assert source == DAMAGED
        tags = {each["Key"]: each["Value"] for each in told["Tags"]}
        assert (tags[ROLE], tags[RESTORED_TO]) == (DRILLED, shop.point().name)

        talk.answers.append(SalvageAnswer(choice=Choice.EVERYTHING, left_out="none"))
        salvage(shop.service, rehearse=False)

        [(count, total)] = shop.sql("SELECT count(*), sum(amount) FROM orders", shop.restored)
        # 100 and the customer's one, 29 of 30 new ones whose key was free, less the deleted one.
        assert count == 100 + 1 + 29 - 1
        assert total == 5050 - (1 + 3) - 2 + 8 + 7 + 29 * 1000 - 9
        assert "| public.orders | 30 | 3 | 1 | - |" in talk.asked[0]
        assert f"{DAMAGED} takes no writes" in talk.shown["salvage-shop-v1.2.0"].replace("\\", "")
        kept(shop)
        assert len(shop.asked("RestoreDBInstanceToPointInTime") + shop.asked("RestoreDBClusterToPointInTime")) == 1


def test_what_was_not_restored_is_not_salvaged(opening: Opening) -> None:
    """Before the names are exchanged the clients write to the damaged one."""
    with opening("instance", restored=False) as shop:
        with pytest.raises(Refused, match=f"shop was not restored to {shop.point().name}: restore it first"):
            salvage(shop.service)

        assert sorted(shop.instances()) == ["shop"]
        assert shop.sql("INSERT INTO orders (amount) VALUES (0) RETURNING amount") == [(0,)]


def test_a_damaged_one_that_is_gone_is_said(opening: Opening) -> None:
    """Removed, with what was written to it."""
    with opening("instance") as shop:
        shop.client.modify_db_instance(DBInstanceIdentifier=DAMAGED, DeletionProtection=False)
        shop.client.delete_db_instance(DBInstanceIdentifier=DAMAGED, SkipFinalSnapshot=True)

        with pytest.raises(Refused, match=f"{DAMAGED} is not there any more, and with it went what was written"):
            salvage(shop.service)


def test_nothing_is_compared_with_a_copy_that_is_not_what_was(
    opening: Opening, servers: tuple[Postgres, Postgres, Postgres]
) -> None:
    """Every difference from it would be doubtful; the damaged one is not even opened."""
    with opening("instance") as shop:
        shop.sql("DELETE FROM orders WHERE id > 90", servers[2])

        with pytest.raises(Refused, match="nothing can be compared with it"):
            salvage(shop.service)

        assert not place(shop).exists()
        assert sorted(shop.instances()) == ["shop", DAMAGED, COPY]


def test_what_has_the_copys_name_and_not_its_tags_is_left_alone(opening: Opening) -> None:
    """Somebody else's: neither read nor removed."""
    with opening("instance") as shop:
        shop.client.create_db_instance(
            DBInstanceIdentifier=COPY, DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        )  # fmt: skip

        with pytest.raises(Refused, match=f"{COPY} is there and no copy of"):
            salvage(shop.service)

        assert shop.asked("DeleteDBInstance") == []


def test_an_instance_of_somebody_elses_is_not_taken_for_the_copys(opening: Opening) -> None:
    """It has the name of the copy's writer, and is of no cluster of ours: it is neither read nor removed."""
    with opening("cluster") as shop:
        shop.client.create_db_instance(
            DBInstanceIdentifier=f"{COPY}-1", DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        )  # fmt: skip

        with pytest.raises(Refused, match=f"{COPY}-1 is there and not of {COPY}"):
            salvage(shop.service)

        assert f"{COPY}-1" in shop.instances()
        assert not place(shop).exists()


def test_a_failed_export_closes_the_damaged_one_again(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is half written, and the copy is there for the next try."""

    def failing(*given: object) -> str:
        raise Unavailable("the disk is full")

    with opening("instance") as shop:
        with monkeypatch.context() as patch:
            patch.setattr(flows.parting, "write_export_of_copy", failing)
            with pytest.raises(Unavailable):
                salvage(shop.service)

        with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
            shop.sql("SELECT 1")
        assert sorted(shop.instances()) == ["shop", DAMAGED, COPY]

        salvage(shop.service)
        assert found_in(place(shop)) == {"inserted": 30, "changed": 3, "deleted": 1}
        kept(shop)
        assert len(shop.asked("RestoreDBInstanceToPointInTime")) == 1


@pytest.mark.parametrize("kind", ["instance", "cluster"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_call_it_exports_once(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, kind: str, moment: str
) -> None:
    """Each run dies one call later than the one before it, and nothing of ours tidies up on its way out."""
    dying, run, seen = False, 0, 0

    def die(operation: str, _: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if dying and seen == run:
            raise Death(operation)

    monkeypatch.setattr(flows.parting, "afterwards", of_the_living)
    with opening(kind, {moment: die}) as shop:
        dying, said = True, ""
        while not said:
            run, seen = run + 1, 0
            with suppress(Death):
                said = salvage(shop.service)

        dying = False
        assert run > 5
        assert found_in(place(shop)) == {"inserted": 30, "changed": 3, "deleted": 1}
        kept(shop)


@pytest.mark.parametrize("step", ["prove_copy", "open_damaged", "write_export_of_copy", "close_again", "drop_base"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_step_the_damaged_one_is_closed_in_the_end(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """The next run closes what the killed one left open, also where its export was whole."""
    real = getattr(flows.parting, step)

    def dying(*given: object) -> object:
        if moment == "after":
            real(*given)
        raise Death(step)

    with opening("instance") as shop:
        with monkeypatch.context() as patch:
            patch.setattr(flows.parting, step, dying)
            patch.setattr(flows.parting, "afterwards", of_the_living)
            with pytest.raises(Death):
                salvage(shop.service)

        salvage(shop.service)

        assert found_in(place(shop)) == {"inserted": 30, "changed": 3, "deleted": 1}
        kept(shop)
        assert len(shop.asked("RestoreDBInstanceToPointInTime")) == 1
