"""The restore on real servers while customers write through PgBouncer: what they notice, lose and keep.

Plain psycopg clients, PgBouncer's own console and the catalogue of the damaged server are the witnesses.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.postgres import Postgres
from infra.lab.process import wait_until
from tasks.postgres import freezing
from tasks.postgres.connection import Session
from tasks.postgres.freezing import quoted
from tests.integration.restoring import Street, new_street

numbers = itertools.count(1)


@pytest.fixture(name="street")
def _street(archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    with new_street(archiving, f"restored{next(numbers)}", tmp_path, monkeypatch) as street:
        yield street


def test_customers_wait_for_a_moment_and_see_no_error(street: Street) -> None:
    """What was acknowledged before the point and after the cutover is there; what lies between is kept beside it."""
    with street.customers() as before:
        wait_until(lambda: len(before.acknowledged) > 50 or before.errors, what="customers", seconds=20)
    assert before.errors == []
    street.shop.gate()
    with street.customers() as after:
        wait_until(lambda: len(after.acknowledged) > 50, what="customers", seconds=20)
        street.shop.sql("UPDATE orders SET amount = 0 WHERE id <= 50")
        plan = street.plan()
        [(newest,)] = street.shop.sql("INSERT INTO orders (amount) VALUES (1), (2), (3) RETURNING id")[-1:]

        street.take_back()

        served = len(after.acknowledged)
        wait_until(lambda: len(after.acknowledged) > served + 50, what="customers after it", seconds=20)

    assert (before.errors, after.errors) == ([], [])
    there = {str(row[0]) for row in street.ask("SELECT who FROM ledger")}
    assert {which for _, _, which in before.acknowledged} <= there
    kept = {str(row[0]) for row in street.shop.sql("SELECT who FROM ledger")}
    lost = [which for _, _, which in after.acknowledged if which not in there]
    assert lost
    assert set(lost) <= kept
    assert not {which for _, _, which in after.acknowledged[-50:]} - there
    assert street.ask("SELECT sum(amount) FROM orders") == [(5050,)]
    assert street.led_to_side()
    [(given,)] = street.restored("INSERT INTO orders (amount) VALUES (0) RETURNING id")
    assert int(str(given)) > int(newest)  # a number that somebody has seen is never given out again
    assert "public.orders" not in str(plan.losses)  # changed rows are not counted as lost: salvage finds them


def test_a_number_taken_at_the_very_last_moment_is_not_given_out_again(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who comes past PgBouncer takes numbers after the first reading, right before nobody is let in."""
    street.shop.gate()
    taken: list[int] = []

    def late(asked: Session, name: str) -> str:
        if not taken:
            rows = street.shop.sql("SELECT nextval('orders_id_seq') FROM generate_series(1, 5000)")
            taken.extend(int(row[0]) for row in rows)
        return quoted(asked, name)

    monkeypatch.setattr(freezing, "quoted", late)
    street.take_back()

    assert taken
    [(given,)] = street.restored("SELECT nextval('orders_id_seq')")
    assert int(str(given)) > max(taken)
