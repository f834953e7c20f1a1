"""The shop's door: one function answers every request."""

from typing import Any

from .shop import cart, catalogue, checkout
from .shop.errors import Unacceptable

Body = dict[str, Any]


def handle(method: str, path: str, body: Body, db: Any) -> tuple[int, Body]:
    """Answer one request. The caller commits on 2xx, rolls back on anything else, and makes a 500 of an exception."""
    try:
        match method, path:
            case "GET", "/":
                return 200, {"shop": "open"}
            case "GET", "/catalogue":
                return 200, {"items": catalogue.listing(db)}
            case "POST", "/cart":
                return 201, cart.add(body, db)
            case "POST", "/checkout":
                return 201, checkout.place_order(body, db)
    except Unacceptable as error:
        return error.status, {"error": str(error)}
    return 404, {"error": f"there is no {method} {path} here"}
