"""The coupons that are about."""

from dataclasses import dataclass

from .errors import Unacceptable


@dataclass(frozen=True)
class Coupon:
    """What a code is worth: `percent` of the total, or an `amount` of cents."""

    code: str
    kind: str
    value: int


_COUPONS = {
    coupon.code: coupon
    for coupon in (
        Coupon("WELCOME10", "percent", 10),
        Coupon("SPRING25", "percent", 25),
        Coupon("FIVER", "amount", 500),
    )
}


def coupon(code: str) -> Coupon:
    """The coupon of a code. Raises Unacceptable (422) for one that we never gave out."""
    found = _COUPONS.get(code.strip().upper())
    if found is None:
        raise Unacceptable(422, f"there is no coupon {code}")
    return found
