"""What we sell."""

from typing import Any

from . import stock
from .errors import Unacceptable


def listing(db: Any) -> list[dict[str, Any]]:
    """Everything we sell, by name."""
    rows = db.execute("SELECT sku, name, price_cents, stock FROM products ORDER BY name").fetchall()
    return [
        {"sku": sku, "name": name, "price_cents": price, "stock": stock.words(pieces)}
        for sku, name, price, pieces in rows
    ]


def price_of(sku: str, db: Any) -> int:
    """What one piece costs, in cents. Raises Unacceptable (404) for what we do not sell."""
    row = db.execute("SELECT price_cents FROM products WHERE sku = %s", (sku,)).fetchone()
    if row is None:
        raise Unacceptable(404, f"we do not sell {sku}")
    return int(row[0])
