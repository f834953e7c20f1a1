"""What a coupon takes off a total. All amounts are whole cents."""

from .coupons import Coupon


def _percentage(total_cents: int, value: int) -> int:
    return total_cents * value // 100


def _amount(total_cents: int, value: int) -> int:
    return min(total_cents, value)


_RULES = {"percentage": _percentage, "amount": _amount}


def discount_cents(total_cents: int, coupon: Coupon) -> int:
    """What comes off; never more than the total."""
    return _RULES[coupon.kind](total_cents, coupon.value)
