"""The end of a process, as a test plays it inside its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Death(BaseException):
    """The process ends here: nothing of ours catches it, as nothing catches kill -9."""


@contextmanager
def of_the_living(act: Callable[[], str]) -> Iterator[None]:
    """In the place of `afterwards`: nothing tidies up after kill -9."""
    yield
    act()
