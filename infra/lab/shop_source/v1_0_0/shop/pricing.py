"""What a cart costs. All amounts are whole cents."""

from collections.abc import Iterable

from .cart import Line


def total_cents(lines: Iterable[Line]) -> int:
    """The sum over the lines."""
    return sum(line.quantity * line.price_cents for line in lines)
