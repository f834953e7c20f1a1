"""How the shop came to be: its releases, their pull requests, and who wrote what.

v1.2.0 has a bug as they happen: one branch calls a kind of coupon `percent`, another one `percentage`;
each was right on its own, and nobody has tried them together.
"""

from dataclasses import dataclass
from pathlib import Path

MINA = "Mina Okafor <mina@acme.example>"
JON = "Jon Alder <jon@acme.example>"
PRIYA = "Priya Raman <priya@acme.example>"

_FIX = ('"percentage":', '"percent":')
_NAMED_AFTER_THE_SERVICE = (".yaml", ".md")


@dataclass(frozen=True)
class Work:
    """One commit: these files, as the release has them."""

    message: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Branch:
    """A feature branch, merged into develop by a pull request."""

    name: str
    title: str
    author: str
    commits: tuple[Work, ...]


RELEASES: dict[str, tuple[Branch, ...]] = {
    "v1.0.0": (
        Branch("feature/catalogue", "Show what we sell", MINA, (
            Work("Create the tables and a first assortment", ("schema.sql", "__init__.py")),
            Work("List the catalogue", ("shop/__init__.py", "shop/errors.py", "shop/catalogue.py")),
        )),
        Branch("feature/cart", "Put things into a cart", JON, (
            Work("Keep a cart per customer", ("shop/cart.py",)),
            Work("Count what a cart costs", ("shop/pricing.py",)),
        )),
        Branch("feature/checkout", "Order what is in the cart", PRIYA, (
            Work("Place orders", ("shop/checkout.py",)),
            Work("Answer requests", ("app.py",)),
            Work("Deploy to the cluster", ("deploy/deployment.yaml", "deploy/service.yaml")),
        )),
    ),
    "v1.1.0": (
        Branch("feature/stock", "Say what is in stock", MINA, (
            Work("Find words for a stock", ("shop/stock.py",)),
            Work("Show the stock in the catalogue", ("shop/catalogue.py", "README.md")),
        )),
    ),
    "v1.2.0": (
        Branch("feature/coupons", "Give out coupons", PRIYA, (
            Work("Keep the coupons that are about", ("shop/coupons.py",)),
            Work("Take a coupon with the cart", ("shop/cart.py",)),
        )),
        Branch("feature/discounts", "Take discounts off the total", JON, (
            Work("Reckon percentages and amounts", ("shop/discounts.py",)),
            Work("Take the discount off the total", ("shop/pricing.py",)),
        )),
        Branch("feature/coupon-checkout", "Redeem coupons at the checkout", MINA, (
            Work("Redeem the coupon", ("shop/checkout.py",)),
            Work("Tell about coupons", ("README.md",)),
        )),
    ),
}  # fmt: skip


def tree(version: str, service: str = "shop", *, faulty: bool = True) -> dict[str, str]:
    """The files of a release by path; `faulty=False` gives v1.2.0 without its bug."""
    root = Path(__file__).with_name(version.replace(".", "_"))
    files = {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*")) if _is_source(file)}
    for path in files:
        if path.endswith(_NAMED_AFTER_THE_SERVICE):
            files[path] = files[path].replace("shop", service)
        if path == "shop/discounts.py" and not faulty:
            files[path] = files[path].replace(*_FIX)
    return files


def _is_source(file: Path) -> bool:
    return file.is_file() and file.suffix in (".py", ".sql", ".yaml", ".md")
