"""What a cart costs. All amounts are whole cents."""

from collections.abc import Iterable

from . import discounts
from .cart import Line
from .coupons import Coupon


def total_cents(lines: Iterable[Line], coupon: Coupon | None = None) -> int:
    """The sum over the lines, less what the coupon takes off."""
    total = sum(line.quantity * line.price_cents for line in lines)
    return total - discounts.discount_cents(total, coupon) if coupon else total
