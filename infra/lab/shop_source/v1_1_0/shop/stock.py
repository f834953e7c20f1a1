"""Words for how much we have."""

FEW = 10


def words(stock: int) -> str:
    """What the catalogue says about a stock. We take orders for what we do not have, and say so."""
    if stock <= 0:
        return "on order"
    return f"only {stock} left" if stock <= FEW else "in stock"
