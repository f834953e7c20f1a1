"""Turn a cart into an order."""

from typing import Any

from . import cart, pricing
from .errors import Unacceptable


def place_order(body: dict[str, Any], db: Any) -> dict[str, Any]:
    """Order what the cart holds, and empty it."""
    customer = body.get("customer")
    if not customer:
        raise Unacceptable(400, "a checkout needs a customer")
    lines = cart.lines_of(customer, db)
    if not lines:
        raise Unacceptable(409, f"the cart of {customer} is empty")
    total = pricing.total_cents(lines)
    order = _store(customer, lines, total, db)
    cart.clear(customer, db)
    return {"order": order, "total_cents": total}


def _store(customer: str, lines: list[cart.Line], total: int, db: Any) -> int:
    (order,) = db.execute(
        "INSERT INTO orders (customer, total_cents) VALUES (%s, %s) RETURNING id", (customer, total)
    ).fetchone()
    for line in lines:
        db.execute(
            "INSERT INTO order_lines (order_id, sku, quantity, price_cents) VALUES (%s, %s, %s, %s)",
            (order, line.sku, line.quantity, line.price_cents),
        )
        # Lines come sorted by sku: two checkouts always lock the products in the same order.
        db.execute("UPDATE products SET stock = stock - %s WHERE sku = %s", (line.quantity, line.sku))
    return int(order)
