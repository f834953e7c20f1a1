"""What a customer has put aside."""

from dataclasses import dataclass
from typing import Any

from . import catalogue
from .errors import Unacceptable

MOST_PIECES = 99


@dataclass(frozen=True)
class Line:
    """So many pieces of one product, at the price of today."""

    sku: str
    quantity: int
    price_cents: int


def add(body: dict[str, Any], db: Any) -> dict[str, Any]:
    """Put pieces of a product into the customer's cart, and answer what it holds now."""
    customer, sku, quantity = body.get("customer"), body.get("sku"), body.get("quantity", 1)
    if not customer or not sku:
        raise Unacceptable(400, "a cart needs a customer and a sku")
    if not isinstance(quantity, int) or not 1 <= quantity <= MOST_PIECES:
        raise Unacceptable(400, f"quantity must be a number from 1 to {MOST_PIECES}")
    catalogue.price_of(sku, db)
    db.execute("INSERT INTO carts (customer) VALUES (%s) ON CONFLICT DO NOTHING", (customer,))
    db.execute(
        """INSERT INTO cart_lines (customer, sku, quantity) VALUES (%s, %s, %s)
           ON CONFLICT (customer, sku) DO UPDATE SET quantity = cart_lines.quantity + excluded.quantity""",
        (customer, sku, quantity),
    )
    return {"customer": customer, "lines": [vars(line) for line in lines_of(customer, db)]}


def lines_of(customer: str, db: Any) -> list[Line]:
    """What the cart holds; nothing for a customer without one."""
    rows = db.execute(
        """SELECT sku, quantity, price_cents FROM cart_lines JOIN products USING (sku)
           WHERE customer = %s ORDER BY sku""",
        (customer,),
    ).fetchall()
    return [Line(*row) for row in rows]


def clear(customer: str, db: Any) -> None:
    """Throw the cart away."""
    db.execute("DELETE FROM cart_lines WHERE customer = %s", (customer,))
    db.execute("DELETE FROM carts WHERE customer = %s", (customer,))
